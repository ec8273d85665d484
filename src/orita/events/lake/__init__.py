"""What is stored: lake tables on disk (Delta Lake), grown one atomic commit at a time, read as snapshots.

Every change of a table is one commit: a reader sees all of it or none, also after a kill. A snapshot names a
version and the files that hold it, so what was read can be read again. A commit also says up to where it holds the
event log, so log and table are one truth.
"""

from orita.events.lake.commits import Commit
from orita.events.lake.compaction import Compacted
from orita.events.lake.months import MONTH
from orita.events.lake.offsets import Fenced, LogSpans
from orita.events.lake.snapshot import Snapshot
from orita.events.lake.tables import Lake
from orita.events.lake.vacuum import Vacuumed

__all__ = ["MONTH", "Commit", "Compacted", "Fenced", "Lake", "LogSpans", "Snapshot", "Vacuumed"]
