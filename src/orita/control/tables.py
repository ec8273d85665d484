"""The tables of control state, as `orita.control.migrations` make them."""

from __future__ import annotations

import sqlalchemy as sa

__all__ = ["EVENTS", "LEASES", "METADATA", "STATES"]

METADATA = sa.MetaData()

EVENTS = sa.Table(
    "control_events",
    METADATA,
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
"""What was decided: it only grows, and the database refuses to change or delete a row.

*position* orders all of it, without gaps; *version* the events of one thing, from 1 on.
"""

STATES = sa.Table(
    "control_states",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=True),
)
"""What the events of each thing amount to, so that nobody has to read them all; derived, and made anew by replay."""

LEASES = sa.Table(
    "control_leases",
    METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("until_micros", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=True),
)
"""Who may act, one at a time; *token* grows with each new holder; *note* is what the holder says of its work."""
