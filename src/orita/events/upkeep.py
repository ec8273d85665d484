"""What keeps tables in good shape beside what comes in: leftovers of killed writers, and many small files."""

from __future__ import annotations

from orita.core.files import remove_leftovers
from orita.core.home import Home
from orita.events.lake import Compacted, Lake
from orita.events.learning import carry_profile
from orita.events.staging import sweep_staging

__all__ = ["compact_table", "sweep_leftovers"]


def sweep_leftovers(home: Home) -> None:
    """Delete what killed writers left; the caller holds `orita.events.staging.one_writer`."""
    if not sweep_staging(home):
        return
    lake = Lake(home)
    for table in lake.tables():
        lake.sweep(table)
    remove_leftovers(home.profiles)
    for folder in home.quarantine.glob("*/"):
        remove_leftovers(folder)


def compact_table(home: Home, table: str, time: str | None) -> Compacted:
    """Compact *table*, see `Lake.compact`; the caller holds `orita.events.staging.one_writer`."""
    lake = Lake(home)
    before = lake.version(table)
    compacted = lake.compact(table, time=time)
    carry_profile(home, table, before, compacted.version)
    return compacted
