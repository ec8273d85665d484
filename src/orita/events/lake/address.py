"""Where a table and its data files are: between paths of this machine and the names that its log holds."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from orita.core.errors import UserError

__all__ = ["LOG", "address_of", "data_file"]

LOG = "_delta_log"
"""Folder of a table's log, one JSON file a commit."""

_UNFIT = re.compile(r"[\[\]\\^|]|%[0-9A-Fa-f]{2}")


def address_of(folder: Path) -> str:
    """Return the address of a table's folder for the writer and reader of its log.

    Raises:
        UserError: the path holds marks that they cannot address.
    """
    path = str(folder.absolute())
    # They decode a path once too often, so that a%20b is written as that and read as "a b"; the other marks end them.
    unfit = _UNFIT.search(folder.absolute().as_posix())
    if unfit:
        raise UserError(
            f"the path {path} holds {unfit.group()}, which lake tables cannot have in their path: name the folder "
            "without square brackets, \\, ^, |, and a % before two hexadecimal digits."
        )
    return path


def data_file(folder: Path, logged: str) -> str:
    """Return the absolute path of a data file, of which the log holds the percent-encoded path below *folder*."""
    return str(folder.absolute() / unquote(logged))
