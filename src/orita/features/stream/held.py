"""Events from the future, held until their time has come: Arrow in one record a source, beside the state."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import OritaError
from orita.features.stores.store import Change, OnlineStore

__all__ = ["HeldEvents"]

_MOST = 100_000


class HeldEvents:
    """The events of one source whose time has not come.

    Args:
        store: where they are kept.
        key: of their record.
        time: their time column.
    """

    def __init__(self, store: OnlineStore, key: bytes, time: str) -> None:
        (record,) = store.get_many([key])
        self._key, self._time = key, time
        self.table: pa.Table | None = pa.ipc.open_stream(record).read_all() if record else None

    def due(self, now: int) -> bool:
        """Tell whether some event's time lies before *now* (microseconds)."""
        if self.table is None:
            return False
        return bool(pc.any(pc.less(_micros(self.table[self._time]), now)).as_py())

    def parted(self, arrived: pa.Table | None, now: int) -> tuple[pa.Table | None, pa.Table | None]:
        """Return the events whose time has come, of those held and those that *arrived*, and those still to hold.

        Raises:
            OritaError: over 100,000 events would be held: a clock is wrong somewhere.
        """
        tables = [table for table in (self.table, arrived) if table is not None and len(table)]
        if not tables:
            return None, None
        whole = pa.concat_tables(tables, promote_options="permissive")
        ripe = pc.less(_micros(whole[self._time]), now)
        held = whole.filter(pc.invert(ripe))
        if len(held) > _MOST:
            raise OritaError(
                f"over {_MOST} events have a {self._time!r} in the future: check the clocks of what sends them, and of "
                "this machine. They stay in the event log; nothing is lost."
            )
        ready = whole.filter(ripe)
        return (ready if len(ready) else None), (held if len(held) else None)

    def change(self, held: pa.Table | None) -> list[Change]:
        """Return what the store must change so that *held* is what it holds."""
        if held is None:
            return [] if self.table is None else [(self._key, None)]
        if self.table is not None and held.equals(self.table):
            return []
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, held.schema) as writer:
            writer.write_table(held)
        return [(self._key, sink.getvalue().to_pybytes())]


def _micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
