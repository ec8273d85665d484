"""What was decided, by whom, when and why: the truth of control state, which only grows.

Each event belongs to one thing, of a kind and with a name (kind ``deployment``, name ``feed``), and is that thing's
next version. All events together have one order, by position. Times never go back from one event to the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from orita.control.database import ControlDatabase, Fingerprint
from orita.control.leases import Lease, check_lease
from orita.control.tables import EVENTS, STATES
from orita.core.clock import Clock, SystemClock, from_micros, to_micros
from orita.core.errors import UserError
from orita.core.home import DEFAULT_TENANT

__all__ = [
    "Conflict",
    "ControlEvent",
    "ControlLog",
    "Entry",
    "KeptState",
    "Writing",
    "check_text",
    "read_events",
    "read_states",
]


class Conflict(UserError):
    """Somebody changed the thing since the caller looked; the sentence says what is there now."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to become an event.

    Attributes:
        type: what happened, in the past tense, such as ``deployed``.
        body: it, as JSON.
        state: what the thing is from then on, as JSON; None: it is not there any more.
    """

    type: str
    body: str
    state: str | None


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """Something that was decided.

    Attributes:
        position: 1, 2, 3 … over all things and tenants.
        kind, name: of the thing.
        version: 1, 2, 3 … of the thing.
        type, body: what happened, see `Entry`.
        at: when, in UTC.
        actor: who decided it.
        reason: why, in words.
        command: the id under which it was asked for, None without one.
    """

    position: int
    kind: str
    name: str
    version: int
    type: str
    body: str
    at: datetime
    actor: str
    reason: str
    command: str | None = None


@dataclass(frozen=True, slots=True)
class KeptState:
    """What a thing's events amount to, as JSON (None: it is not there any more), and up to which of them."""

    name: str
    version: int
    state: str | None


class ControlLog:
    """The events of one tenant.

    Args:
        where: a SQLite file or a PostgreSQL URL, or what is open already.
        tenant: whose.
        clock: the time.
    """

    def __init__(
        self, where: Path | str | ControlDatabase, tenant: str = DEFAULT_TENANT, clock: Clock | None = None
    ) -> None:
        self.database = where if isinstance(where, ControlDatabase) else ControlDatabase(where)
        self.tenant = tenant
        self.clock = clock or SystemClock()
        self._news: tuple[Fingerprint | None, int] = (None, 0)

    @contextmanager
    def writing(self, lease: Lease | None = None) -> Iterator[sa.Connection]:
        """Open one transaction: what is read in it cannot change before it is done.

        Raises:
            LeaseLost: somebody else has the *lease* under which is acted.
            Unavailable: the database is away or busy.
        """
        with self.database.writing() as connection:
            if lease is not None:
                check_lease(connection, self.tenant, lease)
            yield connection

    def events(
        self, kind: str | None = None, name: str | None = None, *, after: int = 0, until: datetime | None = None
    ) -> list[ControlEvent]:
        """Return what was decided, in order.

        Args:
            kind, name: of which things; None: of all.
            after: behind which position.
            until: up to which time, that one included.
        """
        with self.database.reading() as connection:
            return [] if connection is None else read_events(connection, self.tenant, kind, name, after, until)

    def latest(self, kind: str, name: str, *, most: int, before: int | None = None) -> list[ControlEvent]:
        """Return what was decided of a thing, the latest first.

        Args:
            kind, name: of which thing.
            most: so many events.
            before: of versions below it; None: of all.
        """
        check_text("name", name)
        wanted = [EVENTS.c.tenant == self.tenant, EVENTS.c.kind == kind, EVENTS.c.name == name]
        wanted += [EVENTS.c.version < before] if before is not None else []
        asked = sa.select(EVENTS).where(*wanted).order_by(EVENTS.c.version.desc()).limit(most)
        with self.database.reading() as connection:
            return [] if connection is None else [_event(row) for row in connection.execute(asked)]

    def names(self, kind: str) -> list[str]:
        """Return the names of all things of a kind that there ever were."""
        wanted = sa.select(EVENTS.c.name).where(EVENTS.c.tenant == self.tenant, EVENTS.c.kind == kind)
        with self.database.reading() as connection:
            return [] if connection is None else list(connection.execute(wanted.distinct().order_by("name")).scalars())

    def position(self) -> int:
        """Return the position of the latest event of any tenant, 0 before the first: whether there is news.

        Servers ask twice a second: a file that nobody wrote to is not opened for it.
        """
        now, (before, position) = self.database.fingerprint(), self._news
        if now is None or now != before:
            with self.database.reading() as connection:
                position = _latest(connection) if connection is not None else 0
            self._news = (now, position)
        return position

    def snapshot(self, *kinds: str) -> tuple[int, dict[str, list[KeptState]]]:
        """Return `position`, and what is kept of the things of some kinds, all as of one moment."""
        with self.database.reading() as connection:
            if connection is None:
                return 0, {kind: [] for kind in kinds}
            return _latest(connection), {kind: read_states(connection, self.tenant, kind) for kind in kinds}

    def states(self, kind: str, name: str | None = None) -> list[KeptState]:
        """Return what is kept of the things of a kind, by name; of things brought along from before, nothing is."""
        with self.database.reading() as connection:
            return [] if connection is None else read_states(connection, self.tenant, kind, name)


