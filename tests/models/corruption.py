"""What an attacker does to a signed package, of any kind: each attack leaves a folder that must not load."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orita.models.package import Trust, sign_package
from orita.models.package.keys import create_key, read_signing_key
from orita.models.package.manifest import write_manifest

__all__ = ["ATTACKS", "Executes", "Files", "Signed"]

Files = dict[str, bytes]


class Executes:
    """A pickle of this makes a folder where it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


class Signed:
    """A signed package as bytes, the keys around it, and what an attacker brings.

    Args:
        folder: an empty folder of its own.
        whole: the package, of any kind.
    """

    def __init__(self, folder: Path, whole: Path) -> None:
        public = create_key("ours", folder / "keys", folder / "trusted")
        create_key("theirs", folder / "others", folder / "others")
        self.trust = Trust.of([public])
        self.ours, self.theirs = (
            read_signing_key("ours", folder / "keys"),
            read_signing_key("theirs", folder / "others"),
        )
        sign_package(whole, self.ours)
        self.folder = whole
        self.files: Files = {file.name: file.read_bytes() for file in whole.iterdir()}
        self.marker = folder / "executed"
        self.pickle = pickle.dumps(Executes(self.marker))
        self.outside = folder / "outside"
        self.outside.mkdir()

    def write(self, folder: Path, files: Files) -> Path:
        """Write *files* as a folder."""
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder


def _flip(signed: Signed, folder: Path, choose: random.Random) -> None:
    files = dict(signed.files)
    name = choose.choice(sorted(files))
    content = bytearray(files[name])
    for _ in range(choose.choice((1, 1, 1, 8))):
        content[choose.randrange(len(content))] ^= choose.randrange(1, 256)
    signed.write(folder, {**files, name: bytes(content)})


def _cut_or_lengthen(signed: Signed, folder: Path, choose: random.Random) -> None:
    name = choose.choice(sorted(signed.files))
    content = signed.files[name]
    longer = content + choose.randbytes(choose.randrange(1, 50))
    signed.write(folder, {**signed.files, name: choose.choice((content[: choose.randrange(len(content))], longer))})


def _swap(signed: Signed, folder: Path, choose: random.Random) -> None:
    one, other = choose.sample(sorted(signed.files), 2)
    signed.write(folder, {**signed.files, one: signed.files[other], other: signed.files[one]})


def _remove(signed: Signed, folder: Path, choose: random.Random) -> None:
    gone = choose.choice(sorted(signed.files))
    signed.write(folder, {name: content for name, content in signed.files.items() if name != gone})


def _add(signed: Signed, folder: Path, choose: random.Random) -> None:
    name = choose.choice(
        ("model.pkl", ".hidden", "conftest.py", "a\x1b[2Jb", "__init__.py", "extra.onnx", "UPPER.json")
    )
    signed.write(folder, {**signed.files, name: signed.pickle})


def _link(signed: Signed, folder: Path, choose: random.Random) -> None:
    signed.write(folder, signed.files)
    file = folder / choose.choice(sorted(signed.files))
    content, kind = file.read_bytes(), choose.choice(("right", "wrong", "fifo", "folder", "device"))
    file.unlink()
    if kind in ("right", "wrong"):
        (outside := signed.outside / folder.name).write_bytes(content if kind == "right" else signed.pickle)
        file.symlink_to(outside)
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero")


def _path_trick(signed: Signed, folder: Path, choose: random.Random) -> None:
    manifest = json.loads(signed.files["manifest.json"])
    name = choose.choice(sorted(manifest["files"]))
    outside = choose.choice(
        ("../outside", "/etc/hostname", "sub/model.onnx", "..", "model\x00.onnx", "a\nb.json", "C:x.onnx")
    )
    manifest["files"][outside] = manifest["files"].pop(name)
    (files := dict(signed.files)).pop(name)
    signed.write(folder, {**files, "manifest.json": (json.dumps(manifest, indent=2) + "\n").encode()})


def _manifest_trick(signed: Signed, folder: Path, choose: random.Random) -> None:
    manifest = signed.files["manifest.json"]
    tricks = (
        manifest.replace(b"{", b"[" * 100_000, 1),
        manifest.rstrip() + b" \n",
        manifest.replace(b"\n", b"\r\n"),
        manifest.replace(b'"files": {', b'"files": {}, "files": {', 1),
        manifest.upper(),
        b"\xef\xbb\xbf" + manifest,
        b"{}",
        b"[]",
        b"",
        b'{"files": {"model.onnx": {"sha256": null, "bytes": NaN}}}',
        signed.pickle,
    )
    signed.write(folder, {**signed.files, "manifest.json": choose.choice(tricks)})


def _forged(signed: Signed, folder: Path, choose: random.Random) -> None:
    """The attacker changes a file and writes the checksums again; then signs with another key, or keeps ours."""
    name = choose.choice(sorted(set(signed.files) - {"manifest.json", "signature.json"}))
    content = bytearray(signed.files[name])
    content[choose.randrange(len(content))] ^= choose.randrange(1, 256)
    forged = choose.choice((bytes(content), signed.pickle, b""))
    signed.write(folder, {**signed.files, name: forged})
    write_manifest(folder)
    _sign_wrongly(signed, folder, choose)


def _whole_but_not_ours(signed: Signed, folder: Path, choose: random.Random) -> None:
    signed.write(folder, signed.files)
    _sign_wrongly(signed, folder, choose, also_ours=False)


def _sign_wrongly(signed: Signed, folder: Path, choose: random.Random, *, also_ours: bool = True) -> None:
    file = folder / "signature.json"
    match choose.choice(("none", "theirs", "named as ours", *(("ours, of before",) if also_ours else ()))):
        case "none":
            file.unlink()
        case "theirs":
            sign_package(folder, signed.theirs)
        case "named as ours":
            sign_package(folder, signed.theirs)
            file.write_bytes(
                file.read_bytes().replace(signed.theirs.public.id.encode(), signed.ours.public.id.encode())
            )
        case "ours, of before":
            assert file.read_bytes() == signed.files["signature.json"]


ATTACKS: tuple[Callable[[Signed, Path, random.Random], None], ...] = (
    _flip,
    _flip,
    _flip,
    _cut_or_lengthen,
    _swap,
    _remove,
    _add,
    _link,
    _path_trick,
    _manifest_trick,
    _forged,
    _forged,
    _whole_but_not_ours,
)
