"""What features and entities may be called: their names become columns, and parts of names of versions and of state."""

from __future__ import annotations

import re

from orita.core.errors import UserError

__all__ = ["check_declared"]

_NAME = re.compile(r"[^\W\d]\w*")


def check_declared(what: str, name: str) -> None:
    """Refuse what is not a name; *what* says whose, such as ``entity``.

    Raises:
        UserError: it is no word of letters, digits and ``_`` that begins with a letter or ``_``.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise UserError(
            f"{what} {name!r} is not a name: use letters, digits and '_', and begin with a letter or '_', as in "
            "'user_clicks'."
        )
