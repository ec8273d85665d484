"""Control state from its events: made anew, as it was at any time, and back to that.

What is kept beside the events is derived. `rebuild` throws it away and reads all events again; that the same comes out
is what `Rebuilt.different` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy as sa

from orita.control.aggregates import Decisions, Held, Kind, deciding
from orita.control.events import ControlEvent, ControlLog, read_events
from orita.control.tables import STATES
from orita.core.clock import to_micros
from orita.core.errors import OritaError

__all__ = ["Kinds", "Rebuilt", "Thing", "rebuild", "restore", "things_at"]

Kinds = Mapping[str, Kind[Any]]
"""Every kind that there is, by name."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing of some kind, as it was at some time.

    Attributes:
        kind: which kind.
        held: its name, version and state.
        event: what was decided of it last.
    """

    kind: Kind[Any]
    held: Held[Any]
    event: ControlEvent

    @property
    def document(self) -> Any:
        """Return the state as plain JSON values."""
        return msgspec.to_builtins(self.held.state)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of a replay: how many events of how many things, and which things were kept otherwise."""

    events: int
    things: int
    different: tuple[str, ...]


def things_at(log: ControlLog, kinds: Kinds, moment: datetime | None = None) -> list[Thing]:
    """Return what there was at *moment* (None: now), by kind and name; what happened at that time is included.

    Raises:
        OritaError: a later Orita wrote some of it.
    """
    found = []
    for kind, _, events in _by_thing(log.events(until=moment), kinds):
        state = kind.folded(events)
        if state is not None:
            found.append(Thing(kind, Held(events[-1].name, events[-1].version, state), events[-1]))
    return found


def rebuild(log: ControlLog, kinds: Kinds) -> Rebuilt:
    """Make what is kept beside the events of a tenant anew, in one transaction, and say what was otherwise.

    Raises:
        OritaError: a later Orita wrote some of it; nothing is changed.
        Unavailable: the database is away or busy.
    """
    mine = STATES.c.tenant == log.tenant
    with log.database.writing() as connection:
        events = read_events(connection, log.tenant)
        before = {(row.kind, row.name): row for row in connection.execute(sa.select(STATES).where(mine))}
        connection.execute(STATES.delete().where(mine))
        different, things = [], 0
        for kind, name, its in _by_thing(events, kinds):
            row = {"version": its[-1].version, "position": its[-1].position, "state": kind.encoded(kind.folded(its))}
            connection.execute(STATES.insert().values(tenant=log.tenant, kind=kind.name, name=name, **row))
            kept = before.pop((kind.name, name), None)
            if kept is not None and any(getattr(kept, key) != value for key, value in row.items()):
                different.append(f"{kind.name} {name}")
            things += 1
        different += [f"{kind} {name}" for kind, name in before]
    return Rebuilt(len(events), things, tuple(sorted(different)))


def restore(
    log: ControlLog,
    kinds: Kinds,
    moment: datetime,
    *,
    actor: str,
    reason: str,
    only: Callable[[str, str], bool] = lambda kind, name: True,
    check: Callable[[Decisions], None] = lambda decisions: None,
) -> list[ControlEvent]:
    """Make things what they were at *moment*, by one event each; those that are so already get none.

    All of them change in one transaction. Things of a kind that goes back in a way of its own (`Kind.goes_back`) stay.

    Args:
        log: the events.
        kinds: every kind that there is.
        moment: what happened at that time is included.
        actor, reason: who restores, and why.
        only: whether a thing, by kind and name, is meant.
        check: refuses what would be a contradiction, by an error; nothing is changed then.

    Raises:
        OritaError: a later Orita wrote some of it; nothing is changed.
        Unavailable: the database is away or busy.
    """
    until, made = to_micros(moment), []
    with deciding(log) as decisions:
        for kind, name, events in _by_thing(decisions.events(), kinds):
            if kind.goes_back or not only(kind.name, name):
                continue
            then = [event for event in events if to_micros(event.at) <= until]
            change = decisions.of(kind, name)
            state = kind.folded(then)
            if kind.encoded(state) != kind.encoded(change.state):
                made.append(change.restore(state, then[-1].position if then else 0, actor=actor, reason=reason))
        check(decisions)
    return made


def _by_thing(events: list[ControlEvent], kinds: Kinds) -> Iterator[tuple[Kind[Any], str, list[ControlEvent]]]:
    """Yield things with their events, by kind and name."""

    def thing(event: ControlEvent) -> tuple[str, str]:
        return event.kind, event.name

    for (kind, name), its in groupby(sorted(events, key=lambda event: (*thing(event), event.version)), thing):
        if kind not in kinds:
            raise OritaError(
                f"control state has things of the kind {kind!r}, known are {', '.join(sorted(kinds))}: "
                "a later Orita wrote it, upgrade this one."
            )
        yield kinds[kind], name, list(its)
