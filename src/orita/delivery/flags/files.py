"""Flags as JSON and YAML: read strictly, written back.

YAML is read as its version 1.2: ``on``, ``off``, ``yes`` and ``NO`` are text, so the variants of a boolean flag and the
country of Oslo need no quotes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from orita.core.errors import UserError
from orita.delivery.flags.declarations import FlagFile
from orita.delivery.yaml12 import from_yaml

__all__ = ["read_flags", "write_flags"]


def read_flags(text: bytes | str, form: Literal["json", "yaml"] = "json") -> FlagFile:
    """Return the flags of a document.

    Args:
        text: ``{"flags": [...], "segments": {...}}`` in UTF-8.
        form: how it is written.

    Raises:
        UserError: it cannot be read, has a key that is not known, or a value of another type; the place is told.
            Whether the flags fit together, `FlagSet.of` tells.
    """
    try:
        if form == "json":
            return msgspec.json.decode(text, type=FlagFile)
        return msgspec.convert(from_yaml(text), FlagFile)
    except RecursionError:
        raise UserError("the flags are nested too deep: name parts of the conditions as segments.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"the flags cannot be read as {form.upper()}: {error}.") from None


def write_flags(file: FlagFile, form: Literal["json", "yaml"] = "json") -> bytes:
    """Return the document of *file*, without what is as by default; `read_flags` gives it back equal."""
    return msgspec.yaml.encode(file) if form == "yaml" else msgspec.json.encode(file)
