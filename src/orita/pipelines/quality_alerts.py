"""What the latest checks of data found, in the words of monitoring, and who is told of it."""

from __future__ import annotations

from datetime import datetime

from orita.monitoring.alerts import TableQuality, assess
from orita.monitoring.dispatch import signals_of
from orita.pipelines.quality_record import TableRecord, quality_folder, read_record
from orita.pipelines.telling import tell
from orita.pipelines.workspace import Workspace

__all__ = ["latest_quality", "tell_quality"]


def latest_quality(workspace: Workspace) -> list[TableQuality]:
    """Return what the latest check of each table found, by name."""
    return [_in_words(name, each) for name, each in sorted(read_record(workspace).items())]


def tell_quality(workspace: Workspace) -> None:
    """Tell who is to know which tables are not as expected, and which are again."""
    quality, at = latest_quality(workspace), workspace.clock.now()
    assessment = assess(workspace.system.name, (), None, quality=quality, evidence=quality_folder(workspace), at=at)
    tell(workspace, signals_of(assessment, workspace.monitoring.alerting.rules))


def _in_words(name: str, record: TableRecord) -> TableQuality:
    told = record.checked
    errors, warnings = (
        tuple(each["sentence"] for each in told["findings"] if each["severity"] == severity)
        for severity in ("error", "warning")
    )
    return TableQuality(name, datetime.fromisoformat(told["at"]), told["rows"], errors, warnings, record.page)
