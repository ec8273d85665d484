"""What Alembic runs to begin with: it takes the connection that it is given."""

from __future__ import annotations

from alembic import context

from orita.control.migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
