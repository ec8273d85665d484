"""A model in one file: an uncompressed tar of which every byte follows from what is in it.

The first member, ``orita-model.json``, says which files follow, in which order, how long each is and what its SHA-256
is. So nothing in such a file has to be believed: a header is compared with the one that must stand there and is never
interpreted, and nothing is unpacked that is larger than the bytes that are there. Any tar program can look inside.

The form is that of POSIX.1-1988 (ustar), as `tarfile` of the standard library writes it, with no owner and no time.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.models.package.files import MOST_FILES, check_name, largest, shown
from orita.models.package.strict_json import canonical_json, read_object

__all__ = ["ABOUT", "EXPECTATIONS", "PACKAGE", "RUN", "TRAINING_SET", "unpack_archive", "write_archive"]

ABOUT, RUN, TRAINING_SET, PACKAGE = "orita-model.json", "run.json", "training_set.json", "package"
EXPECTATIONS = "expectations.json"
_BESIDE = (RUN, TRAINING_SET, EXPECTATIONS)
"""What may lie beside the package."""

_FORMAT = 1
_BLOCK, _CHUNK = 512, 2**20
_END = bytes(2 * _BLOCK)
_LONGEST_FILE = 2**33 - 1  # what a header of ustar can say
_MOST_BYTES = 2**35
_KINDS = {
    b"1": "a hard link", b"2": "a link", b"3": "a device", b"4": "a device", b"5": "a folder", b"6": "a pipe",
    b"x": "an extended header", b"g": "an extended header", b"L": "a long name", b"K": "a long name",
    b"S": "a file with holes",
}  # fmt: skip


def write_archive(path: Path, about: Mapping[str, Any], files: Mapping[str, Path | bytes]) -> None:
    """Write *files* as an archive at *path*, whole or not at all; the same files give the same bytes.

    Args:
        path: of the archive.
        about: JSON values to keep with them; ``format``, ``files`` and ``sha256`` are added.
        files: by name: ``run.json``, ``training_set.json``, ``expectations.json``, and ``package/<name>`` of every
            file of the package.

    Raises:
        UserError: a name is another, a file is larger than may be, or changed while it was written.
    """
    listed = {name: _entry(name, files[name]) for name in sorted(files)}
    head = _spelled({**about, "format": _FORMAT, "files": listed})
    with atomic_file(path) as partial:
        with partial.open("wb") as out:
            for name, source in {ABOUT: head, **{name: files[name] for name in sorted(files)}}.items():
                _add(out, name, source)
            out.write(_END)
        unpack_archive(partial, None)


def unpack_archive(path: Path, folder: Path | None) -> dict[str, Any]:
    """Check the archive at *path*, write its files below *folder* (None: nowhere), and return what it says of itself.

    Raises:
        UserError: it is not an archive as `write_archive` writes it; the sentence says what is in the way. *folder* may
            hold some files then.
    """
    with _opened(path) as (stream, size):
        about, length = _about(stream, path, size)
        expected = sum(map(_padded, (length, *(entry["bytes"] for entry in about["files"].values())))) + len(_END)
        if size != expected:
            raise UserError(f"{path} has {size:,} bytes and should have {expected:,}: fetch it again.")
        for name, entry in about["files"].items():
            _check_header(stream.read(_BLOCK), name, entry["bytes"], path)
            if _copied(stream, entry["bytes"], folder and folder / name) != entry["sha256"]:
                raise UserError(f"{path} is changed: {name} is not what {ABOUT} says; fetch it again.")
        if stream.read(len(_END) + 1) != _END:
            raise UserError(f"{path} does not end as an archive does; fetch it again.")
    return about


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Open a plain file; nothing that would make a reader wait, and nothing without an end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give the file that 'orita models export' wrote.") from None
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise UserError(f"{path} is not a plain file: give the file that 'orita models export' wrote.")
        if state.st_size > _MOST_BYTES:
            raise UserError(f"{path} has {state.st_size:,} bytes, allowed are {_MOST_BYTES:,}.")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            yield stream, state.st_size
    finally:
        os.close(descriptor)


def _about(stream: IO[bytes], path: Path, size: int) -> tuple[dict[str, Any], int]:
    """Return the first member and its length, which is the only thing that is taken from a header."""
    header = stream.read(_BLOCK)
    try:
        length = int(header[124:135], 8)
    except ValueError:
        length = -1
    if not 0 <= length <= min(size, largest(ABOUT)):
        raise UserError(f"{path} is not an archive of a model: it does not begin with {ABOUT}.")
    _check_header(header, ABOUT, length, path)
    content = stream.read(length)
    if stream.read(-length % _BLOCK) != bytes(-length % _BLOCK):
        raise UserError(f"{path} is changed after {ABOUT}; fetch it again.")
    return _checked(content, f"{ABOUT} of {path}"), length


def _checked(content: bytes, where: str) -> dict[str, Any]:
    """Return what the first member says; each file that it lists has a name and a size that may be."""
    about = read_object(content, where)
    kind, files = about.get("format"), about.get("files")
    if type(kind) is not int or kind != _FORMAT:
        raise UserError(f"{where} has the format {ascii(kind)[:40]}, this version of Orita reads {_FORMAT}.")
    if not isinstance(files, dict) or not all(map(_is_entry, files.values())) or content != _spelled(about):
        raise UserError(f"{where} is changed, or not spelled as 'orita models export' does; fetch the archive again.")
    if len(files) > MOST_FILES + len(_BESIDE):
        raise UserError(f"{where} lists {len(files):,} files, allowed are {MOST_FILES + len(_BESIDE)}.")
    for name, entry in files.items():
        _check_member(name, entry["bytes"], where)
    return about


def _spelled(about: Mapping[str, Any]) -> bytes:
    """Return the one way to write down the first member; it holds the SHA-256 of the rest of itself."""
    rest = {name: value for name, value in about.items() if name != "sha256"}
    return canonical_json({**rest, "sha256": hashlib.sha256(canonical_json(rest)).hexdigest()})


def _check_member(name: str, size: int, where: str) -> None:
    folder, slash, plain = name.rpartition("/")
    if name not in _BESIDE and (folder, slash) != (PACKAGE, "/"):
        raise UserError(
            f"{where} lists the file {shown(name)!r}; allowed are {', '.join(_BESIDE)} and plain names in {PACKAGE}/."
        )
    check_name(plain, where)
    if size > (limit := min(largest(plain), _LONGEST_FILE)):
        raise UserError(f"{where} lists {name} with {size:,} bytes, allowed are {limit:,}.")


def _is_entry(entry: object) -> bool:
    match entry:
        case {"sha256": str(digest), "bytes": int(size), **more}:
            return not more and len(digest) == 64 and type(size) is int and size >= 0
        case _:
            return False


def _entry(name: str, source: Path | bytes) -> dict[str, Any]:
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    _check_member(name, size, "the archive")
    with _stream(source) as stream:
        return {"bytes": size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _add(out: IO[bytes], name: str, source: Path | bytes) -> None:
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    out.write(_header(name, size))
    with _stream(source) as stream:
        while chunk := stream.read(_CHUNK):
            out.write(chunk)
    out.write(bytes(-size % _BLOCK))


def _stream(source: Path | bytes) -> io.BufferedReader | io.BytesIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _header(name: str, size: int) -> bytes:
    """Return the one header that a file of this name and size has."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _check_header(header: bytes, name: str, size: int, path: Path) -> None:
    if header == _header(name, size):
        return
    there = header[:100].rstrip(b"\0").decode("utf-8", "replace")
    kind = _KINDS.get(header[156:157], "another entry")
    raise UserError(
        f"{path} is not as 'orita models export' writes it: where the file {name} should be there is {kind}, "
        f"{shown(there)!r}; nothing was taken from it."
    )


def _copied(stream: IO[bytes], size: int, target: Path | None) -> str:
    """Read *size* bytes and the zeros after them, write them to *target* (None: nowhere), return their SHA-256."""
    digest, left = hashlib.sha256(), size
    if target is not None:
        target.parent.mkdir(exist_ok=True)
    with nullcontext() if target is None else target.open("xb") as out:
        while left and (chunk := stream.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
            if out is not None:
                out.write(chunk)
    rest = -size % _BLOCK
    return digest.hexdigest() if stream.read(rest) == bytes(rest) else "other bytes behind it"


def _padded(size: int) -> int:
    return _BLOCK + size + -size % _BLOCK
