"""Optional parts: imported where they are used, and a missing one says how to get it."""

from __future__ import annotations

import importlib
from types import ModuleType

from orita.core.errors import MissingExtra

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Import and return *module*, which comes with the optional part *extra*.

    Raises:
        MissingExtra: it is not installed; the sentence is the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingExtra(f"{module} is not installed: pip install 'orita[{extra}]'") from error
