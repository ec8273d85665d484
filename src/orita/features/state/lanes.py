"""Which pieces of the past a record keeps, and how they are laid out: a lane for what can share them.

A lane is a list of pieces by key, group and time, a row of float64 each, of one of four kinds:

- ``events``: what aggregates read of each event, for exact windows; several windows and functions share them;
- ``tiles``: merged slots of a stretch of time (a hop, a tumbling window, all time); several functions share them;
- ``values``: the different values of a stretch of time, for one exact count of them;
- ``sketches``: a HyperLogLog or KLL sketch of a stretch of time, as bytes behind the rows.

Events younger than the longest delay stay apart until it has passed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from orita.features.declarations import LIFETIME, Aggregate, Attribute
from orita.features.declaring.conditions import Condition
from orita.features.plan import AggregateSlots, Plan, Record
from orita.features.slots import slots_of
from orita.features.state.fields import FIELD_WIDTHS, Field, fields_of
from orita.features.state.layout import kept_in_slots

__all__ = ["Lane", "bare", "lanes_of"]

Kind = Literal["events", "tiles", "values", "sketches"]

_ID_WORDS = 5
_APART: dict[str, Kind] = {
    "distinct_days": "values",
    "distinct": "values",
    "approx_distinct": "sketches",
    "quantile": "sketches",
}


@dataclass(frozen=True, slots=True)
class Lane:
    """Pieces that some aggregates of a record share.

    Attributes:
        kind: what a piece is.
        condition, attribute: of which events, by which groups.
        tile: length of the stretches in microseconds; 0: each event; None: all time.
        seen: whether a piece keeps the time of its latest event apart from its own.
        fields: what is kept of an event, in a lane of events.
        measures: whose slots are kept, in a lane of tiles; what is counted or sketched, in one of values or sketches.
        members: the aggregates that are read from here.
    """

    kind: Kind
    condition: Condition | None
    attribute: Attribute | None
    tile: int | None
    seen: bool
    fields: tuple[Field, ...]
    measures: tuple[Aggregate, ...]
    members: tuple[AggregateSlots, ...]

    @property
    def delay(self) -> int:
        """The longest delay of its members: what is younger stays apart, microseconds."""
        return max(slots.aggregate.window.delay for slots in self.members)

    @property
    def timed(self) -> bool:
        """Whether a piece has a time; what counts for ever, and at once, needs none."""
        return self.tile is not None or self.delay > 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a piece that every kind has, where this lane needs them."""
        wanted = (("time", self.timed), ("group", self.attribute is not None), ("seen", self.seen))
        return tuple(name for name, needed in wanted if needed)

    @property
    def width(self) -> int:
        """The numbers of a piece."""
        match self.kind:
            case "events":
                body = _ID_WORDS + sum(FIELD_WIDTHS[kind] for kind, _ in self.fields)
            case "tiles":
                body = sum(len(slots_of(measure)) for measure in self.measures)
            case "values":
                body = 2 if self.seen else 1  # its bits; whether there is one, where events without one count too
            case "sketches":
                body = 1  # how many bytes it has
        return len(self.columns) + body


def bare(aggregate: Aggregate) -> Aggregate:
    """Return what tiles are kept of: the aggregate without its window, filter and keys, and what is made of it last."""
    same = aggregate.function in ("var", "std", "quantile")
    return replace(
        aggregate,
        function="var" if aggregate.function == "std" else aggregate.function,
        parameter=0 if same else aggregate.parameter,
        window=LIFETIME,
        keys=(),
        reads=(),
        condition=None,
        prior=None,
        time_to_live=0,
    )


def lanes_of(plan: Plan, record: Record) -> tuple[Lane, ...]:
    """Return the lanes of *record*, in the order in which its pasts hold them; none where slots suffice."""
    shared: dict[tuple[object, ...], list[AggregateSlots]] = {}
    for slots in record.aggregates:
        if not kept_in_slots(slots):
            shared.setdefault(_shares(slots.aggregate), []).append(slots)
    return tuple(_lane(plan, members) for members in shared.values())


def _kind(aggregate: Aggregate) -> Kind:
    return "events" if aggregate.window.tile == 0 else _APART.get(aggregate.function, "tiles")


def _shares(aggregate: Aggregate) -> tuple[object, ...]:
    kind = _kind(aggregate)
    apart = bare(aggregate) if kind in ("values", "sketches") else None
    seen = kind != "events" and aggregate.time_to_live > 0
    return kind, aggregate.condition, aggregate.attribute, aggregate.window.tile, apart, seen


def _lane(plan: Plan, members: list[AggregateSlots]) -> Lane:
    first = members[0].aggregate
    kind = _kind(first)
    fields = [field for slots in members for field in fields_of(slots.aggregate, plan)]
    measures = [bare(slots.aggregate) for slots in members]
    return Lane(
        kind=kind,
        condition=first.condition,
        attribute=first.attribute,
        tile=first.window.tile,
        seen=kind != "events" and first.time_to_live > 0,
        fields=tuple(dict.fromkeys(fields)) if kind == "events" else (),
        measures=tuple(dict.fromkeys(measures)) if kind != "events" else (),
        members=tuple(members),
    )
