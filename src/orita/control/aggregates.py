"""Things whose state follows from their events (event sourcing): commands decide, events are kept, states follow.

A command looks at the state, decides, and records one event; both in one transaction, so no two commands decide on the
same state. The state beside the events is there to be read quickly: it can be thrown away and made again
(`orita.control.replay`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import sqlalchemy as sa

from orita.control.database import ControlDatabase
from orita.control.events import (
    Conflict,
    ControlEvent,
    ControlLog,
    Entry,
    KeptState,
    Writing,
    read_events,
    read_states,
)
from orita.control.leases import Lease
from orita.core.clock import Clock
from orita.core.errors import NotFound, OritaError, UserError, closest
from orita.core.home import DEFAULT_TENANT

__all__ = ["RESTORED", "Aggregates", "Change", "Decisions", "Held", "Keeper", "Kind", "deciding"]

S = TypeVar("S", bound=msgspec.Struct)

_PAGE = 50
RESTORED = "restored"
"""The type of an event that sets the state to one of before; every kind has it."""


class _Restored(msgspec.Struct, frozen=True):
    """The body of such an event: the state, None: not there, and the event after which it was so."""

    state: Any
    as_of: int


@dataclass(frozen=True, slots=True)
class Kind(Generic[S]):
    """What things of one kind are.

    Attributes:
        name: such as ``flag``.
        state: what is known of one.
        types: what may happen to one, besides being restored.
        evolve: returns the state after an event (None: not there any more) from the one before (None: before the
            first); it is given the event with its body decoded.
        goes_back: the command by which its things go back to what they were, where restoring their state is not
            enough; "" where it is.
    """

    name: str
    state: type[S]
    types: tuple[str, ...]
    evolve: Callable[[S | None, ControlEvent, Any], S | None]
    goes_back: str = ""

    def after(self, state: S | None, event: ControlEvent) -> S | None:
        """Return the state after *event*.

        Raises:
            OritaError: the event is none of this kind, or was written by a later Orita.
        """
        try:
            body = msgspec.json.decode(event.body)
            if event.type == RESTORED:
                return None if body["state"] is None else msgspec.convert(body["state"], self.state)
            if event.type not in self.types:
                raise KeyError(event.type)
            return self.evolve(state, event, body)
        except (msgspec.ValidationError, KeyError) as error:
            raise OritaError(
                f"event {event.position} of control state ({event.kind} {event.name!r}, {event.type!r}) cannot be "
                f"read: {error}. If a later Orita wrote it, upgrade this one."
            ) from error

    def folded(self, events: Iterable[ControlEvent]) -> S | None:
        """Return the state after all *events* of one thing."""
        state: S | None = None
        for event in events:
            state = self.after(state, event)
        return state

    def encoded(self, state: S | None) -> str | None:
        """Return a state as JSON."""
        return None if state is None else msgspec.json.encode(state).decode()

    def decoded(self, state: str | None) -> S | None:
        """Return what `encoded` wrote."""
        return None if state is None else msgspec.json.decode(state, type=self.state)


@dataclass(frozen=True, slots=True)
class Held(Generic[S]):
    """A thing: its state, and the version that it is of."""

    name: str
    version: int
    state: S


class Change(Generic[S]):
    """One command under way.

    Attributes:
        state: what the thing is, None: not there.
        version: of its latest event, 0 before the first.
        at: when the event happens.
    """

    def __init__(self, kind: Kind[S], writing: Writing, name: str, at: datetime) -> None:
        self._kind, self._writing, self._name = kind, writing, name
        kept = writing.kept()
        events = writing.events() if kept is None else []
        self.state = kind.folded(events) if kept is None else kind.decoded(kept.state)
        self.version = len(events) if kept is None else kept.version
        self.at = at

    def history(self) -> list[ControlEvent]:
        """Return what was decided of the thing so far."""
        return self._writing.events()

    def check_version(self, expected: int | None) -> None:
        """Refuse to change another version than the caller last saw (0: none); None: any.

        Raises:
            Conflict: it is another one.
        """
        if expected is None or expected == self.version:
            return
        events = self.history()
        there = f"{events[-1].type} by {events[-1].actor}" if events else "nothing"
        raise Conflict(
            f"{self._kind.name} {self._name!r} is at version {self.version} ({there}), expected {expected}: "
            "look at what was changed meanwhile, then decide again."
        )

    def asked_before(self, command: str) -> ControlEvent | None:
        """Return the event that came of a command already: who asks again under its id gets that, and no other.

        Raises:
            UserError: it was about another thing.
        """
        return self._writing.asked_before(command)

    def record(self, type_: str, body: object, *, actor: str, reason: str, command: str | None = None) -> ControlEvent:
        """Record what was decided; *body* is anything that becomes JSON."""
        try:
            text = msgspec.json.encode(body).decode()
        except UnicodeEncodeError:
            raise UserError(f"{self._kind.name} {self._name!r} has a text that is no UTF-8: leave it out.") from None
        version = self.version + 1
        event = ControlEvent(0, self._kind.name, self._name, version, type_, text, self.at, actor, reason, command)
        self.state, self.version = self._kind.after(self.state, event), version
        entry = Entry(type_, text, self._kind.encoded(self.state))
        return self._writing.append(entry, version=version, at=self.at, actor=actor, reason=reason, command=command)

    def restore(self, state: S | None, as_of: int, *, actor: str, reason: str) -> ControlEvent:
        """Set the state to what it was after the event at position *as_of*."""
        return self.record(RESTORED, _Restored(state, as_of), actor=actor, reason=reason)


class Decisions:
    """One transaction, in which any number of things may change: all of them, or none, and all at one time."""

    def __init__(self, log: ControlLog, connection: sa.Connection) -> None:
        self._log, self._connection = log, connection
        self._at: datetime | None = None

    def of(self, kind: Kind[S], name: str) -> Change[S]:
        """Return the change of a thing."""
        writing = Writing(self._connection, self._log, kind.name, name)
        self._at = self._at or writing.next_at()
        return Change(kind, writing, name, self._at)

    def events(self) -> list[ControlEvent]:
        """Return what was decided so far, of all things."""
        return read_events(self._connection, self._log.tenant)

    def states(self, kind: Kind[S]) -> dict[str, S]:
        """Return what is kept of the things of a kind that are there, with the changes of this transaction."""
        kept = read_states(self._connection, self._log.tenant, kind.name)
        states = {each.name: kind.decoded(each.state) for each in kept}
        return {name: state for name, state in states.items() if state is not None}


@contextmanager
def deciding(log: ControlLog, lease: Lease | None = None) -> Iterator[Decisions]:
    """Open one transaction for several things.

    Raises:
        LeaseLost: somebody else has the *lease* under which is acted.
        Unavailable: the database is away or busy.
    """
    with log.writing(lease) as connection:
        yield Decisions(log, connection)


class Aggregates(Generic[S]):
    """The things of one kind of one tenant.

    Args:
        log: where their events are.
        kind: which.
    """

    def __init__(self, log: ControlLog, kind: Kind[S]) -> None:
        self.log, self.kind = log, kind

    def get(self, name: str) -> Held[S] | None:
        """Return a thing, None where it is not there."""
        kept = next(iter(self.log.states(self.kind.name, name)), None)
        return self._brought(name) if kept is None else self._held(kept)

    def known(self, name: str) -> Held[S]:
        """Return a thing.

        Raises:
            NotFound: it is not there.
        """
        held = self.get(name)
        if held is None:
            raise NotFound(f"there is no {self.kind.name} {name!r}. {closest(name, self.all())}")
        return held

    def all(self) -> dict[str, Held[S]]:
        """Return the things that are there, by name."""
        kept = {each.name: self._held(each) for each in self.log.states(self.kind.name)}
        found = {name: kept[name] if name in kept else self._brought(name) for name in self.log.names(self.kind.name)}
        return {name: held for name, held in found.items() if held is not None}

    def history(self, name: str) -> list[ControlEvent]:
        """Return what was decided of a thing, the first first."""
        return self.log.events(self.kind.name, name)

    def backwards(self, name: str) -> Iterator[ControlEvent]:
        """Yield what was decided of a thing, the latest first; read only as far as it is asked for."""
        before: int | None = None
        while events := self.log.latest(self.kind.name, name, most=_PAGE, before=before):
            yield from events
            before = events[-1].version

    def at(self, moment: datetime) -> dict[str, Held[S]]:
        """Return the things as they were at *moment*, what happened at that time included."""
        by_name: dict[str, list[ControlEvent]] = {}
        for event in self.log.events(self.kind.name, until=moment):
            by_name.setdefault(event.name, []).append(event)
        states = {name: (events[-1].version, self.kind.folded(events)) for name, events in sorted(by_name.items())}
        return {name: Held(name, version, state) for name, (version, state) in states.items() if state is not None}

    @contextmanager
    def changing(self, name: str, *, expected: int | None = None, lease: Lease | None = None) -> Iterator[Change[S]]:
        """Open one command.

        Args:
            name: of the thing.
            expected: the version that the caller last saw (0: none); None: do not check.
            lease: under which the caller acts; None: anybody may.

        Raises:
            Conflict: the version is another one.
            LeaseLost: somebody else acts now.
            Unavailable: the database is away or busy.
        """
        with deciding(self.log, lease) as decisions:
            change = decisions.of(self.kind, name)
            change.check_version(expected)
            yield change

    def _held(self, kept: KeptState) -> Held[S] | None:
        state = self.kind.decoded(kept.state)
        return None if state is None else Held(kept.name, kept.version, state)

    def _brought(self, name: str) -> Held[S] | None:
        """Return a thing of which nothing is kept: there is none, or it was brought along from before."""
        events = self.history(name)
        state = self.kind.folded(events)
        return None if state is None else Held(name, events[-1].version, state)


class Keeper(Generic[S]):
    """What one tenant keeps of one kind; a subclass names the kind, and says what may be done with it.

    Args:
        where: the SQLite file, PostgreSQL URL or open database of control state.
        tenant: whose.
        clock: the time.

    Attributes:
        kind: of what is kept.
        log: where its events are.
    """

    kind: Kind[S]

    def __init__(
        self, where: Path | str | ControlDatabase, tenant: str = DEFAULT_TENANT, clock: Clock | None = None
    ) -> None:
        self.log = ControlLog(where, tenant, clock)
        self._of = Aggregates(self.log, self.kind)
