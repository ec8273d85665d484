"""Who sees to it that finished segments become Parquet while the server answers.

Writing Parquet takes a fifth of the processor time that the answers took, and some hundred megabytes. So it is the work
of a process of its own, which is started when a segment is finished, and ends. It has what the processors have left
over; where it falls behind, a tenth of one, and only far behind does it run like any other. The last segments of a
server that stops it converts itself.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable

import structlog

from orita.core.home import Home
from orita.core.priority import let_others_go_first
from orita.events.prediction_files import segment_folder
from orita.serving.background.parts import Background
from orita.serving.log.segment_conversion import convert_finished
from orita.serving.log.segment_file import SegmentFile

__all__ = ["SegmentConverter"]

_log = structlog.stdlib.get_logger("orita.serving")

_MIB = 1024 * 1024
_BEHIND, _FAR_BEHIND = 512 * _MIB, 4096 * _MIB
_TENTH = 10  # as `nice` counts: a tenth of a processor that another process wants whole
_LOOK_SECONDS = 0.2


class SegmentConverter:
    """Has finished segments converted; what fails stays as it is and stays readable.

    Args:
        home: whose prediction log.
        retention_days: days that are kept, today too; older ones go when the next segment is converted. None: all are.

    Attributes:
        background: its thread.
    """

    def __init__(self, home: Home, retention_days: int | None = None) -> None:
        self._home = home
        self._days = retention_days or 0
        self.background = Background("what makes Parquet of predictions", "orita-prediction-parquet", self._turn)

    def start(self) -> None:
        """Begin, with the segments that killed servers left."""
        self.background.start()

    def give(self, segment: SegmentFile) -> None:
        """Hand over a segment that gets no more rows."""
        segment.close()
        self.background.wake()

    def close(self) -> None:
        """Convert what was given, then stop."""
        self.background.close()
        convert_finished(self._home, _tell)

    def _turn(self) -> None:
        while any(segment_folder(self._home).glob("*")) and not self._converted():
            pass  # it fell behind: the next process gives way to others less

    def _converted(self) -> bool:
        """Run a process that converts what there is; return whether it ended before too much waited for its priority.

        Priority is no more than given away: who is not root cannot give it back to a process that runs.
        """
        command = [sys.executable, "-m", "orita.serving.log.segment_conversion"]
        command += [str(self._home.root), self._home.tenant, str(self._days), str(os.getpid())]
        most, give_way = self._way_given()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            give_way(process.pid)
            too_slow = False
            while True:
                try:
                    said, _ = process.communicate(timeout=_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    too_slow = self._waiting_bytes() > most
                    if too_slow or self.background.stopping.is_set():
                        process.terminate()
                else:
                    break
        for line in said.splitlines():
            told = json.loads(line)
            _tell(told["segment"], told["error"])
        return not too_slow or self.background.stopping.is_set()

    def _way_given(self) -> tuple[float, Callable[[int], object]]:
        """Return up to how many bytes may wait for the next process, and how it is made to give way to others."""
        waiting = self._waiting_bytes()
        if waiting <= _BEHIND:
            return _BEHIND, let_others_go_first
        if waiting <= _FAR_BEHIND:
            return _FAR_BEHIND, lambda pid: os.setpriority(os.PRIO_PROCESS, pid, _TENTH)
        return math.inf, lambda pid: None

    def _waiting_bytes(self) -> int:
        """Return the size of all segments, the one that is being written too."""
        return sum(path.stat().st_size for path in segment_folder(self._home).glob("*.wal") if path.exists())


def _tell(segment: str, error: str) -> None:
    _log.error("prediction_segment_not_converted", alert=True, segment=segment, error=error)
