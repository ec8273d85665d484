"""The newest skew report as metrics; the file is read when somebody looks, by a thread, and only when it is new."""

from __future__ import annotations

from pathlib import Path

import structlog

from orita.core.errors import OritaError
from orita.core.home import Home
from orita.monitoring.skew_report import SkewReport, newest_skew_file, read_skew

__all__ = ["SkewMetric"]

_log = structlog.stdlib.get_logger("orita.serving")


class SkewMetric:
    """Knows the newest skew report of one system.

    Attributes:
        report: the newest that could be read, None before the first.
    """

    def __init__(self, home: Home, system: str) -> None:
        self._home, self._system = home, system
        self._file: Path | None = None
        self.report: SkewReport | None = None

    def refresh(self) -> None:
        """Take up what was written since; a file that is no report is passed over, and told once."""
        newest = newest_skew_file(self._home, self._system)
        if newest is None or newest == self._file:
            return
        self._file = newest
        try:
            self.report = read_skew(newest)
        except (OritaError, OSError) as error:
            _log.warning("skew_report_not_read", system=self._system, error=str(error))
