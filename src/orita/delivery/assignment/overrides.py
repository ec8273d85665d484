"""Who sees a variant whatever the dice say: a user, a device, or whoever sends a header."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

from msgspec import Meta, Struct

from orita.delivery.assignment.attribute_tests import Attributes, value_text

__all__ = ["Override", "Overriding", "overriding"]


class Override(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose attribute is one of *values* gets *variant*.

    Attributes:
        attribute: such as ``user_id``, ``device_id`` or ``header.x-orita-variant``.
        values: text or numbers; 12 and "12" are one.
        variant: what they get.
    """

    attribute: Annotated[str, Meta(min_length=1)]
    values: tuple[str | int, ...]
    variant: str


Overriding = Callable[[Attributes], str | None]


def overriding(overrides: Iterable[Override]) -> Overriding | None:
    """Return the function from attributes to the variant of the first override that applies, None without any.

    An attribute that several overrides name is looked up once.
    """
    tables: dict[str, dict[str, str]] = {}
    for override in overrides:
        table = tables.setdefault(override.attribute, {})
        for value in override.values:
            table.setdefault(str(value), override.variant)
    if not tables:
        return None

    def variant(attributes: Attributes) -> str | None:
        for attribute, table in tables.items():
            value = attributes.get(attribute)
            if value is not None and (found := table.get(value_text(value))) is not None:
                return found
        return None

    return variant
