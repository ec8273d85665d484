"""What people say of models: descriptions, tags, and which ones are retired.

A package never changes, so what is said of it later is kept here: a list of events that only grows. The last one that
speaks of a version holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from orita.control.database import ControlDatabase
from orita.core.clock import Clock, SystemClock, from_micros, to_micros
from orita.core.home import DEFAULT_TENANT

__all__ = ["UNTOLD", "ModelRecord", "ModelRecords"]

_METADATA = sa.MetaData()
_EVENTS = sa.Table(
    "model_records",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("system", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("retired_micros", sa.BigInteger, nullable=True),
    sa.Column("at_micros", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What is said of one version.

    Attributes:
        description: what it is, in words.
        tags: texts by name.
        retired_at: since when it is out of use, None where it is not.
    """

    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    retired_at: datetime | None = None


UNTOLD = ModelRecord()
"""Of a version that nobody has said anything of."""


class ModelRecords:
    """What is said of the models of one tenant's systems, kept in the SQLite file *db_path*."""

    def __init__(self, db_path: Path, tenant: str = DEFAULT_TENANT, clock: Clock | None = None) -> None:
        self._database = ControlDatabase(db_path, _METADATA)
        self._tenant = tenant
        self._clock = clock or SystemClock()

    def of(self, system: str) -> dict[str, ModelRecord]:
        """Return what is said of the versions of *system*; a version that nobody spoke of is not there."""
        with self._database.reading() as connection:
            return {} if connection is None else self._told(connection, system)

    def describe(
        self, system: str, version: str, *, description: str, tags: Mapping[str, str], actor: str
    ) -> ModelRecord:
        """Replace the description and the tags of a version; return its record."""
        with self._database.writing() as connection:
            before = self._told(connection, system).get(version, UNTOLD)
            return self._append(
                connection, system, version, ModelRecord(description, dict(tags), before.retired_at), actor
            )

    def retire(self, system: str, version: str, *, actor: str) -> ModelRecord:
        """Say that a version is out of use; return its record. One that is already stays as it is."""
        with self._database.writing() as connection:
            before = self._told(connection, system).get(version, UNTOLD)
            if before.retired_at is not None:
                return before
            retired = ModelRecord(before.description, before.tags, self._clock.now())
            return self._append(connection, system, version, retired, actor)

    def restore(self, system: str, version: str, *, actor: str) -> ModelRecord:
        """Say that a retired version may be used again; return its record."""
        with self._database.writing() as connection:
            before = self._told(connection, system).get(version, UNTOLD)
            if before.retired_at is None:
                return before
            return self._append(connection, system, version, ModelRecord(before.description, before.tags), actor)

    def _told(self, connection: sa.Connection, system: str) -> dict[str, ModelRecord]:
        of = (_EVENTS.c.tenant == self._tenant, _EVENTS.c.system == system)
        rows = connection.execute(sa.select(_EVENTS).where(*of).order_by(_EVENTS.c.sequence))
        return {row.version: _record(row) for row in rows}

    def _append(
        self, connection: sa.Connection, system: str, version: str, record: ModelRecord, actor: str
    ) -> ModelRecord:
        newest = sa.select(sa.func.coalesce(sa.func.max(_EVENTS.c.sequence), 0)).where(
            _EVENTS.c.tenant == self._tenant, _EVENTS.c.system == system
        )
        connection.execute(
            _EVENTS.insert().values(
                tenant=self._tenant,
                system=system,
                sequence=connection.execute(newest).scalar_one() + 1,
                version=version,
                description=record.description,
                tags=json.dumps(record.tags, sort_keys=True),
                retired_micros=None if record.retired_at is None else to_micros(record.retired_at),
                at_micros=to_micros(self._clock.now()),
                actor=actor,
            )
        )
        return record


def _record(row: sa.Row[tuple[object, ...]]) -> ModelRecord:
    retired = None if row.retired_micros is None else from_micros(row.retired_micros)
    return ModelRecord(row.description, json.loads(row.tags), retired)
