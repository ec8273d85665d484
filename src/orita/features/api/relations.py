"""The lake tables that a system reads, as they are at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from orita.core.errors import UserError
from orita.events.lake import Lake, Snapshot
from orita.features.system import System

__all__ = ["Tables", "system_tables"]


@dataclass(frozen=True, slots=True)
class Tables:
    """Snapshots of the tables that exist, by name."""

    snapshots: dict[str, Snapshot]

    @property
    def relations(self) -> dict[str, str]:
        """SQL of each table that can stand behind FROM, by name."""
        return {name: snapshot.sql for name, snapshot in self.snapshots.items()}

    @property
    def versions(self) -> dict[str, int]:
        """Version of each table, by name."""
        return {name: snapshot.version for name, snapshot in self.snapshots.items()}


def system_tables(lake: Lake, system: System, *, begun: bool = True) -> Tables:
    """Return every lake table that *system* reads, as it is now; *begun*: there must be events.

    Raises:
        UserError: there are no events yet, and there must be.
    """
    if begun and not lake.exists(system.source.name):
        raise UserError(
            f"the table {system.source.name!r} has no rows yet: run 'orita ingest FILE', or 'orita features push FILE' "
            "and 'orita features stream'."
        )
    return Tables({name: lake.snapshot(name) for name in system.tables if lake.exists(name)})
