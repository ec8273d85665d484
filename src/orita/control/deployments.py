"""Which version of a system answers, since when, by whom and why.

The state is a list of events that only grows. The *lineage* is what it amounts to: the versions in the order
in which they became champion, without those that were taken back. A deployment puts a version on top of the
lineage; a rollback takes the top off. So after A, B and a rollback, A answers and nothing lies below it: B
was taken back, it is not "previous". Deploying the previous version is going back, however it is spelled, and
is recorded as a rollback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from orita.control.database import ControlDatabase
from orita.core.clock import Clock, SystemClock, from_micros, to_micros
from orita.core.errors import NotFound, UserError, closest
from orita.core.home import DEFAULT_TENANT

__all__ = ["Deployment", "DeploymentConflict", "Deployments", "lineage"]

Kind = Literal["deploy", "rollback"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_METADATA = sa.MetaData()
_EVENTS = sa.Table(
    "deployments",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("system", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("at_micros", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)


class DeploymentConflict(UserError):
    """Somebody deployed since the caller looked; the sentence says what is there now."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One change of champion.

    Attributes:
        sequence: 1, 2, 3 … for each system of a tenant.
        system: whose champion changed.
        version: what answers from then on, such as ``v1.2.3``.
        at: when, in UTC.
        actor: who did it.
        reason: why, in words.
        kind: ``deploy``, or ``rollback`` when it took back what was there.
    """

    sequence: int
    system: str
    version: str
    at: datetime
    actor: str
    reason: str
    kind: Kind = "deploy"


class Deployments:
    """The deployments of one tenant's systems, kept in the SQLite file *db_path*."""

    def __init__(self, db_path: Path, tenant: str = DEFAULT_TENANT, clock: Clock | None = None) -> None:
        self._database = ControlDatabase(db_path, _METADATA)
        self._tenant = tenant
        self._clock = clock or SystemClock()

    def deploy(
        self, system: str, version: str, *, actor: str, reason: str, expected_sequence: int | None = None
    ) -> Deployment:
        """Make *version* the champion of *system*.

        Args:
            system: letters, digits, ``.``, ``_``, ``+``, ``-``; likewise *version*.
            version: the name of a package in the package store.
            actor: who deploys.
            reason: why.
            expected_sequence: the sequence the caller last saw (0: nothing deployed); None: do not check.

        Raises:
            DeploymentConflict: the sequence is not the expected one.
            UserError: a name is not allowed.
        """
        _check_name("system", system)
        _check_name("version", version)
        with self._database.writing() as connection:
            events = self._events(connection, system)
            _check_sequence(system, events, expected_sequence)
            kind: Kind = "rollback" if lineage(events)[-2:-1] == [version] else "deploy"
            made = Deployment(len(events) + 1, system, version, self._clock.now(), actor, reason, kind)
            return self._append(connection, made)

    def rollback(
        self,
        system: str,
        *,
        actor: str,
        reason: str,
        to: str | None = None,
        expected_sequence: int | None = None,
    ) -> Deployment:
        """Take the champion back: to the version before it, or down to version *to* of the lineage.

        Raises:
            NotFound: there is no earlier version, or *to* is not among them.
            DeploymentConflict: the sequence is not the expected one.
        """
        with self._database.writing() as connection:
            events = self._events(connection, system)
            _check_sequence(system, events, expected_sequence)
            earlier = lineage(events)[:-1]
            if not earlier:
                raise NotFound(f"system {system!r} has no earlier version to go back to: deploy one first.")
            if to is not None and to not in earlier:
                raise NotFound(f"version {to!r} was not champion of {system!r} before. {closest(to, earlier)}")
            version = to or earlier[-1]
            made = Deployment(len(events) + 1, system, version, self._clock.now(), actor, reason, "rollback")
            return self._append(connection, made)

    def current(self, system: str) -> Deployment | None:
        """Return the last change of champion of *system*, None before the first."""
        newest = sa.select(_EVENTS).where(*self._of(system)).order_by(_EVENTS.c.sequence.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(newest).one_or_none() if connection is not None else None
        return _deployment(row) if row is not None else None

    def history(self, system: str) -> list[Deployment]:
        """Return every change of champion of *system*, oldest first."""
        with self._database.reading() as connection:
            return self._events(connection, system) if connection is not None else []

    def previous(self, system: str) -> str | None:
        """Return the version that a rollback goes to: champion before the current one became champion."""
        versions = lineage(self.history(system))
        return versions[-2] if len(versions) > 1 else None

    def lineage(self, system: str) -> list[str]:
        """Return the versions of *system* in the order they became champion, those taken back left out."""
        return lineage(self.history(system))

    def systems(self) -> list[str]:
        """Return the names of the systems that were ever deployed."""
        names = sa.select(_EVENTS.c.system).where(_EVENTS.c.tenant == self._tenant).distinct().order_by("system")
        with self._database.reading() as connection:
            return list(connection.execute(names).scalars()) if connection is not None else []

    def _of(self, system: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
        return _EVENTS.c.tenant == self._tenant, _EVENTS.c.system == system

    def _events(self, connection: sa.Connection, system: str) -> list[Deployment]:
        rows = connection.execute(sa.select(_EVENTS).where(*self._of(system)).order_by(_EVENTS.c.sequence))
        return [_deployment(row) for row in rows]

    def _append(self, connection: sa.Connection, made: Deployment) -> Deployment:
        connection.execute(
            _EVENTS.insert().values(
                tenant=self._tenant,
                system=made.system,
                sequence=made.sequence,
                kind=made.kind,
                version=made.version,
                at_micros=to_micros(made.at),
                actor=made.actor,
                reason=made.reason,
            )
        )
        return made


def lineage(events: Iterable[Deployment]) -> list[str]:
    """Return the versions that *events*, oldest first, leave behind, in the order they became champion."""
    versions: list[str] = []
    for event in events:
        if event.kind == "rollback":
            versions.pop()  # first, so that of A, B, A going back to A ends at the first A
            while versions and versions[-1] != event.version:
                versions.pop()
        elif versions[-1:] != [event.version]:
            versions.append(event.version)
    return versions


def _deployment(row: sa.Row[tuple[object, ...]]) -> Deployment:
    return Deployment(
        row.sequence, row.system, row.version, from_micros(row.at_micros), row.actor, row.reason, row.kind
    )


def _check_name(field: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{field} {name!r} is not a name: use 1 to 128 letters, digits, '.', '_', '+' or '-', "
            "starting with a letter or digit."
        )


def _check_sequence(system: str, events: list[Deployment], expected: int | None) -> None:
    if expected is None or expected == len(events):
        return
    there = f"{events[-1].version} by {events[-1].actor}" if events else "nothing deployed"
    raise DeploymentConflict(
        f"system {system!r} is at sequence {len(events)} ({there}), expected {expected}: "
        "look at what was deployed meanwhile, then decide again."
    )
