"""Who sees to it that finished segments become Parquet while the server answers.

Writing Parquet takes a fifth of the processor time that the answers took, and some hundred megabytes. So it is the work
of a process of its own, which is started when a segment is finished, and ends. It has what the processors have left
over; where it falls behind, by what waits or by time, a tenth of one, and only far behind does it run like any other.
The last segments of a server that stops it converts itself, as far as a stop has time for it.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from orita.core.errors import OritaError
from orita.core.home import Home
from orita.core.priority import let_others_go_first
from orita.events.prediction_files import segment_folder
from orita.serving.background.parts import Background
from orita.serving.background.told_once import ToldOnce
from orita.serving.log.segment_conversion import convert_finished
from orita.serving.log.segment_file import SegmentFile, abandoned_bytes

__all__ = ["SegmentConverter"]

_MIB = 1024 * 1024
_BEHIND_BYTES = 512 * _MIB
_FAR = 8  # times as much
_PATIENCE_SECONDS = 300.0
"""A process that has what is left over, and has not ended by then, is left nothing. At a tenth of a processor 512 MiB
take a minute or two: so a segment is Parquet well before the next one is 15 minutes old (``segment_seconds``)."""
_TENTH = 10  # as `nice` counts: a tenth of a processor that another process wants whole
_LOOK_SECONDS = 0.2
_STOP_SECONDS = 5.0
"""So long a server that stops begins to convert further segments: some 400 MiB at full speed. What deployments allow
for a stop beside the requests under way is 5 s (`orita render`), and what is left is readable as it is."""
_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Whoever stops a server by its group or its terminal ends this process too."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How a process that converts gives way to others, and up to how many bytes that wait and seconds it may so."""

    give_way: Callable[[int], object]
    most_bytes: float = math.inf
    most_seconds: float = math.inf


class SegmentConverter:
    """Has finished segments converted; what fails stays as it is and stays readable.

    Args:
        home: whose prediction log.
        retention_days: days that are kept, today too; older ones go when the next segment is converted. None: all are.
        segment_bytes: the size of a full segment; two of them do not count as falling behind.

    Attributes:
        background: its thread.
    """

    def __init__(self, home: Home, retention_days: int | None = None, segment_bytes: float = 0) -> None:
        self._home = home
        self._days = retention_days or 0
        behind = max(_BEHIND_BYTES, 2 * segment_bytes)
        self._ways = (
            _Way(let_others_go_first, behind, _PATIENCE_SECONDS),
            _Way(lambda pid: os.setpriority(os.PRIO_PROCESS, pid, _TENTH), _FAR * behind),
            _Way(lambda pid: None),
        )
        self._told = ToldOnce()
        self._dying: subprocess.Popen[str] | None = None
        self.background = Background("what makes Parquet of predictions", "orita-prediction-parquet", self._turn)

    def start(self) -> None:
        """Begin, with the segments that killed servers left."""
        self.background.start()

    def give(self, segment: SegmentFile) -> None:
        """Hand over a segment that gets no more rows."""
        segment.close()
        self.background.wake()

    @property
    def waiting_bytes(self) -> int:
        """The size of all finished segments of the home that nobody converts just now."""
        return abandoned_bytes(segment_folder(self._home))

    def close(self) -> None:
        """Convert what was given, as far as there is time, then stop."""
        until = time.monotonic() + _STOP_SECONDS
        self.background.close()
        convert_finished(self._home, self._tell, until)
        if self._dying is not None:
            try:
                self._dying.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                threading.Thread(target=self._dying.wait, daemon=True).start()
            else:
                convert_finished(self._home, self._tell, until)  # what it was at

    def _turn(self) -> None:
        at = 0
        while any(segment_folder(self._home).glob("*")):
            waiting = self.waiting_bytes
            at = next(each for each in range(at, len(self._ways)) if waiting <= self._ways[each].most_bytes)
            if self._converted(self._ways[at]):
                return
            at += 1  # it fell behind: the next process gives way to others less

    def _converted(self, way: _Way) -> bool:
        """Run a process that converts what there is; return whether it ended before it fell behind for its priority.

        Priority is no more than given away: who is not root cannot give it back to a process that runs.
        """
        command = [sys.executable, "-m", "orita.serving.log.segment_conversion"]
        command += [str(self._home.root), self._home.tenant, str(self._days), str(os.getpid())]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        too_slow, began = False, time.monotonic()
        try:
            way.give_way(process.pid)
            while (said := _said(process)) is None:
                too_slow = too_slow or time.monotonic() - began > way.most_seconds
                too_slow = too_slow or self.waiting_bytes > way.most_bytes
                if self.background.stopping.is_set():
                    return True
                if too_slow:
                    process.kill()
        finally:
            if process.returncode is None:
                # Even to die takes a processor: beside one that others want whole half a minute was seen.
                process.kill()
                self._dying = process
            process.stdout.close()
        for line in said.splitlines():
            told = json.loads(line)
            self._tell(told["segment"], told["error"])
        if not too_slow:
            self._tell_end(process.returncode, failures=bool(said))
        return not too_slow

    def _tell_end(self, code: int, *, failures: bool) -> None:
        """Tell the log how a process ended that nobody here ended."""
        if code == 0:
            self._told.over("prediction_conversion_failed", *([] if failures else ["prediction_segment_not_converted"]))
        elif -code not in _ASKED:
            how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
            self._told.tell("prediction_conversion_failed", OritaError(f"the process that makes Parquet {how}"))

    def _tell(self, segment: str, error: str) -> None:
        self._told.tell("prediction_segment_not_converted", OritaError(error), of=segment, segment=segment)


def _said(process: subprocess.Popen[str]) -> str | None:
    """Return what *process* wrote until it ended; None where it has not ended yet."""
    try:
        return process.communicate(timeout=_LOOK_SECONDS)[0]
    except subprocess.TimeoutExpired:
        return None
