"""The key that signs the cursors of feeds: the one that is named, else one that the home keeps."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from orita.core.errors import UserError
from orita.core.files import sync_directory

__all__ = ["KEY_FILE", "read_key"]

KEY_FILE = "feed-cursor.key"
_BYTES = 32


def read_key(named: Path | None, folder: Path) -> bytes:
    """Return the key in the file *named*; None: the one in *folder*, which is made where there is none.

    Raises:
        UserError: it cannot be read or made, or is shorter than 32 bytes.
    """
    file = named or folder / KEY_FILE
    try:
        if named is None and not file.exists():
            _make(file)
        key = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"the key of cursors {file} cannot be read or made: {error.strerror}; name one with "
            "serving.feed.cursor.key_file."
        ) from None
    if len(key) < _BYTES:
        raise UserError(f"the key of cursors {file} has {len(key)} bytes: write {_BYTES} random ones or more into it.")
    return key


def _make(file: Path) -> None:
    """Write a key for its owner alone; of several processes that do so at once the first one's stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=".partial-")  # readable by its owner alone
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(secrets.token_bytes(_BYTES))
            written.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(partial, file)
        sync_directory(file.parent)
    finally:
        Path(partial).unlink()
