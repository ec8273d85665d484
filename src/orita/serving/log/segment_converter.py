"""Who sees to it that finished segments become Parquet while the server answers.

Writing Parquet takes a fifth of the processor time that the answers took, and some hundred megabytes. So it is the work
of a process of its own with the lowest priority, which is started when a segment is finished, and ends. Only when it
falls far behind does it run like any other. The last segments of a server that stops it converts itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import structlog

from orita.core.home import Home
from orita.core.priority import let_others_go_first
from orita.events.prediction_files import segment_folder
from orita.serving.background.parts import Background
from orita.serving.log.segment_conversion import convert_finished
from orita.serving.log.segment_file import SegmentFile

__all__ = ["SegmentConverter"]

_log = structlog.stdlib.get_logger("orita.serving")

_BEHIND = 512 * 1024 * 1024  # so many bytes that wait are too many to go on with the lowest
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
        if any(segment_folder(self._home).glob("*")) and not self._converted(others_first=True):
            self._converted(others_first=False)

    def _converted(self, *, others_first: bool) -> bool:
        """Run a process that converts what there is; return whether it ended, not being too slow at that priority."""
        command = [sys.executable, "-m", "orita.serving.log.segment_conversion"]
        command += [str(self._home.root), self._home.tenant, str(self._days), str(os.getpid())]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            if others_first:
                let_others_go_first(process.pid)
            too_slow = False
            while True:
                try:
                    said, _ = process.communicate(timeout=_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    too_slow = others_first and self._waiting_bytes() > _BEHIND
                    if too_slow or self.background.stopping.is_set():
                        process.terminate()
                else:
                    break
        for line in said.splitlines():
            told = json.loads(line)
            _tell(told["segment"], told["error"])
        return not too_slow

    def _waiting_bytes(self) -> int:
        """Return the size of all segments, the one that is being written too."""
        return sum(path.stat().st_size for path in segment_folder(self._home).glob("*.wal") if path.exists())


def _tell(segment: str, error: str) -> None:
    _log.error("prediction_segment_not_converted", alert=True, segment=segment, error=error)
