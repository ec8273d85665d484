"""The grammar of a search space: for each key a list of choices, or a range; and under which condition it is tried.

    model.type: [two_tower, lightgbm]
    training.learning_rate: {low: 1e-4, high: 1e-2, log: true}
    model.lightgbm.num_leaves: {low: 15, high: 255, step: 8, when: {model.type: lightgbm}}

Here only the form is checked; whether the keys exist and take the values is known to the configuration (`binding`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orita.core.errors import closest

__all__ = ["Declared", "check_declared", "flat_space", "label", "read_declared"]

_RANGE = ("low", "high", "log", "step")
_WORDS = (*_RANGE, "choices", "when")


@dataclass(frozen=True, slots=True)
class Declared:
    """What the configuration says of one key.

    Attributes:
        choices: what may stand there; empty for a range.
        low, high: ends of a range, both included.
        log: whether the range is drawn from by its logarithm.
        step: what values are apart in a range; None: any value between.
        whole: whether the range is written in whole numbers, as 0 and not as 0.0.
        when: other keys, and the choices of each under which this one is tried.
    """

    choices: tuple[Any, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    step: float | None = None
    whole: bool = False
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


def flat_space(tree: object) -> object:
    """Return a space with every key written out, from one whose keys may be nested; a key without a value is dropped.

    Options of the command line come nested and last: one that says only part of a range is put over the range.
    """
    if tree is None:
        return {}
    if not isinstance(tree, Mapping):
        return tree
    found: dict[str, Any] = {}
    for key, value in _flat(tree):
        before = found.get(key)
        part = isinstance(value, Mapping) and "choices" not in value and not {"low", "high"} <= set(value)
        found[key] = {**before, **value} if part and isinstance(before, Mapping) else value
    return {key: value for key, value in found.items() if value is not None}


def _flat(tree: Mapping[Any, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{at}{name}"
        if isinstance(value, Mapping) and value and not set(value) & set(_WORDS):
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def check_declared(value: Any) -> Any:
    """Return *value* if `read_declared` can read it."""
    read_declared(value)
    return value


def read_declared(value: Any) -> Declared:
    """Read what is said of one key.

    Raises:
        ValueError: it is neither a list of choices nor a range, or a part of it is not allowed.
    """
    if isinstance(value, list | tuple):
        value = {"choices": value}
    if not isinstance(value, Mapping):
        raise ValueError("expected a list of choices, or low and high, such as {low: 1e-4, high: 1e-2, log: true}")
    for word in value:
        if word not in _WORDS:
            raise ValueError(f"{word!r} is not known here. {closest(str(word), _WORDS)}")
    when = _conditions(value.get("when"))
    if "choices" in value:
        spare = [word for word in _RANGE if word in value]
        if spare:
            raise ValueError(f"it has choices and {spare[0]}; give either choices or a range")
        return Declared(choices=_choices(value["choices"]), when=when)
    return _range(value, when)


def _choices(values: object) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple) or len(values) < 2:
        raise ValueError("expected a list of at least two choices")
    labels = [label(value) for value in values]
    twice = next((name for name in labels if labels.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the choice {twice} is there twice")
    return tuple(values)


def _range(value: Mapping[str, Any], when: Mapping[str, tuple[Any, ...]]) -> Declared:
    for end in ("low", "high"):
        if end not in value:
            raise ValueError(f"{end!r} is missing: a range has low and high, both included")
    low, high = (_number(end, value[end]) for end in ("low", "high"))
    if not low < high:
        raise ValueError(f"low {value['low']} is not below high {value['high']}")
    log = value.get("log", False)
    if not isinstance(log, bool):
        raise ValueError(f"log has the value {log!r}, expected true or false")
    step = None if value.get("step") is None else _number("step", value["step"])
    if step is not None and not 0 < step <= high - low:
        raise ValueError(f"step {value['step']} is not above 0 and at most high − low, {high - low:g}")
    if log and (low <= 0 or step is not None):
        raise ValueError("a range with log has a low above 0, and no step")
    whole = all(isinstance(value[word], int) for word in ("low", "high", "step") if value.get(word) is not None)
    return Declared(low=low, high=high, log=log, step=step, whole=whole, when=when)


def _number(name: str, value: object) -> float:
    """Return a number; YAML reads 1e-4, without a dot, as a text, which is meant as a number here."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} has the value {value!r}, expected a number")
    return number


def _conditions(value: object) -> Mapping[str, tuple[Any, ...]]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not value:
        raise ValueError(
            f"when has the value {value!r}, expected a key and its choices, such as {{model.type: linear}}"
        )
    found = {}
    for key, wanted in _flat(value):
        found[key] = tuple(wanted) if isinstance(wanted, list | tuple) else (wanted,)
        if not found[key]:
            raise ValueError(f"when names no choice of {key}")
    return found


def label(value: Any) -> str:
    """Return a choice as a text: texts as they are, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
