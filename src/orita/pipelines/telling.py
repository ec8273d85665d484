"""Telling who is to know: signals into the file of alerts, and from there to the sinks that are configured."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta

from orita.monitoring.alerting.book import AlertBook
from orita.monitoring.alerting.states import Signal
from orita.monitoring.dispatch import DispatchReport, deliver, dispatch
from orita.monitoring.sinks import configured_sinks
from orita.pipelines.workspace import Workspace

__all__ = ["tell", "tell_again"]


def tell(workspace: Workspace, signals: Iterable[Signal]) -> DispatchReport:
    """Record what was judged, and tell each sink what it does not know yet."""
    alerting = workspace.monitoring.alerting
    with closing(AlertBook(alerting.book(workspace.home.reports))) as book:
        return dispatch(
            signals,
            configured_sinks(alerting),
            book=book,
            clock=workspace.clock,
            cooldown=timedelta(hours=alerting.cooldown_hours),
            group_by=alerting.group_by,
        )


def tell_again(workspace: Workspace) -> None:
    """Try the sinks again that were away when they were to be told; without any nothing is opened or written."""
    alerting = workspace.monitoring.alerting
    file = alerting.book(workspace.home.reports)
    if not file.exists():
        return
    with closing(AlertBook(file)) as book:
        if book.undelivered():
            deliver(book, configured_sinks(alerting), workspace.clock, alerting.group_by)
