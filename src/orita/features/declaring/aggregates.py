"""What is computed of the earlier events of a key: an aggregate, and the methods that say of which of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Literal, overload

from orita.core.errors import UserError
from orita.features.declaring.conditions import Condition, columns_of
from orita.features.declaring.entities import Attribute, Entity, Key
from orita.features.declaring.windows import LIFETIME, Window, duration_micros
from orita.features.transforms import Derivable

if TYPE_CHECKING:
    from orita.features.declaring.sources import EventColumn, Residual, Source

__all__ = ["Aggregate", "Decay", "Elapsed", "Function", "Prior", "Several", "whole"]

Function = Literal[
    "count", "sum", "mean", "ratio", "min", "max", "var", "std", "first", "last", "first_time", "last_time",
    "distinct_days", "distinct", "approx_distinct", "quantile", "decayed_sum", "decayed_mean",
]  # fmt: skip

_DEFAULT_CAP = 10_000
_LARGEST_CAP = 1_000_000
_ADDITIVE = ("count", "sum", "mean", "ratio")


@dataclass(frozen=True, slots=True)
class Prior:
    """Smoothing: as if *weight* earlier events had had the value *mean*."""

    mean: float
    weight: float


@dataclass(frozen=True, slots=True)
class Aggregate(Derivable):
    """A function of the earlier events that share the row's keys (no keys: of all earlier events).

    Attributes:
        source: whose events.
        function: what is computed; `Source` has a method for each.
        value: the column that is read, None where only the events themselves count.
        denominator: what a ratio divides by, None: the number of events.
        keys: what events are grouped by.
        reads: the entities by whose ids a row looks it up, where they are not the keys themselves.
        condition: which of the earlier events count, None: all.
        window: which of those.
        parameter: ddof of a variance, share of a quantile, half-life in microseconds, cap or lg k of distinct values.
        prior: smoothing of a mean or a ratio.
        time_to_live: microseconds after its last event from which on the value is missing; 0: never.
    """

    source: Source
    function: Function
    value: EventColumn | Residual | None = None
    denominator: EventColumn | None = None
    keys: tuple[Key, ...] = ()
    reads: tuple[Entity, ...] = ()
    window: Window = LIFETIME
    condition: Condition | None = None
    parameter: float = 0
    prior: Prior | None = None
    time_to_live: int = 0

    def by(self, *keys: Key) -> Aggregate:
        """Group by entities and at most one categorical attribute.

        Raises:
            UserError: a key repeats, is not categorical, or a second attribute is given.
        """
        for key in keys:
            if not isinstance(key, Entity | Attribute):
                raise UserError(f"by() takes entities and attributes of entities, not {type(key).__name__} {key!r}.")
        attributes = [key for key in keys if isinstance(key, Attribute)]
        for attribute in attributes:
            if not (attribute.categorical and attribute.values):
                raise UserError(
                    f"by({attribute.name}) needs an attribute with declared values: "
                    "give its column the type 'category' or 'list', and choices."
                )
        if len(attributes) > 1:
            raise UserError(f"by() takes one attribute at most, got {[a.name for a in attributes]}.")
        if len(set(keys)) != len(keys):
            raise UserError("by() names a key twice.")
        if attributes and attributes[0].many and (self.function not in _ADDITIVE or self.window != LIFETIME):
            raise UserError(
                f"{self.function}() over {self.window.kind} cannot be keyed by {attributes[0].name!r}, which holds "
                "several values a row; count(), sum(), mean() and ratio() over all time can."
            )
        for key in keys:
            if isinstance(key, Entity):
                self.source.key_columns(key)
        return replace(self, keys=keys, reads=())

    def for_(self, *entities: Entity) -> Aggregate:
        """Look the value up by the ids of *entities*, one for each entity in `by`, which are of the same kinds.

        ``transfers.count().by(payer).for_(payee)`` is how often the payee of a row has paid.
        """
        for entity in entities:
            if not isinstance(entity, Entity):
                raise UserError(f"for_() takes entities, such as card.role('payee', 'payee_id'), not {entity!r}.")
        kinds, wanted = [e.kind for e in self.entities], [e.kind for e in entities]
        if kinds != wanted:
            raise UserError(f"for_() needs entities of the kinds {kinds}, as in by(), got {wanted}.")
        return replace(self, reads=entities)

    @overload
    def over(self, width: str, /, *, hop: str | None = None, cap: int | None = None) -> Aggregate: ...
    @overload
    def over(
        self, width: str, second: str, /, *more: str, hop: str | None = None, cap: int | None = None
    ) -> Several: ...
    def over(self, width: str, /, *more: str, hop: str | None = None, cap: int | None = None) -> Aggregate | Several:
        """Take only the events of the last *width*: those in [t − width, t).

        Args:
            width: such as ``7d``.
            more: further widths: each becomes a feature of its own, named after it (``spent_1d``, ``spent_7d``).
            hop: round the beginning down to a multiple of it: state is kept a hop, not an event.
            cap: without a hop, take the latest *cap* events at most (1 … 1,000,000), by default 10,000.

        Raises:
            UserError: a width is none or there twice, the hop is longer than a width, or a cap is given with a hop.
        """
        if more:
            return Several(tuple((w, self.over(w, hop=hop, cap=cap)) for w in _different((width, *more))))
        long = duration_micros(width, "over()")
        step = 0 if hop is None else duration_micros(hop, "hop")
        if step > long:
            raise UserError(f"over({width!r}, hop={hop!r}): a hop may not be longer than the window.")
        if step and cap is not None:
            raise UserError("over(hop=…, cap=…): a window with a hop keeps no events, so that it needs no cap.")
        return self._windowed(Window("sliding", long, step, cap=0 if step else _cap(cap)))

    def tumbling(self, width: str) -> Aggregate:
        """Take only the events since the last multiple of *width* since the Unix epoch (``1d``: since midnight UTC)."""
        return self._windowed(Window("tumbling", duration_micros(width, "tumbling()")))

    def session(self, gap: str, cap: int | None = None) -> Aggregate:
        """Take only the events since the last pause of *gap* or longer, the latest *cap* of the key at most."""
        return self._windowed(Window("session", duration_micros(gap, "session()"), cap=_cap(cap)))

    def delayed(self, delay: str) -> Aggregate:
        """See events only *delay* after their time: windows are [t − delay − width, t − delay)."""
        return replace(self, window=replace(self.window, delay=duration_micros(delay, "delayed()")))

    def where(self, condition: Condition) -> Aggregate:
        """Take only events for which *condition* holds, such as ``payments.amount > 100``.

        Raises:
            UserError: it is no condition, or reads a column that the source lacks.
        """
        if not isinstance(condition, Condition):
            raise UserError(
                f"where() takes a condition such as source.amount > 100, not {type(condition).__name__} {condition!r}; "
                "for == and != write source.kind.equals('x') and ~source.kind.equals('x')."
            )
        for name in columns_of(condition):
            self.source.column(name)
        return replace(self, condition=condition if self.condition is None else self.condition & condition)

    def ttl(self, age: str) -> Aggregate:
        """Make the value missing, a count too, where the latest event it sees is *age* old or older."""
        return replace(self, time_to_live=duration_micros(age, "ttl()"))

    def smooth(self, prior: float, weight: float) -> Aggregate:
        """Shrink a mean or ratio towards *prior* as if *weight* (> 0) events had had it.

        From then on it is missing only where the denominator of a ratio and *weight* add up to 0.
        """
        numbers = all(isinstance(each, (int, float)) and isfinite(each) for each in (prior, weight))
        if self.function not in ("mean", "ratio") or not (numbers and weight > 0):
            raise UserError("smooth(prior, weight) applies to mean() and ratio(), and needs numbers, weight > 0.")
        return replace(self, prior=Prior(prior, weight))

    def decay(self, half_life: str) -> Decay:
        """Return 0.5 ^ (time since ÷ *half_life*) of a ``last_time``, 0 if there was none."""
        if self.function != "last_time":
            raise UserError(f"decay() applies to last_time(), not to {self.function}().")
        return Decay(self, duration_micros(half_life, "half_life"))

    def age(self) -> Elapsed:
        """Return the days since a ``last_time`` or ``first_time``, missing if there was none."""
        if self.function not in ("last_time", "first_time"):
            raise UserError(f"age() applies to last_time() and first_time(), not to {self.function}().")
        return Elapsed(self)

    @property
    def entities(self) -> tuple[Entity, ...]:
        """The entities among the keys: the columns by which events are grouped."""
        return tuple(key for key in self.keys if isinstance(key, Entity))

    @property
    def looked_up(self) -> tuple[Entity, ...]:
        """The entities by whose ids a row finds the value, one for each of `entities`."""
        return self.reads or self.entities

    @property
    def attribute(self) -> Attribute | None:
        """The attribute among the keys."""
        return next((key for key in self.keys if isinstance(key, Attribute)), None)

    def _windowed(self, window: Window) -> Aggregate:
        if self.attribute is not None and self.attribute.many:
            raise UserError(
                f"a window cannot be keyed by {self.attribute.name!r}, which holds several values a row: "
                "leave the window out, or use an attribute of one value."
            )
        return replace(self, window=replace(window, delay=self.window.delay))


@dataclass(frozen=True, slots=True)
class Several(Derivable):
    """One aggregate over several windows: a feature each, named after the window.

    Nothing more is made of them together: what needs one value says so.
    """

    each: tuple[tuple[str, Aggregate], ...]

    def by(self, *keys: Key) -> Several:
        """Group each, see `Aggregate.by`."""
        return self._with(lambda aggregate: aggregate.by(*keys))

    def for_(self, *entities: Entity) -> Several:
        """Look each up by the ids of *entities*, see `Aggregate.for_`."""
        return self._with(lambda aggregate: aggregate.for_(*entities))

    def delayed(self, delay: str) -> Several:
        """Delay each, see `Aggregate.delayed`."""
        return self._with(lambda aggregate: aggregate.delayed(delay))

    def where(self, condition: Condition) -> Several:
        """Filter each, see `Aggregate.where`."""
        return self._with(lambda aggregate: aggregate.where(condition))

    def ttl(self, age: str) -> Several:
        """Limit the age of each, see `Aggregate.ttl`."""
        return self._with(lambda aggregate: aggregate.ttl(age))

    def smooth(self, prior: float, weight: float) -> Several:
        """Smooth each, see `Aggregate.smooth`."""
        return self._with(lambda aggregate: aggregate.smooth(prior, weight))

    if not TYPE_CHECKING:  # a type checker knows that these are not there

        def __getattr__(self, name: str) -> None:
            if name.startswith("_") or not callable(getattr(Aggregate, name, None)):
                raise AttributeError(name)
            raise UserError(f"{name}() is of one window: write over({self.each[0][0]!r}).{name}(…), a feature each.")

    def _with(self, change: Callable[[Aggregate], Aggregate]) -> Several:
        return Several(tuple((width, change(aggregate)) for width, aggregate in self.each))


@dataclass(frozen=True, slots=True)
class Decay(Derivable):
    """How recent a last time is: 0.5 ^ (age ÷ half-life), 0 if never."""

    last: Aggregate
    half_life: int


@dataclass(frozen=True, slots=True)
class Elapsed(Derivable):
    """Days since a time that an aggregate found."""

    since: Aggregate


def _cap(cap: int | None) -> int:
    return _DEFAULT_CAP if cap is None else whole(cap, 1, _LARGEST_CAP, f"cap={cap!r}")


def whole(value: int, least: int, most: int, what: str, more: str = "") -> int:
    """Return *value*, a whole number from *least* to *most*; *what* says how it was written, *more* what else to do.

    Raises:
        UserError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UserError(f"{what}: allowed are whole numbers from {least} to {most}{more}.")
    return value


def _different(widths: tuple[str, ...]) -> tuple[str, ...]:
    """Return *widths*; refuse two of one length."""
    first: dict[int, str] = {}
    for width in widths:
        micros = duration_micros(width, "over()")
        if micros in first:
            raise UserError(f"over({', '.join(map(repr, widths))}): {first[micros]!r} and {width!r} are one window.")
        first[micros] = width
    return widths
