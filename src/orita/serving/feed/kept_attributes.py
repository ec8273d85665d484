"""Which attributes of items a feed goes by, and where the rows of the online store have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orita.core.errors import NotFound, UserError, closest
from orita.features.plan import AttributeSlots, Read
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.signals import Signals

__all__ = ["attributes_gone_by"]


def attributes_gone_by(read: Read | None, config: FeedConfig, signals: Signals) -> Mapping[str, AttributeSlots]:
    """Return where each attribute stands that rules, diversity and topics go by.

    Args:
        read: of items alone; None: nothing is kept of them.
        config: names attributes, and their values.
        signals: names the topic, which goes without where no feature reads it.

    Raises:
        NotFound: no feature reads an attribute that the configuration names.
        UserError: a value is not declared.
    """
    held = {slots.attribute.column.name: slots for slots in (read.record.attributes if read else ())}
    known = {name: slots for name, slots in held.items() if slots.attribute.values}
    wanted = {}
    for rule in config.rules:
        place = f"serving.feed.rules ({rule.kind})"
        wanted[rule.attribute] = _slots(known, rule.attribute, place)
        for value in () if rule.kind == "cap" else rule.values:
            _check_value(wanted[rule.attribute].attribute.values, value, f"{place} of {rule.attribute!r}")
    for name in config.diversity.attributes:
        wanted[name] = _slots(known, name, "serving.feed.diversity.attributes")
    if signals.topic is not None and signals.topic in known:
        wanted[signals.topic] = known[signals.topic]
    return wanted


def _slots(known: Mapping[str, AttributeSlots], name: str, place: str) -> AttributeSlots:
    if name not in known:
        hint = closest(name, known) if known else "No feature reads any."
        raise NotFound(f"{place} names the attribute {name!r}: no category of the item that a feature reads. {hint}")
    return known[name]


def _check_value(values: Sequence[str], value: str, place: str) -> None:
    if value not in values:
        raise UserError(f"{place} names the value {value!r}, which is not declared. {closest(value, values)}")
