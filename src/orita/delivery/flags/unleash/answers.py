"""Requests and answers of Unleash in the words of flags, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orita.delivery.flags.evaluation import Evaluation

__all__ = ["attributes_of", "is_enabled", "variant_of"]


def attributes_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of an Unleash context: its fields, and its properties where no field has their name."""
    fields = {name: value for name, value in context.items() if name != "properties"}
    return {**(context.get("properties") or {}), **fields}


def is_enabled(found: Evaluation) -> bool:
    """Tell whether the feature is on."""
    return bool(found.value.get("enabled")) if isinstance(found.value, Mapping) else found.value is True


def variant_of(found: Evaluation) -> dict[str, Any]:
    """Return the variant as Unleash tells it: name, enabled, feature_enabled, and the payload where it has one."""
    value = found.value if isinstance(found.value, Mapping) else {}
    on, chosen = is_enabled(found), "name" in value
    payload = {"payload": value["payload"]} if "payload" in value else {}
    return {"name": value["name"] if chosen else "disabled", "enabled": chosen, "feature_enabled": on, **payload}