class Writing:
    """One change of one thing, within a transaction."""

    def __init__(self, connection: sa.Connection, log: ControlLog, kind: str, name: str) -> None:
        self._connection, self._log, self._kind, self._name = connection, log, kind, name

    def kept(self) -> KeptState | None:
        """Return what is kept of the thing."""
        return next(iter(read_states(self._connection, self._log.tenant, self._kind, self._name)), None)

    def events(self) -> list[ControlEvent]:
        """Return what was decided of the thing so far."""
        return read_events(self._connection, self._log.tenant, self._kind, self._name)

    def asked_before(self, command: str) -> ControlEvent | None:
        """Return the event that came of a command already, None where it is new.

        Raises:
            UserError: it was about another thing.
        """
        mine = (EVENTS.c.tenant == self._log.tenant, EVENTS.c.command == command)
        row = self._connection.execute(sa.select(EVENTS).where(*mine)).one_or_none()
        if row is None:
            return None
        if (row.kind, row.name) != (self._kind, self._name):
            raise UserError(
                f"the command {command!r} was given for {row.kind} {row.name!r}: give each command an id of its own."
            )
        return _event(row)

    def next_at(self) -> datetime:
        """Return the time that an event now has: now, or that of the latest event where the clock went back."""
        newest = sa.select(EVENTS.c.at_micros).order_by(EVENTS.c.position.desc()).limit(1)
        latest = self._connection.execute(newest).scalar()
        return from_micros(max(to_micros(self._log.clock.now()), latest or 0))

    def append(
        self, entry: Entry, *, version: int, at: datetime, actor: str, reason: str, command: str | None = None
    ) -> ControlEvent:
        """Write an event, and what the thing is from then on.

        Raises:
            UserError: a text has characters that no database of text takes.
        """
        for field, text in (("actor", actor), ("reason", reason), ("command", command or "")):
            check_text(field, text)
        position = _latest(self._connection) + 1
        thing = {"tenant": self._log.tenant, "kind": self._kind, "name": self._name, "version": version}
        told = {"at_micros": to_micros(at), "actor": actor, "reason": reason, "command": command}
        self._connection.execute(
            EVENTS.insert().values(position=position, type=entry.type, body=entry.body, **thing, **told)
        )
        of_thing = [STATES.c[key] == thing[key] for key in ("tenant", "kind", "name")]
        self._connection.execute(STATES.delete().where(*of_thing))
        self._connection.execute(STATES.insert().values(position=position, state=entry.state, **thing))
        return ControlEvent(
            position, self._kind, self._name, version, entry.type, entry.body, at, actor, reason, command
        )


def check_text(field: str, text: str) -> None:
    """Refuse what a database of text does not take.

    Raises:
        UserError: it has the character NUL, or half of a pair of UTF-16, which bytes that are no UTF-8 become.
    """
    if "\0" in text or (not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)):
        raise UserError(f"{field} is {text[:80]!r}: it has the character NUL, or is no UTF-8; leave that out.")


def read_events(
    connection: sa.Connection,
    tenant: str,
    kind: str | None = None,
    name: str | None = None,
    after: int = 0,
    until: datetime | None = None,
) -> list[ControlEvent]:
    """Return events in order; see `ControlLog.events`."""
    check_text("name", name or "")
    wanted = [EVENTS.c.tenant == tenant, EVENTS.c.position > after]
    wanted += [EVENTS.c.kind == kind] if kind is not None else []
    wanted += [EVENTS.c.name == name] if name is not None else []
    wanted += [EVENTS.c.at_micros <= to_micros(until)] if until is not None else []
    rows = connection.execute(sa.select(EVENTS).where(*wanted).order_by(EVENTS.c.position))
    return [_event(row) for row in rows]


def read_states(connection: sa.Connection, tenant: str, kind: str, name: str | None = None) -> list[KeptState]:
    """Return what is kept of the things of a kind; see `ControlLog.states`."""
    check_text("name", name or "")
    wanted = [STATES.c.tenant == tenant, STATES.c.kind == kind]
    wanted += [STATES.c.name == name] if name is not None else []
    rows = connection.execute(sa.select(STATES).where(*wanted).order_by(STATES.c.name))
    return [KeptState(row.name, row.version, row.state) for row in rows]


def _latest(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(EVENTS.c.position), 0))).scalar_one())


def _event(row: sa.Row[tuple[object, ...]]) -> ControlEvent:
    at = from_micros(row.at_micros)
    return ControlEvent(
        row.position, row.kind, row.name, row.version, row.type, row.body, at, row.actor, row.reason, row.command
    )
