"""What may be the name of something that is a folder, a key or a label everywhere: tenants, streams, groups."""

from __future__ import annotations

import re

from orita.core.errors import UserError

__all__ = ["check_name", "is_name"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def is_name(text: str) -> bool:
    """Tell whether *text* is 1 to 63 lower-case letters, digits, ``-`` or ``_``, beginning with a letter or digit."""
    return _NAME.fullmatch(text) is not None


def check_name(what: str, name: str) -> None:
    """Refuse what is not a name; *what* says whose, such as ``tenant``.

    Raises:
        UserError: *name* is not one.
    """
    if not is_name(name):
        raise UserError(
            f"{what} {name!r} is not a name: use 1 to 63 lower-case letters, digits, '-' or '_', "
            "starting with a letter or digit."
        )
