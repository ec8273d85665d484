"""Up to where each table was held against ``quality.yaml``, and what was found: a file a system, among the reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orita.core.files import atomic_file
from orita.pipelines.workspace import Workspace

__all__ = ["TableRecord", "quality_folder", "read_record", "write_record"]


@dataclass(frozen=True, slots=True)
class TableRecord:
    """The latest check of a table.

    Attributes:
        since: the version whose rows were checked before; None: none were.
        version: the version up to which rows were checked.
        declared: digest of the declaration and the envelope that they were held against; "": none is declared any more.
        after: the end of the last slice of time that was held against the envelope before, ISO 8601; None: none was.
        until: the end of the last one that was held against it, or is part of its history.
        checked: what was found (`orita.monitoring.expectations.findings.Checked.to_dict`).
        page: of what was found, an HTML file; None where nothing was.
        token: of the task that checked (`orita.pipelines.attempt.Attempt`); None: it was no task.
    """

    since: int | None
    version: int
    declared: str
    after: str | None
    until: str | None
    checked: Mapping[str, Any]
    page: str | None = None
    token: str | None = None


def quality_folder(workspace: Workspace) -> Path:
    """Return the folder of what checks found."""
    return workspace.home.reports / "quality"


def read_record(workspace: Workspace) -> dict[str, TableRecord]:
    """Return the latest check of each table; empty before the first one."""
    file = _file(workspace)
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {name: TableRecord(**told) for name, told in content.items()}


def write_record(workspace: Workspace, record: Mapping[str, TableRecord]) -> None:
    """Keep the latest check of each table, wholly or not at all."""
    with atomic_file(_file(workspace)) as partial:
        plain = {name: asdict(each) for name, each in record.items()}
        partial.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _file(workspace: Workspace) -> Path:
    return quality_folder(workspace) / f"{workspace.system.name}.json"
