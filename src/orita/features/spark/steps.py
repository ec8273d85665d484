"""In which exchanges of events and rows the reads of a plan are done: as few as the keys allow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from orita.features.declarations import Source
from orita.features.plan import Plan, Read

__all__ = ["Step", "steps_of"]


@dataclass(frozen=True, slots=True)
class Step:
    """Reads that are done once events and rows are brought together by some columns of their keys.

    Attributes:
        columns: of the rows; empty: everything comes to one place.
        reads: what is read, with the columns of its events that hold what *columns* hold in rows.
    """

    columns: tuple[str, ...]
    reads: list[tuple[Read, tuple[str, ...]]] = field(default_factory=list)

    @property
    def events(self) -> dict[tuple[Source, tuple[str, ...]], list[Read]]:
        """What is read, by the source and the columns by which its events are brought together."""
        found: dict[tuple[Source, tuple[str, ...]], list[Read]] = {}
        for read, columns in self.reads:
            found.setdefault((read.record.source, columns), []).append(read)
        return found


def steps_of(plan: Plan) -> tuple[Step, ...]:
    """Return the steps of *plan*, those of short keys first.

    What is read by user and item needs no exchange of its own where something is read by user: what one user did is in
    one place already.
    """
    steps: dict[tuple[str, ...], Step] = {}
    places = {plan.place(aggregate)[0] for aggregate in plan.aggregates}
    for read in sorted((plan.reads[place] for place in places), key=lambda read: len(_aligned(read))):
        aligned = _aligned(read)
        columns = next((c for c in steps if c and set(c) <= set(aligned)), tuple(aligned))
        steps.setdefault(columns, Step(columns)).reads.append((read, tuple(aligned[c] for c in columns)))
    return tuple(steps.values())


def _aligned(read: Read) -> dict[str, str]:
    """Return the columns of a read's key: in rows, and what holds the same in events."""
    told: Iterable[str] = (name for entity in read.record.entities for name in read.record.source.key_columns(entity))
    asked = (name for entity in read.entities for name in entity.columns)
    return dict(zip(asked, told, strict=True))
