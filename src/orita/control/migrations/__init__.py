"""How the schema of control state became what it is: one step a file in ``versions``, run in order by Alembic.

State that an earlier Orita wrote is brought along. A step is never changed once it was released, and none goes back:
a backup does.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from orita.core.errors import OritaError

__all__ = ["LATEST", "VERSION_TABLE", "migrate", "schema_of"]

LATEST = "0002"
"""The last step."""

VERSION_TABLE = "control_schema_version"
"""Where it is kept which was the last: not Alembic's own name, as neighbours in the database may have that: MLflow."""


def schema_of(connection: sa.Connection) -> str | None:
    """Return which step was the last, None before the first."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
    return version


def migrate(connection: sa.Connection, where: str) -> None:
    """Run the steps that are missing, in the transaction of *connection*, which holds the lock of writers.

    Raises:
        OritaError: a later Orita wrote it; *where* names it.
    """
    from alembic import command  # not at the top: a server whose state is up to date needs none of it
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == LATEST, "LATEST names the last step"
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise OritaError(f"control state ({where}) was written by a later Orita: upgrade this one ({error}).") from None
