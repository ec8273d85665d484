"""From a configuration to rules: those that are shipped, what a project changes, and the sentence when it cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from orita.core.config import Section
from orita.core.errors import closest
from orita.monitoring.alerting.rules import (
    AnomalyRule,
    BudgetRule,
    BurnRateRule,
    ReportRule,
    Rule,
    ThresholdRule,
)

__all__ = ["SHIPPED", "read_rules", "read_sections"]

_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,63}")
_KINDS: dict[str, type[Rule]] = {
    "threshold": ThresholdRule,
    "burn_rate": BurnRateRule,
    "anomaly": AnomalyRule,
    "budget": BudgetRule,
    "drift": ReportRule,
    "quality": ReportRule,
    "pipeline": ReportRule,
}

SHIPPED: Mapping[str, Mapping[str, Any]] = {
    "HIGH_ERROR_RATE": {
        "kind": "threshold",
        "measure": {"metric": "prediction_errors_total", "of": "requests_total"},
        "above": 0.05,
        "for": 120,
        "severity": "critical",
        "runbook": "docs/runbook.md#a-request-failed",
    },
    "HIGH_LATENCY": {
        "kind": "threshold",
        "measure": {"metric": "prediction_latency", "stat": "p99"},
        "above": 1.0,
        "for": 300,
        "severity": "critical",
        "runbook": "docs/runbook.md#high-latency",
    },
    "LOW_THROUGHPUT": {
        "kind": "threshold",
        "measure": {"metric": "requests_total", "stat": "per_minute"},
        "below": 100,
        "for": 600,
        "runbook": "docs/runbook.md#low-throughput",
    },
    "SERVER_DOWN": {
        "kind": "threshold",
        "measure": {"metric": "up", "by": ["instance"]},
        "below": 1,
        "for": 60,
        "severity": "critical",
        "summary": "{instance} does not answer.",
        "runbook": "docs/runbook.md#a-worker-ends-or-hangs",
    },
}
"""Limits of the platform's contract, and that servers answer; a project changes keys, replaces rules, or says null."""


def read_rules(given: Any) -> dict[str, Rule | None]:
    """Return the shipped rules with those of a configuration over them, by name; None: switched off.

    Args:
        given: by name, the keys of a rule; those of a shipped rule of that name and kind that are not given stay. None
            switches a rule off.

    Raises:
        ValueError: a name or a key is not allowed; the sentence says which, and what is.
    """
    if not isinstance(given, Mapping):
        raise ValueError("expected rules by name, such as 'MANY_ERRORS: {kind: threshold, …}'")
    rules: dict[str, Any] = {**SHIPPED}
    for name, own in given.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name of an alert; take capital letters, digits and _, such as MANY_ERRORS"
            )
        same = isinstance(own, Mapping) and own.get("kind", shipped_kind(name)) == shipped_kind(name)
        rules[name] = {**SHIPPED.get(name, {}), **_by_alias(own)} if same else own
    return {name: None if keys is None else _read(name, keys) for name, keys in rules.items()}


def _by_alias(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {"for" if key == "wait" else key: value for key, value in keys.items()}


def shipped_kind(name: str) -> str | None:
    """Return the kind of the shipped rule *name*, None where there is none."""
    return SHIPPED[name]["kind"] if name in SHIPPED else None


def _read(name: str, keys: Any) -> Rule:
    if isinstance(keys, tuple(_KINDS.values())):
        return cast("Rule", keys)
    if not isinstance(keys, Mapping):
        raise ValueError(f"the rule {name} is {keys!r}: expected its keys, or null to switch it off")
    kind = keys.get("kind")
    if kind not in _KINDS:
        raise ValueError(f"the rule {name} has the kind {kind!r}. {closest(str(kind), _KINDS)}")
    rule: Rule = _section(f"the rule {name}", _KINDS[kind], keys)
    return rule


def read_sections(what: str, section: type[Section], given: Any) -> dict[str, Any]:
    """Return the sections of a mapping by name, with a sentence of ours where one is wrong.

    Raises:
        ValueError: a key or a value is not allowed.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"expected keys of {what} by name")
    for name in given:
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
            raise ValueError(f"{name!r} is no name of {what}; take small letters, digits and _, such as availability")
    return {
        name: keys if isinstance(keys, section) else _section(f"{what} {name}", section, keys)
        for name, keys in given.items()
        if keys is not None
    }


def _section(what: str, section: Any, keys: Any) -> Any:
    try:
        return section.model_validate(keys)
    except ValidationError as error:
        # A key that is misspelt is missing too: what was written is told, not what was meant.
        first = min(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ValueError(f"{what} has no key {key!r}. {_closest(section, first['loc'])}") from None
        if first["type"] == "missing":
            raise ValueError(f"{what} lacks the key {key!r}") from None
        said = str(first["msg"]).removeprefix("Value error, ")
        about = f"{key!r} is {first['input']!r}: " if key and not isinstance(first["input"], Mapping) else ""
        raise ValueError(f"{what}: {about}{said[:1].lower()}{said[1:]}") from None


def _closest(section: type[Section], path: tuple[int | str, ...]) -> str:
    here: Any = section
    for part in path[:-1]:
        field = here.model_fields.get(str(part)) if hasattr(here, "model_fields") else None
        here = field.annotation if field else here
    known = [field.alias or name for name, field in getattr(here, "model_fields", {}).items()]
    return closest(str(path[-1]), known)
