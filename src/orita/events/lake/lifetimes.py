"""Which versions need which data files: each file lives from the version that added it to the one that removed it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from orita.events.lake.address import address_of, data_file
from orita.events.lake.commits import actions_of, newest_version, oldest_version

__all__ = ["Lifetime", "lifetimes", "live_files", "lost_versions", "needed_by"]


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The versions that need a file: from *first* on, and before *until* (None: still)."""

    first: int
    until: int | None

    def covers(self, version: int) -> bool:
        """Tell whether *version* needs the file."""
        return self.first <= version and (self.until is None or version < self.until)


def live_files(folder: Path, actions: pa.Table) -> list[str]:
    """Return the absolute paths of the files that the add actions of one version name."""
    return [data_file(folder, path) for path in actions["path"].to_pylist()] if actions.num_rows else []


def lifetimes(folder: Path) -> dict[str, Lifetime]:
    """Return the lifetime of every file that the table's log names, by absolute path."""
    oldest, newest = oldest_version(folder), newest_version(folder)
    assert oldest is not None
    assert newest is not None
    found: dict[str, Lifetime] = {}
    if oldest:
        base = DeltaTable(address_of(folder), version=oldest)
        actions = pa.table(base.get_add_actions(flatten=True))
        found = dict.fromkeys(live_files(folder, actions), Lifetime(oldest, None))
    for version in range(oldest + 1 if oldest else 0, newest + 1):
        for action in actions_of(folder, version):
            if "add" in action:
                found.setdefault(data_file(folder, action["add"]["path"]), Lifetime(version, None))
            elif "remove" in action:
                path = data_file(folder, action["remove"]["path"])
                found[path] = Lifetime(found[path].first if path in found else oldest, version)
    return found


def needed_by(known: Mapping[str, Lifetime], versions: Iterable[int]) -> set[str]:
    """Return the files that any of *versions* needs."""
    chosen = tuple(versions)
    return {file for file, life in known.items() if any(life.covers(version) for version in chosen)}


def lost_versions(folder: Path) -> frozenset[int]:
    """Return the versions that are in the log but cannot be read, as files of theirs are gone."""
    newest = newest_version(folder)
    assert newest is not None
    gone = [life for file, life in lifetimes(folder).items() if not Path(file).exists()]
    ends = ((life.first, newest + 1 if life.until is None else life.until) for life in gone)
    return frozenset(version for first, until in ends for version in range(first, until))
