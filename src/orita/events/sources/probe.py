"""Is the file whole and readable as what it claims to be: read once, byte for byte, before anything else.

One pass over the bytes gives the digest, proves UTF-8, proves that compression is not cut off, and bounds the
longest line, so that what follows may trust the text.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from orita.core.errors import NotFound, UserError

__all__ = ["digest_of", "is_gzip", "open_bytes", "probe_text", "require_readable"]

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_WIDE = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


def require_readable(file: Path) -> None:
    """Check that *file* is there, may be read and is not empty.

    Raises:
        UserError: it is not; the sentence says which.
    """
    try:
        with file.open("rb") as stream:
            first = stream.read(1)
    except FileNotFoundError:
        raise NotFound(f"{file} does not exist: check the path.") from None
    except PermissionError:
        raise UserError(f"{file} may not be read by this user: change its permissions (chmod u+r).") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from None
    if not first:
        raise UserError(f"{file} is empty (0 bytes): write its data again.")


def is_gzip(file: Path) -> bool:
    """Tell by its first bytes whether *file* is compressed with gzip."""
    with file.open("rb") as stream:
        return stream.read(2) == _GZIP


def open_bytes(file: Path) -> BinaryIO:
    """Open the content of *file*, decompressed where it is compressed."""
    if is_gzip(file):
        return cast(BinaryIO, gzip.GzipFile(file, "rb"))
    return file.open("rb")


def digest_of(file: Path) -> str:
    """Return the SHA-256 of the bytes of *file*, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def probe_text(file: Path, max_line_bytes: int) -> str:
    """Read *file* through once; return the SHA-256 of its text, in hexadecimal.

    Raises:
        UserError: it is empty, not UTF-8 (the line and byte are named), cut off, or has a line longer than
            *max_line_bytes*.
    """
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, position, length = 0, 0, 0
    for chunk in _chunks(file):
        if position == 0:
            _refuse_wide(file, chunk)
        digest.update(chunk)
        # The decoder may still hold up to three bytes of a character that the last chunk cut through.
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            _not_utf8(file, error, lines, position - held)
        length = _longest(file, chunk, lines, length, max_line_bytes)
        lines += chunk.count(b"\n")
        position += len(chunk)
    if position == 0:
        raise UserError(f"{file} is empty (0 bytes after decompression): write its data again.")
    if decoder.getstate()[0]:
        raise UserError(f"{file} ends in the middle of a character: it was cut off, copy or write it again.")
    return digest.hexdigest()


def _chunks(file: Path) -> Iterator[bytes]:
    try:
        with open_bytes(file) as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except EOFError:
        raise UserError(f"{file} is cut off (its gzip stream has no end): copy or download it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{file} is damaged gzip ({error}): copy or download it again.") from None


def _refuse_wide(file: Path, chunk: bytes) -> None:
    kind = _WIDE.get(chunk[:2])
    if kind:
        raise UserError(
            f"{file} is {kind}, expected UTF-8: convert it, for example iconv -f {kind} -t UTF-8 {file.name} > utf8.csv"
        )


def _not_utf8(file: Path, error: UnicodeDecodeError, lines: int, start: int) -> None:
    data = bytes(error.object)
    line = lines + data[: error.start].count(b"\n") + 1
    raise UserError(
        f"{file} is not UTF-8: line {line} holds the byte 0x{data[error.start]:02x} (byte "
        f"{start + error.start + 1} of the text); convert the file, for example "
        f"iconv -f WINDOWS-1252 -t UTF-8 {file.name} > utf8.csv"
    ) from None


def _longest(file: Path, chunk: bytes, lines: int, before: int, limit: int) -> int:
    """Return the length of the line that is open at the end of *chunk*; refuse one over *limit* bytes."""
    first = chunk.find(b"\n")
    longest = before + (first if first >= 0 else len(chunk))
    if longest <= limit and first >= 0 and len(chunk) > limit:
        longest = max(longest, *map(len, chunk.split(b"\n")))
    if longest > limit:
        raise UserError(
            f"{file} has a line longer than {limit} bytes near line {lines + 1}: it is not a file of rows, or "
            "its line ends were lost; mend it, or raise validation.max_line_bytes."
        )
    return longest if first < 0 else len(chunk) - chunk.rfind(b"\n") - 1
