"""What the event log lets go: events that lake and online features hold, once they are old or too many.

A stream worker reads the ids of the last events back from the log, so that the same id counts once: these stay as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import timedelta

from orita.core.errors import UserError
from orita.events.lake import Lake
from orita.events.log.log import EventLog
from orita.features.stores.store import OnlineStore
from orita.features.stream.intake import offset_name
from orita.features.stream.recent_ids import HORIZON
from orita.pipelines.workspace import Workspace

__all__ = ["Kept", "retain_events"]

Kept = Mapping[str, Mapping[int, int]]
"""By stream and partition, the first offset that is kept."""


def retain_events(workspace: Workspace, log: EventLog, store: OnlineStore | None = None, of: str | None = None) -> Kept:
    """Delete what ``events.retention`` lets go, of every stream that the system reads.

    Nothing goes that the lake or the online features in use do not hold, nor the last 100,000 events of a partition
    that they hold. Without online features of the declarations as they are, nothing goes at all.

    Args:
        workspace: whose events.
        log: where they are.
        store: that of the online features in use, where it is open already.
        of: the generation of *store*; nothing goes where another took its place meanwhile.

    Raises:
        UserError: the configuration keeps everything.
    """
    if not workspace.events.retention.limited:
        raise UserError(
            "events.retention in orita.yaml sets no limit, so that the event log keeps everything: set days, gigabytes "
            "or both."
        )
    with closing(workspace.generations()) as generations:
        filled_to = [made.get("offsets", {}) for made in generations.unfinished().values()]
        current = generations.current()
        if store is not None:
            return _retained(workspace, log, store, filled_to) if current and current.name == of else {}
        if current is None or current.plan != workspace.plan.version:
            return _retained(workspace, log, None, filled_to)
        with closing(generations.reading(current.name)) as opened:
            return _retained(workspace, log, opened, filled_to)


def _retained(
    workspace: Workspace, log: EventLog, store: OnlineStore | None, filled_to: Sequence[Mapping[str, int]]
) -> Kept:
    """Let go of what the table holds, and the store, and the generations that are on the way up to *filled_to*."""
    limits, lake, there = workspace.events.retention, Lake(workspace.home), log.streams()
    max_age = None if limits.days is None else timedelta(days=limits.days)
    kept: dict[str, Mapping[int, int]] = {}
    for source in dict.fromkeys(record.source for record in workspace.plan.records if record.source.name in there):
        stream = source.name
        covered = {
            partition: max(0, min(stored, _counted(store, name), *(each.get(name, 0) for each in filled_to)) - HORIZON)
            for partition, stored in lake.offsets(stream).items()
            for name in [offset_name(source, partition)]
        }
        most = None if limits.gigabytes is None else int(limits.gigabytes * 1e9 / log.partitions(stream))
        kept[stream] = log.retain(stream, covered=covered, max_age=max_age, max_bytes=most)
    return kept


def _counted(store: OnlineStore | None, name: str) -> int:
    return 0 if store is None else store.offset(name) or 0
