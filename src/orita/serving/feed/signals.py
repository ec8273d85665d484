"""Which declared features tell a feed what it needs to know: as configured, else found among the declarations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orita.core.errors import NotFound, UserError, closest
from orita.features.declarations import Aggregate, Attribute, AttributeAge, Key
from orita.features.system import System
from orita.serving.feed.config import FeedConfig

__all__ = ["Signals", "signals_of"]

_RATES = ("mean", "ratio", "decayed_mean")


@dataclass(frozen=True, slots=True)
class Signals:
    """Names of features.

    Attributes:
        popularity: their product says how popular an item is; none: nothing does.
        age: an item's age in days, or None.
        seen: above 0 where the user has seen the item, or None.
        topic: the item's attribute that says what it is about, or None.
        affinity: their product says how much the user likes a value of it; none: nothing does.
    """

    popularity: tuple[str, ...]
    age: str | None
    seen: str | None
    topic: str | None
    affinity: tuple[str, ...]


def signals_of(system: System, config: FeedConfig) -> Signals:
    """Return what tells a feed of *system* what it needs to know.

    Raises:
        NotFound: a feature or attribute that is configured is not declared; the sentence says what is.
        UserError: it tells something else.
    """
    given, user, item = config.signals, system.user, system.item
    topic = _topic(system, given.topic)
    likes: tuple[Key, ...] = (user, item[topic]) if topic is not None else ()
    popularity = given.popularity if given.popularity is not None else tuple(_counted(system, (item,)))
    affinity = given.affinity if given.affinity is not None else tuple(_counted(system, likes)) if likes else ()
    seen = given.seen or next(_aggregates(system, (user, item), ("count",)), None)
    age = given.age or next((name for name, made in system.declared.items() if _is_age(made, system)), None)
    for field, names in (("popularity", popularity), ("age", age), ("seen", seen), ("affinity", affinity)):
        for name in (names,) if isinstance(names, str) else names or ():
            _check(system, f"serving.feed.signals.{field}", name)
    if affinity and topic is None:
        raise UserError("serving.feed.signals.affinity is set, and no topic: name the item's attribute that it is of.")
    return Signals(popularity, age, seen, topic, affinity)


def _topic(system: System, given: str | None) -> str | None:
    columns = {column.name: column for column in system.item.attributes}
    if given is None:
        return next((name for name, column in columns.items() if column.type == "category" and column.choices), None)
    if given not in columns:
        raise NotFound(f"serving.feed.signals.topic is {given!r}, no attribute of the item. {closest(given, columns)}")
    if columns[given].type != "category" or not columns[given].choices:
        raise UserError(f"serving.feed.signals.topic is {given!r}: take a category attribute with declared choices.")
    return given


def _check(system: System, field: str, name: str) -> None:
    if name not in system.declared:
        raise NotFound(f"{field} names the feature {name!r}, which is not declared. {closest(name, system.declared)}")
    columns = system.schema([name]).names
    if columns != (name,):
        raise UserError(
            f"{field} names the feature {name!r}, which has {len(columns)} columns: name one of one column."
        )


def _counted(system: System, keys: tuple[Key, ...]) -> Iterator[str]:
    """Yield the count of the events with *keys*, and the mean of the label among them, as far as they are declared."""
    yield from list(_aggregates(system, keys, ("count",)))[:1]
    yield from list(_aggregates(system, keys, _RATES, label=True))[:1]


def _aggregates(
    system: System, keys: tuple[Key, ...], functions: Sequence[str], *, label: bool = False
) -> Iterator[str]:
    """Yield the features that are such aggregates of the system's own events, without a condition."""
    for name, made in system.declared.items():
        if not isinstance(made, Aggregate) or made.function not in functions or made.condition is not None:
            continue
        if set(made.keys) != set(keys) or made.reads or made.source != system.source:
            continue
        if not label or (made.value == system.label and made.denominator is None):
            yield name


def _is_age(made: object, system: System) -> bool:
    return isinstance(made, AttributeAge) and made.attribute == Attribute(system.item, made.attribute.column)
