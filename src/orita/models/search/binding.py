"""From a declared space to parameters that the typed configuration takes: every key and value is tried on it first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from orita.core.config import Section
from orita.core.errors import UserError, closest
from orita.models.search.space import Declared, label, read_declared

__all__ = ["Parameter", "bind", "combinations", "value_at", "with_values"]

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One key that is searched.

    Attributes:
        key: its dotted name.
        kind: ``choice``, or what a range holds.
        choices: plain values, of ``choice``.
        low, high: ends of a range, both included.
        log, step: as declared; *step* of whole numbers is at least 1.
        when: keys that stand before this one, and the choices of each under which it is tried.
    """

    key: str
    kind: Literal["choice", "int", "float"]
    choices: tuple[Any, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    step: float | None = None
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def active(self, chosen: Mapping[str, Any]) -> bool:
        """Tell whether it is tried beside what was chosen for the keys before it."""
        return all(key in chosen and chosen[key] in wanted for key, wanted in self.when.items())

    @property
    def labels(self) -> tuple[str, ...]:
        """The choices as texts."""
        return tuple(label(value) for value in self.choices)

    def grid(self) -> tuple[Any, ...]:
        """Return every value, in order.

        Raises:
            UserError: there is no end of them.
        """
        if self.kind == "choice":
            return self.choices
        if self.step is None or self.log:
            raise UserError(
                f"search.sampler is 'grid', and {self.key!r} has a range without a step: give it a step or choices."
            )
        values = [self.low + self.step * n for n in range(math.floor((self.high - self.low) / self.step + 1e-9) + 1)]
        return tuple(int(value) if self.kind == "int" else value for value in values)

    def describe(self) -> dict[str, Any]:
        """Return the parameter as plain JSON values."""
        when = {"when": {key: list(wanted) for key, wanted in self.when.items()}} if self.when else {}
        if self.kind == "choice":
            return {"choices": list(self.choices), **when}
        return {"kind": self.kind, "low": self.low, "high": self.high, "log": self.log, "step": self.step, **when}


def bind(
    space: Mapping[str, Any], config: Section, roots: Sequence[str], free: Sequence[str] = ()
) -> tuple[Parameter, ...]:
    """Return the parameters of *space*, those that others depend on first.

    Args:
        space: what is declared, by key (`space.flat_space`).
        config: what is not searched, and what every key and value is tried on.
        roots: the sections whose keys may be searched.
        free: mappings, by dotted key, of which any key may be searched, also one that *config* does not name.

    Raises:
        UserError: a key does not exist, a value is not allowed there, or a condition can never hold.
    """
    tree = config.model_dump(mode="json")
    known = [key for root in roots for key in _leaves(tree[root], f"{root}.")]
    for key in space:
        if key not in known and key.rpartition(".")[0] not in free:
            raise UserError(_unknown(key, known, roots))
    found: dict[str, Parameter] = {}
    waiting = {key: read_declared(value) for key, value in space.items()}
    while waiting:
        ready = [key for key, declared in waiting.items() if not set(declared.when) & set(waiting)]
        if not ready:
            raise UserError(f"search.space has conditions in a circle: {', '.join(waiting)} wait for one another.")
        for key in ready:
            declared = waiting.pop(key)
            # A typed key makes 0 or 0.0 of either; of a free one only what is written says which is meant.
            fractions = not declared.whole and key.rpartition(".")[0] in free
            found[key] = _bound(key, declared, config, found, fractions=fractions)
    return tuple(found.values())


def with_values(config: S, values: Mapping[str, Any]) -> S:
    """Return *config* with *values* at their dotted keys.

    Raises:
        pydantic.ValidationError: a value is not allowed.
    """
    tree = config.model_dump()
    for key, value in values.items():
        *branches, leaf = key.split(".")
        branch = tree
        for name in branches:
            branch = branch.setdefault(name, {})
        branch[leaf] = value
    return type(config).model_validate(tree, context=config.known)


def value_at(config: Section, key: str) -> Any:
    """Return the value at a dotted key as a plain JSON value."""
    found: Any = config.model_dump(mode="json")
    for name in key.split("."):
        found = found[name]
    return found


def combinations(
    parameters: Sequence[Parameter], chosen: Mapping[str, Any] | None = None
) -> Iterator[Mapping[str, Any]]:
    """Yield every combination of values that the conditions allow, in order.

    Raises:
        UserError: a range has no end of values.
    """
    chosen = chosen or {}
    if not parameters:
        yield chosen
        return
    first, *rest = parameters
    if not first.active(chosen):
        yield from combinations(rest, chosen)
        return
    for value in first.grid():
        yield from combinations(rest, {**chosen, first.key: value})


def _leaves(tree: Mapping[str, Any], at: str) -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{at}{name}.")
        else:
            yield f"{at}{name}"


def _unknown(key: str, known: Sequence[str], roots: Sequence[str]) -> str:
    inside = [name for name in known if name.startswith(f"{key}.")]
    if inside:
        return f"search.space names the section {key!r}; name its keys, such as {inside[0]!r}."
    if key.partition(".")[0] not in roots:
        only = " and ".join(roots)
        return f"search.space names {key!r}; what can be searched are keys of {only}, such as {known[0]!r}."
    near = {name.rpartition(".")[2]: name for name in known} | {name: name for name in known}
    hint = closest(key, known)
    last = key.rpartition(".")[2]
    if "Did you mean" not in hint:
        hint = f"Did you mean {near[last]!r}?" if last in near else "'orita config' lists all keys."
    return f"search.space names {key!r}, which is not a known key. {hint}"


def _bound(
    key: str, declared: Declared, config: Section, before: Mapping[str, Parameter], *, fractions: bool
) -> Parameter:
    when = _conditions(key, declared.when, config, before)
    beside = {name: wanted[0] for name, wanted in when.items()}
    for name in list(beside):  # a condition may hang on another one
        beside = {**{k: w[0] for k, w in before[name].when.items()}, **beside}
    if declared.choices:
        values = tuple(_typed(key, value, config, beside) for value in declared.choices)
        for n, value in enumerate(values):
            if value in values[:n]:
                raise UserError(f"search.space: {key!r} has the choice {label(value)} twice, however it is written.")
        return Parameter(key, "choice", choices=values, when=when)
    ends = (end if fractions else _whole(end) for end in (declared.low, declared.high))
    low, high = (_typed(key, end, config, beside) for end in ends)
    if isinstance(low, bool) or not isinstance(low, int | float):
        raise UserError(f"search.space: {key!r} takes no numbers, so it has no range: give choices.")
    kind: Literal["int", "float"] = "int" if isinstance(low, int) and isinstance(high, int) else "float"
    step = declared.step
    if kind == "int" and not declared.log:
        step = 1 if step is None else step
        if step != int(step):
            raise UserError(f"search.space: {key!r} takes whole numbers, so its step {step:g} must be one.")
    if step is not None:
        high = low + type(low)(step) * math.floor((high - low) / step + 1e-9)  # the last value that steps meet
    return Parameter(key, kind, low=low, high=high, log=declared.log, step=step, when=when)


def _conditions(
    key: str, when: Mapping[str, tuple[Any, ...]], config: Section, before: Mapping[str, Parameter]
) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for name, wanted in when.items():
        parent = before.get(name)
        if parent is None or parent.kind != "choice":
            raise UserError(
                f"search.space: {key!r} is tried when {name!r} has a value, so {name!r} must be in the space too, "
                "with choices."
            )
        values = tuple(_typed(name, value, config, {}) for value in wanted)
        for value in values:
            if value not in parent.choices:
                raise UserError(
                    f"search.space: {key!r} is tried when {name!r} is {label(value)}, which is none of its choices. "
                    f"{closest(label(value), parent.labels)}"
                )
        found[name] = values
    return found


def _typed(key: str, value: Any, config: Section, beside: Mapping[str, Any]) -> Any:
    """Return *value* as the configuration has it at *key*, where *beside* holds."""
    try:
        return value_at(with_values(config, {**beside, key: value}), key)
    except ValidationError as error:
        message = str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
        sentence = message[:1].lower() + message[1:] + ("" if message.endswith((".", "?")) else ".")
        raise UserError(f"search.space: {key!r} cannot have the value {label(value)}: {sentence}") from None


def _whole(number: float) -> float:
    """Return a whole number as an int, which fields of either kind take."""
    return int(number) if number == int(number) else number
