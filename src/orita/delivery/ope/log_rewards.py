"""What logged answers earned: events joined by request and item, within a time after the answer.

Legend: N rows of the log, one an item.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import Clock, from_micros, to_micros
from orita.core.errors import UserError, closest
from orita.core.home import Home
from orita.core.sql import quoted
from orita.events.engine import one_row, open_engine
from orita.events.lake import Lake
from orita.features.system import System

__all__ = ["LogWindow", "Rewards"]

_CLOCKS_APART = timedelta(hours=1)  # an event has its user's time, which may be before the answer's


@dataclass(frozen=True, slots=True)
class LogWindow:
    """Which answers, and what they earned.

    Attributes:
        version: that answered.
        reward: the column of events that is earned, such as ``click``.
        within: how long after the answer it may be earned.
        start: answers at or after it; None: all.
        end: answers before it; None: all.
        most: answers that are kept, drawn by a digest of their ids, the same ones each time.
    """

    version: str
    reward: str = "click"
    within: timedelta = timedelta(minutes=30)
    start: datetime | None = None
    end: datetime | None = None
    most: int = 200_000


class Rewards:
    """What users did.

    Args:
        home: whose lake.
        system: whose events.
        window: which of them count.
        memory_mb: what the engine that joins them may hold.
        clock: the time.

    Attributes:
        known_until: what was answered before it has had its time to earn, as far as events are known.

    Raises:
        UserError: there are no events, or they do not tell which answer they are of, or have no such reward.
    """

    def __init__(self, home: Home, system: System, window: LogWindow, memory_mb: int, clock: Clock) -> None:
        source = system.source
        self._home, self._window, self._memory_mb = home, window, memory_mb
        snapshot = Lake(home).snapshot(source.name)
        names = snapshot.schema.names
        for name in ("request_id", window.reward):
            if name not in names:
                why = "which answer they are of" if name == "request_id" else "what was earned"
                raise UserError(
                    f"events of {source.name} have no {name!r}, so none tells {why}. {closest(name, names)}"
                )
        if not _is_number(snapshot.schema.field(window.reward).type):
            raise UserError(f"{window.reward!r} is {snapshot.schema.field(window.reward).type}: name a number.")
        self._sql, self._item = snapshot.sql, quoted(system.item.columns[0])
        self._time, self._reward = quoted(source.schema.time or ""), quoted(window.reward)
        with open_engine(home.staging, memory_mb) as connection:
            latest = one_row(connection, f"SELECT epoch_us(max({self._time})) FROM {self._sql}")[0]
        if latest is None:
            raise UserError(f"there are no events of {source.name} yet: 'orita ingest FILE' brings some.")
        self.known_until: datetime = min(from_micros(latest), clock.now()) - window.within

    def of(self, rows: pa.Table) -> npt.NDArray[np.float32]:
        """Return what each item of *rows* earned: the most of its events, 0 without one."""
        asked = pa.table(
            {
                "row": pa.array(np.arange(len(rows))),
                "request": rows["request_id"],
                "item": rows["item_id"],
                "until": pc.add(rows["timestamp"], pa.scalar(self._window.within, pa.duration("us"))),
            }
        )
        first = to_micros(pc.min(rows["timestamp"]).as_py() - _CLOCKS_APART)
        last = to_micros(pc.max(asked["until"]).as_py())
        with open_engine(self._home.staging, self._memory_mb) as connection:
            connection.register("asked", asked)
            earned = connection.sql(
                f"""SELECT a.row, max(CAST(e.{self._reward} AS DOUBLE)) AS earned
                FROM {self._sql} e JOIN asked a
                  ON e.request_id = a.request AND CAST(e.{self._item} AS VARCHAR) = a.item
                WHERE e.{self._time} >= make_timestamptz({first}) AND e.{self._time} < make_timestamptz({last})
                  AND e.{self._time} < a.until AND e.{self._reward} IS NOT NULL
                GROUP BY a.row"""
            ).to_arrow_table()
        rewards_N = np.zeros(len(rows), np.float32)
        rewards_N[earned["row"].to_numpy()] = earned["earned"].to_numpy()
        return rewards_N


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
