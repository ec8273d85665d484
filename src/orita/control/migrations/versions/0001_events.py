"""Control state as events, and what follows from them.

Before, deployments and what is said of models had a table each. They are brought along, and the old tables take nothing
more: a server of before goes on reading what it knew, and nobody writes where nobody looks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BEFORE = {
    "deployments": "tenant TEXT NOT NULL, system TEXT NOT NULL, sequence BIGINT NOT NULL, kind TEXT NOT NULL, "
    "version TEXT NOT NULL, at_micros BIGINT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL, "
    "PRIMARY KEY (tenant, system, sequence)",
    "model_records": "tenant TEXT NOT NULL, system TEXT NOT NULL, sequence BIGINT NOT NULL, version TEXT NOT NULL, "
    "description TEXT NOT NULL, tags TEXT NOT NULL, retired_micros BIGINT, at_micros BIGINT NOT NULL, "
    "actor TEXT NOT NULL, PRIMARY KEY (tenant, system, sequence)",
}


def upgrade() -> None:
    """Make the tables; bring along what there was."""
    connection = op.get_bind()
    there = sa.inspect(connection).get_table_names()
    events = op.create_table(
        "control_events",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at_micros", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("command", sa.Text, nullable=True),
        sa.UniqueConstraint("tenant", "kind", "name", "version", name="control_events_version"),
        sa.UniqueConstraint("tenant", "command", name="control_events_command"),
    )
    op.create_table(
        "control_states",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=True),
    )
    op.create_table(
        "control_leases",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until_micros", sa.BigInteger, nullable=False),
    )
    _append_only(connection)
    if connection.dialect.name != "sqlite":
        return  # before, there was no other
    before = sorted([*_deployments(connection, there), *_model_records(connection, there)], key=itemgetter("at_micros"))
    rows = [{**row, "position": position} for position, row in enumerate(before, start=1)]
    if rows:
        op.bulk_insert(events, rows)
    for table, columns in _BEFORE.items():
        op.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
        op.execute(
            f"CREATE TRIGGER {table}_moved BEFORE INSERT ON {table} BEGIN "
            "SELECT RAISE(ABORT, 'a later Orita has taken over this control state: upgrade the one that writes'); END"
        )


def _deployments(connection: sa.Connection, there: list[str]) -> Iterator[dict[str, Any]]:
    if "deployments" not in there:
        return
    for row in _in_time(connection, "deployments"):
        body = {"version": row["version"], "kind": row["kind"]}
        yield _event(row, "deployment", "deployed", body, row["reason"])


def _model_records(connection: sa.Connection, there: list[str]) -> Iterator[dict[str, Any]]:
    if "model_records" not in there:
        return
    for row in _in_time(connection, "model_records"):
        body = {
            "version": row["version"],
            "description": row["description"],
            "tags": json.loads(row["tags"]),
            "retired_micros": row["retired_micros"],
        }
        yield _event(row, "models", "told", body, "")


def _in_time(connection: sa.Connection, table: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table of before, thing by thing in order; where a clock went back, the time stands still."""
    rows = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY tenant, system, sequence").mappings()
    for _, its in groupby(rows, itemgetter("tenant", "system")):
        latest = 0
        for row in its:
            latest = max(latest, row["at_micros"])
            yield {**row, "at_micros": latest}


def _event(row: Any, kind: str, name: str, body: dict[str, Any], reason: str) -> dict[str, Any]:
    return {
        "tenant": row["tenant"],
        "kind": kind,
        "name": row["system"],
        "version": row["sequence"],
        "type": name,
        "body": json.dumps(body),
        "at_micros": row["at_micros"],
        "actor": row["actor"],
        "reason": reason,
        "command": None,
    }


def _append_only(connection: sa.Connection) -> None:
    if connection.dialect.name == "sqlite":
        refuse = "BEGIN SELECT RAISE(ABORT, 'control_events is append-only'); END"
        for change in ("UPDATE", "DELETE"):
            op.execute(f"CREATE TRIGGER control_events_no_{change.lower()} BEFORE {change} ON control_events {refuse}")
        return
    op.execute(
        "CREATE FUNCTION control_events_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'control_events is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER control_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION control_events_refuse()"
    )
