"""Who may act: of several controllers one at a time, and one that was away too long not any more.

Each process that acts is a holder, by a name that people read. A lease is held for some seconds and renewed before they
are over. Each new holder gets a greater token. A decision that is made under a lease looks at the token in its own
transaction (`ControlLog.writing`), so a controller that was stopped for a minute and wakes up cannot act on what it saw
before, whatever its clock says (Kleppmann, "How to do distributed locking", 2016: fencing).

When a lease is over is told by one clock: that of the database server, or of the one machine that has the file. So
clocks of several machines may differ as they like: none takes a lease early, and none waits longer for that of one
that died, unless that one clock is set back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orita.control.database import ControlDatabase
from orita.control.tables import LEASES
from orita.core.clock import Clock, SystemClock, from_micros, to_micros
from orita.core.errors import OritaError
from orita.core.home import DEFAULT_TENANT

__all__ = ["Acting", "Lease", "LeaseLost", "Leases", "check_lease"]


class LeaseLost(OritaError):
    """Somebody else acts now; what was to be done is not done."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act.

    Attributes:
        name: what for, such as ``rollouts``.
        holder: whose it is.
        token: greater than that of every holder before.
        until: how long, by the clock that tells when it is over.
    """

    name: str
    holder: str
    token: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Acting:
    """Who holds a lease.

    Attributes:
        holder: its name.
        note: what it says of its work; None: nothing.
    """

    holder: str
    note: str | None


class Leases:
    """The leases of one tenant.

    Args:
        where: the SQLite file, PostgreSQL URL or open database of control state.
        tenant: whose.
        clock: the time, for tests and simulations; None or the machine's own: that of the database.
    """

    def __init__(
        self, where: Path | str | ControlDatabase, tenant: str = DEFAULT_TENANT, clock: Clock | None = None
    ) -> None:
        self._database = where if isinstance(where, ControlDatabase) else ControlDatabase(where)
        self._tenant = tenant
        self._clock = None if isinstance(clock, SystemClock) else clock

    def take(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Return the lease, for *seconds*; None while somebody has it, be it under the same name.

        Two processes may have one name by mistake, as that of a machine and a process id that containers share. Who
        has the lease renews it; who was started anew waits until the lease of before is over.

        Raises:
            Unavailable: the database is away or busy.
        """
        with self._database.writing() as connection:
            now, row = self._now(connection), _held(connection, self._tenant, name)
            if row is not None and row.until_micros > to_micros(now):
                return None
            lease = Lease(name, holder, 1 if row is None else row.token + 1, now + timedelta(seconds=seconds))
            self._write(connection, lease)
        return lease

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """Return the lease for *seconds* from now on; what its holder said stays.

        Raises:
            LeaseLost: somebody else took it meanwhile.
            Unavailable: the database is away or busy.
        """
        with self._database.writing() as connection:
            row = check_lease(connection, self._tenant, lease)
            renewed = replace(lease, until=self._now(connection) + timedelta(seconds=seconds))
            self._write(connection, renewed, row.note)
        return renewed

    def tell(self, lease: Lease, note: str | None) -> None:
        """Keep what the holder says of its work; others read it as long as the lease is held.

        Raises:
            LeaseLost: somebody else took it meanwhile.
            Unavailable: the database is away or busy.
        """
        with self._database.writing() as connection:
            check_lease(connection, self._tenant, lease)
            self._write(connection, lease, note)

    def release(self, lease: Lease) -> None:
        """Let others act at once; nothing where somebody else has it already."""
        ended = Lease(lease.name, "", lease.token, from_micros(0))
        with self._database.writing() as connection:
            row = _held(connection, self._tenant, lease.name)
            if row is not None and row.token == lease.token:
                self._write(connection, ended)

    def holder(self, name: str) -> str | None:
        """Return the name of who acts now, None where nobody does."""
        acting = self.acting(name)
        return None if acting is None else acting.holder

    def acting(self, name: str) -> Acting | None:
        """Return who acts now and what it says of its work, None where nobody acts."""
        with self._database.reading() as connection:
            row = None if connection is None else _held(connection, self._tenant, name)
            if connection is None or row is None or row.until_micros <= to_micros(self._now(connection)):
                return None
        return Acting(row.holder, row.note)

    def _now(self, connection: sa.Connection) -> datetime:
        return self._database.now(connection) if self._clock is None else self._clock.now()

    def _write(self, connection: sa.Connection, lease: Lease, note: str | None = None) -> None:
        of_it = (LEASES.c.tenant == self._tenant, LEASES.c.name == lease.name)
        connection.execute(LEASES.delete().where(*of_it))
        told = {"token": lease.token, "holder": lease.holder, "until_micros": to_micros(lease.until), "note": note}
        connection.execute(LEASES.insert().values(tenant=self._tenant, name=lease.name, **told))


def check_lease(connection: sa.Connection, tenant: str, lease: Lease) -> sa.Row[Any]:
    """Refuse to act under a lease that somebody else took, in the transaction in which is acted; return its row.

    Raises:
        LeaseLost: it was taken.
    """
    row = _held(connection, tenant, lease.name)
    if row is None or row.token != lease.token or row.holder != lease.holder:
        by = f"{row.holder!r}" if row is not None and row.holder else "nobody"
        raise LeaseLost(f"the lease {lease.name!r} of {lease.holder!r} is over, {by} has it now: nothing was done.")
    return row


def _held(connection: sa.Connection, tenant: str, name: str) -> sa.Row[Any] | None:
    wanted = sa.select(LEASES).where(LEASES.c.tenant == tenant, LEASES.c.name == name)
    return connection.execute(wanted).one_or_none()
