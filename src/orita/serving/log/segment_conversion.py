"""Finished segments of the prediction log become Parquet; as a process, with what the processors have left over.

``python -m orita.serving.log.segment_conversion HOME TENANT DAYS PARENT`` converts what there is, lets days go
that are older than so many (0: none), and ends. What cannot be converted stays as it is, stays readable, and is told as
a line of JSON: ``{"segment": …, "error": …}``. It may be killed at any point, and run again.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.events.prediction_files import convert_segment, segment_folder, sweep_partials
from orita.events.prediction_retention import retain_predictions
from orita.serving.log.segment_file import lock_abandoned

__all__ = ["convert_finished"]

_PR_SET_PDEATHSIG = 1  # prctl(2)


def convert_finished(home: Home, failed: Callable[[str, str], object], until: float = math.inf) -> None:
    """Convert every segment that nobody writes, those that killed servers left included.

    Args:
        home: whose prediction log.
        failed: told the segment and the reason where one could not be converted.
        until: no further segment is begun after this, as `time.monotonic` counts.
    """
    for path in sorted(segment_folder(home).glob("*")):
        if time.monotonic() > until:
            break
        descriptor = lock_abandoned(path)
        if descriptor is None:
            continue
        try:
            if path.suffix == ".wal":
                convert_segment(home, path)
            elif path.name.startswith("."):
                path.unlink(missing_ok=True)  # killed before it had its name: it holds no row
        except Exception as error:  # it may fail in any way, and the others are converted
            failed(str(path), str(error) or repr(error))
        finally:
            os.close(descriptor)
    sweep_partials(home)


def main() -> None:
    """Convert what there is in a home."""
    root, tenant, days, parent = sys.argv[1:]
    # It dies with its server, so that whoever starts the next one finds no segment in its hands.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        return
    home = Home(Path(root), tenant)
    convert_finished(home, _say)
    if int(days):
        retain_predictions(home, int(days), SystemClock().now())


def _say(segment: str, error: str) -> None:
    sys.stdout.write(json.dumps({"segment": segment, "error": error}) + "\n")
    sys.stdout.flush()  # it may be killed before it ends


if __name__ == "__main__":
    main()
