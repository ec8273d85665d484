"""How far the online features are behind: events in the log that they lack, and changes of tables they do not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC

from orita.core.clock import to_micros
from orita.events.lake import Commit, Lake
from orita.events.log.log import EventLog
from orita.features.declarations import Source
from orita.features.generations.generation import Generation
from orita.features.stores.store import OnlineStore
from orita.features.stream.intake import offset_name
from orita.pipelines.workspace import Workspace

__all__ = ["Behind", "behind", "log_positions"]

_FROM_LOG = "log/"


@dataclass(frozen=True, slots=True)
class Behind:
    """How far online features are behind in one table or stream.

    Attributes:
        table: its name, also that of the stream.
        log_rows: rows of the log that are not in the state.
        log_seconds: since the oldest of them was appended; 0 without any.
        commits: changes of the lake table that are not in the state, those left out that came from the log.
        lake_seconds: since the oldest of them; 0 without any.
    """

    table: str
    log_rows: int = 0
    log_seconds: float = 0.0
    commits: int = 0
    lake_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Since the oldest event or change that is not in the state."""
        return max(self.log_seconds, self.lake_seconds)


def behind(workspace: Workspace, log: EventLog, generation: Generation, store: OnlineStore) -> tuple[Behind, ...]:
    """Return how far the state in *store* is behind, for every table that the system reads."""
    lake, found = Lake(workspace.home), []
    sources = {record.source.name: record.source for record in workspace.plan.records}
    for table in workspace.system.tables:
        commits, lake_seconds = _missing_commits(workspace, lake, table, generation)
        rows, log_seconds = 0, 0.0
        if table in sources and table in log.streams():
            positions = log_positions(lake, log, sources[table], generation, store)
            rows, log_seconds = _missing_rows(workspace, log, table, positions)
        found.append(Behind(table, rows, log_seconds, commits, lake_seconds))
    return tuple(found)


def log_positions(
    lake: Lake, log: EventLog, source: Source, generation: Generation, store: OnlineStore
) -> dict[int, int]:
    """Return the offset of each partition up to which the state holds the log: by stream, or by the lake's table."""
    name = source.name
    published: Mapping[int, int] = {}
    if name in generation.tables and lake.exists(name) and generation.tables[name] not in lake.unreadable(name):
        published = lake.offsets(name, generation.tables[name])
    positions = {}
    for partition in range(log.partitions(name)):
        streamed = store.offset(offset_name(source, partition))
        first = log.start(name, partition)
        positions[partition] = max(published.get(partition, first) if streamed is None else streamed, first)
    return positions


def _missing_rows(workspace: Workspace, log: EventLog, stream: str, positions: Mapping[int, int]) -> tuple[int, float]:
    rows, oldest = 0, None
    for partition, position in positions.items():
        waiting = log.end(stream, partition) - position
        if waiting > 0:
            rows += waiting
            appended = int(log.read(stream, partition, position, 1).appended_at_N[0])
            oldest = appended if oldest is None else min(oldest, appended)
    now = to_micros(workspace.clock.now())
    return rows, 0.0 if oldest is None else max(0.0, (now - oldest) / 1e6)


def _missing_commits(workspace: Workspace, lake: Lake, table: str, generation: Generation) -> tuple[int, float]:
    if not lake.exists(table):
        return 0, 0.0
    published = generation.tables.get(table, -1)
    newer = [commit for commit in lake.history(table) if commit.version > published and _brings_rows(commit)]
    if not newer:
        return 0, 0.0
    oldest = min(commit.at if commit.at.tzinfo else commit.at.replace(tzinfo=UTC) for commit in newer)
    return len(newer), max(0.0, (workspace.clock.now() - oldest).total_seconds())


def _brings_rows(commit: Commit) -> bool:
    """Tell whether a commit changed what there is by other means than the log, which the state reads itself."""
    return commit.rows > 0 and not commit.properties.get("source", "").startswith(_FROM_LOG)
