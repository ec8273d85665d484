"""How finished segments become Parquet: in a thread of its own, those that killed servers left included."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path

import structlog

from orita.core.errors import OritaError
from orita.core.home import Home
from orita.events.prediction_files import convert_segment, segment_folder
from orita.serving.segment_file import SegmentFile, lock_abandoned

__all__ = ["SegmentConverter"]

_log = structlog.stdlib.get_logger("orita.serving")


class SegmentConverter:
    """Converts what it is given, one after the other; what fails stays as it is and stays readable."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._finished: queue.SimpleQueue[SegmentFile | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="orita-prediction-parquet", daemon=True)

    def start(self) -> None:
        """Begin, with the segments that killed servers left."""
        self._thread.start()

    def give(self, segment: SegmentFile) -> None:
        """Hand over a segment that gets no more rows."""
        self._finished.put(segment)

    def close(self) -> None:
        """Convert what was given, then stop."""
        self._finished.put(None)
        self._thread.join()

    def _run(self) -> None:
        self._recover()
        while (segment := self._finished.get()) is not None:
            self._convert(segment.path)
            segment.close()

    def _recover(self) -> None:
        for path in sorted(segment_folder(self._home).glob("*")):
            descriptor = lock_abandoned(path)
            if descriptor is None:
                continue
            try:
                if path.suffix == ".wal":
                    self._convert(path)
                elif path.name.startswith("."):
                    path.unlink(missing_ok=True)  # killed before it had its name: it holds no row
            finally:
                os.close(descriptor)

    def _convert(self, path: Path) -> None:
        try:
            convert_segment(self._home, path)
        except (OSError, OritaError, ValueError) as error:
            _log.error("prediction_segment_not_converted", alert=True, segment=str(path), error=str(error))
