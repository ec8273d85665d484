"""Who a request is about: the first of some attributes that names a unit."""

from __future__ import annotations

from orita.delivery.assignment.hashing import Unit, is_whole
from orita.delivery.assignment.matching import Attributes

__all__ = ["unit_of"]


def unit_of(attributes: Attributes, by: tuple[str, ...]) -> Unit | None:
    """Return the first attribute of *by* that is text that is not empty or a whole number, None where none is."""
    for name in by:
        value = attributes.get(name)
        if (isinstance(value, str) and value) or is_whole(value):
            return value
    return None
