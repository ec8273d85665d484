"""What the holder of a lease says of its work lies beside the lease."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; of leases that are held nothing is said yet."""
    op.add_column("control_leases", sa.Column("note", sa.Text, nullable=True))
