"""Alerts as log lines."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from orita.monitoring.sinks.sink import Notice

__all__ = ["LogSink"]


class LogSink:
    """Writes one structured line a notice."""

    def send(self, notices: Sequence[Notice], key: str = "") -> None:
        """Log *notices*: what is over as information, the rest as warnings or errors."""
        log = structlog.get_logger("orita.alerts")
        for notice in notices:
            level = {"critical": log.error, "warning": log.warning}.get(notice.alert["severity"], log.info)
            write = log.info if notice.kind == "recovered" else level
            write(notice.kind, since=notice.since.isoformat(), **notice.alert)
