"""Checksums of a folder: nothing changed, nothing missing, nothing added, and what was hashed is what is read.

Every file is opened once, without following a link, and read once; what the rest of Orita parses are those bytes. The
bytes of the manifest follow from its content (`_spelled`), so that a changed byte in it is found as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from orita.core.errors import UserError
from orita.models.package.files import (
    MANIFEST_FILE,
    MOST_FILES,
    SIGNATURE_FILE,
    WEIGHTS_FILE,
    check_name,
    largest,
    shown,
)
from orita.models.package.strict_json import read_object

__all__ = ["Contents", "read_contents", "read_file", "verify_manifest", "write_manifest"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_UNLISTED = (MANIFEST_FILE, SIGNATURE_FILE)
_KEPT_OF_STREAMED = 2**22
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Contents:
    """The bytes of a package, as its manifest has them.

    Attributes:
        folder: where they were read.
        manifest: the bytes of the manifest: what a signature signs.
        signature: the bytes of ``signature.json``, or None.
        files: the bytes of every other file by name; of ``weights.safetensors``, which nobody needs for scoring, the
            first 4 MiB.
        sizes: how long each of them is.
    """

    folder: Path
    manifest: bytes
    signature: bytes | None
    files: Mapping[str, bytes]
    sizes: Mapping[str, int]

    def where(self, name: str) -> str:
        """Return what errors call a file."""
        return f"{self.folder / name}"

    def json(self, name: str) -> dict[str, Any]:
        """Return the object in the file *name*.

        Raises:
            UserError: there is no such file, or it is not strict JSON.
        """
        return read_object(self.content(name), self.where(name))

    def content(self, name: str) -> bytes:
        """Return the bytes of the file *name*.

        Raises:
            UserError: there is no such file.
        """
        if name not in self.files:
            raise UserError(f"{self.where(name)} is missing; a package has one, write or fetch it again.")
        return self.files[name]


def write_manifest(folder: Path) -> None:
    """Write ``manifest.json``: the SHA-256 and the size of every file in *folder*, which has no folders inside."""
    files = {}
    for file in sorted(folder.iterdir()):
        if file.name not in _UNLISTED:
            with file.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            files[file.name] = (digest, file.stat().st_size)
    (folder / MANIFEST_FILE).write_bytes(_spelled(files))


def read_contents(folder: Path, *, with_weights: bool = False) -> Contents:
    """Read *folder* and compare it with its manifest.

    Args:
        folder: the package.
        with_weights: keep all of ``weights.safetensors``.

    Raises:
        UserError: there is no manifest, or a file is changed, missing, extra, too large or no plain file; the sentence
            names the file.
    """
    with _opened(folder) as descriptor:
        found = _names(folder, descriptor)
        manifest = _read(folder, descriptor, MANIFEST_FILE).content
        declared = _declared(folder, manifest)
        for name in sorted(found - set(declared) - set(_UNLISTED)):
            raise UserError(
                f"{folder / shown(name)} is not listed in {MANIFEST_FILE}; a package holds no other files, remove it."
            )
        streamed = () if with_weights else (WEIGHTS_FILE,)
        read = {
            name: _checked(_read(folder, descriptor, name, streamed=name in streamed), folder / name, *entry)
            for name, entry in sorted(declared.items())
        }
        signature = _read(folder, descriptor, SIGNATURE_FILE).content if SIGNATURE_FILE in found else None
    contents = {name: each.content for name, each in read.items()}
    return Contents(folder, manifest, signature, contents, {name: each.size for name, each in read.items()})


def verify_manifest(folder: Path) -> None:
    """Compare *folder* with its manifest, and read nothing else of it.

    Raises:
        UserError: as `read_contents` does.
    """
    read_contents(folder)


def read_file(folder: Path, name: str) -> bytes:
    """Return the bytes of one file of a package, of which nothing else is looked at.

    Raises:
        UserError: it is missing, too large or no plain file.
    """
    with _opened(folder) as descriptor:
        return _read(folder, descriptor, name).content


@dataclass(frozen=True, slots=True)
class _Read:
    content: bytes
    size: int
    digest: str


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} is not a folder; a model package is a folder with a {MANIFEST_FILE}.") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(folder: Path, descriptor: int) -> set[str]:
    names: set[str] = set()
    with os.scandir(descriptor) as entries:
        for entry in entries:
            names.add(entry.name)
            if len(names) > MOST_FILES:
                raise UserError(f"{folder} holds more than {MOST_FILES} files; no model package does.")
    return names


def _checked(read: _Read, file: Path, digest: str, size: int) -> _Read:
    if (read.digest, read.size) != (digest, size):
        raise UserError(
            f"{file} is changed: its SHA-256 or size is not the one in {MANIFEST_FILE}; fetch the package again."
        )
    return read


def _read(folder: Path, descriptor: int, name: str, *, streamed: bool = False) -> _Read:
    file = folder / name
    try:
        # A FIFO that nobody writes to would stop the reader for good without O_NONBLOCK.
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor)
    except FileNotFoundError:
        raise UserError(f"{file} is missing; fetch it again.") from None
    except PermissionError:
        raise UserError(f"{file} may not be read; give this user the right to.") from None
    except OSError:  # a link (ELOOP) or a socket (ENXIO)
        raise _not_plain(file) from None
    try:
        state = os.fstat(opened)
        if not stat.S_ISREG(state.st_mode):
            raise _not_plain(file)
        if state.st_size > (limit := largest(name)):
            raise UserError(f"{file} has {state.st_size:,} bytes, allowed are {limit:,}.")
        with os.fdopen(opened, "rb", closefd=False) as content:
            # One byte more than there is: a file that grows is seen to be another, and is not read for ever.
            return _streamed(content) if streamed else _whole(content.read(state.st_size + 1))
    finally:
        os.close(opened)


def _whole(content: bytes) -> _Read:
    return _Read(content, len(content), hashlib.sha256(content).hexdigest())


def _streamed(content: IO[bytes]) -> _Read:
    kept, digest, size = content.read(_KEPT_OF_STREAMED), hashlib.sha256(), 0
    chunk = kept
    while chunk and size <= largest(WEIGHTS_FILE):
        digest.update(chunk)
        size += len(chunk)
        chunk = content.read(_CHUNK)
    return _Read(kept, size, digest.hexdigest())


def _not_plain(file: Path) -> UserError:
    return UserError(f"{file} is not a plain file; links, folders, pipes and devices are not read, fetch it again.")


def _declared(folder: Path, manifest: bytes) -> dict[str, tuple[str, int]]:
    file = f"{folder / MANIFEST_FILE}"
    content = read_object(manifest, file)
    files = content.get("files")
    if set(content) != {"files"} or not isinstance(files, dict) or not all(map(_is_entry, files.values())):
        raise UserError(f"{file} is not a manifest: expected {{'files': {{name: {{'sha256': …, 'bytes': …}}}}}}.")
    for name in files:
        check_name(name, file)
        if name in _UNLISTED:
            raise UserError(f"{file} lists {name}, which cannot be in it; write the package again.")
    declared = {str(name): (str(entry["sha256"]), int(entry["bytes"])) for name, entry in files.items()}
    if manifest != _spelled(declared):
        raise UserError(f"{file} is changed: it is not spelled as a manifest is; fetch the package again.")
    return declared


def _spelled(files: Mapping[str, tuple[str, int]]) -> bytes:
    """Return the one way to write down the manifest of *files*."""
    entries = {name: {"sha256": digest, "bytes": size} for name, (digest, size) in sorted(files.items())}
    return (json.dumps({"files": entries}, indent=2) + "\n").encode()


def _is_entry(entry: object) -> bool:
    match entry:
        case {"sha256": str(digest), "bytes": int(size), **more}:
            return not more and _DIGEST.fullmatch(digest) is not None and type(size) is int and size >= 0
        case _:
            return False
