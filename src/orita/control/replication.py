"""Control state that follows another: the decisions there are appended here, as they are, and what they amount to.

For servers that cannot reach the database itself. What follows decides nothing of its own.
"""

from __future__ import annotations

import sqlalchemy as sa

from orita.control.database import ControlDatabase
from orita.control.tables import EVENTS, STATES
from orita.core.errors import UserError

__all__ = ["replicate"]

_SAME = ("kind", "name", "version", "type", "body", "actor", "reason")


def replicate(source: ControlDatabase, target: ControlDatabase, tenant: str) -> int:
    """Bring the decisions of a tenant in *target* to where *source* is; return how many were new.

    All of them come in one transaction. Leases stay where they are.

    Raises:
        UserError: *target* has decisions that *source* has not.
        Unavailable: a database is away or busy.
    """
    with source.reading() as connection:
        there = [] if connection is None else _rows(connection, EVENTS, tenant)
        states = [] if connection is None else _rows(connection, STATES, tenant)
    with target.reading() as connection:
        here = [] if connection is None else _rows(connection, EVENTS, tenant)
    _check_beginning(source, target, here, there)
    if len(here) == len(there):
        return 0
    with target.writing() as connection:
        if len(_rows(connection, EVENTS, tenant)) != len(here):
            raise UserError(f"{target.name} was changed meanwhile: what follows {source.name} decides nothing itself.")
        connection.execute(EVENTS.insert(), [dict(row._mapping) for row in there[len(here) :]])
        connection.execute(STATES.delete().where(STATES.c.tenant == tenant))
        connection.execute(STATES.insert(), [dict(row._mapping) for row in states])
    return len(there) - len(here)


def _rows(connection: sa.Connection, table: sa.Table, tenant: str) -> list[sa.Row[tuple[object, ...]]]:
    wanted = sa.select(table).where(table.c.tenant == tenant).order_by(table.c.position)
    return list(connection.execute(wanted))


def _check_beginning(
    source: ControlDatabase,
    target: ControlDatabase,
    here: list[sa.Row[tuple[object, ...]]],
    there: list[sa.Row[tuple[object, ...]]],
) -> None:
    for number, mine in enumerate(here):
        theirs = there[number] if number < len(there) else None
        if theirs is None or any(getattr(mine, name) != getattr(theirs, name) for name in _SAME):
            raise UserError(
                f"{target.name} has a {mine.kind} of {mine.name!r} that {source.name} has not: what follows another "
                "follows one from its beginning; give it a new folder."
            )
