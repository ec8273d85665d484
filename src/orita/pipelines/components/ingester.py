"""The component that brings source files into the lake (TFX's ExampleGen, its first half)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orita.events.ingest import ingest
from orita.events.lake.commits import commit_file, newest_version, read_commit
from orita.pipelines.components.artifact import Artifact, Made, digest_of
from orita.pipelines.components.component import Call
from orita.pipelines.workspace import Workspace

__all__ = ["Ingester", "read_report"]

_REPORT = "report.json"
_SPEED_ONLY = {"memory_mb", "lock_wait_seconds"}
_JUDGED_ANEW = (".future", ".profile.range")
"""Rules whose verdict depends on the day, or on what else came in, and not on the row alone."""


class Ingester:
    """Judges every row of the source; good rows are committed to the lake once, bad ones go to quarantine."""

    name = "ingester"
    version = 1
    inputs: Mapping[str, str] = {"source": "Source"}
    outputs: Mapping[str, str] = {"ingested": "IngestReport"}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return how rows are judged, and what tables there are."""
        schemas = {name: digest_of(asdict(schema)) for name, schema in workspace.system.tables.items()}
        return {"validation": workspace.data.validation.model_dump(mode="json", exclude=_SPEED_ONLY), "tables": schemas}

    def run(self, call: Call) -> Mapping[str, Made]:
        """Ingest, and keep the report."""
        workspace, source = call.workspace, call.inputs["source"]
        world = {"world": source.facts["world"]} if "world" in source.facts else {}
        with closing(workspace.event_log()) as log:
            report = ingest(
                workspace.home,
                call.path("source"),
                config=workspace.data.validation,
                schemas=workspace.system.tables,
                origin={"system": workspace.system.name, **world},
                log=log,
                clock=workspace.clock,
                progress=workspace.progress,
            ).to_dict()
        (call.folder / _REPORT).write_text(json.dumps(report, indent=1), encoding="utf-8")
        facts = {"commits": {name: _commit(workspace, name) for name in report["tables"]}}
        return {"ingested": Made(call.folder / _REPORT, digest=source.digest, facts=facts)}

    def lost(self, workspace: Workspace, outputs: Mapping[str, Artifact]) -> str | None:
        """Return why the rows may not be in the lake, or would be judged otherwise now."""
        report = read_report(outputs["ingested"].path(workspace.home))
        for name, table in report["tables"].items():
            if any(reason.endswith(_JUDGED_ANEW) for reason in table["reasons"]):
                return f"rows of {name} went to quarantine by rules that depend on time or on other rows"
        for name, (version, at) in outputs["ingested"].facts["commits"].items():
            if _commit(workspace, name, version) != [version, at]:
                return f"table {name} does not have the commit that brought them"
        return None


def read_report(file: Path) -> dict[str, Any]:
    """Return the report of an ingest."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _commit(workspace: Workspace, table: str, version: int | None = None) -> list[Any]:
    """Return version and time of a commit of *table*, by default the latest; nothing where there is none."""
    folder = workspace.home.table(table)
    asked = newest_version(folder) if version is None else version
    if asked is None or not commit_file(folder, asked).exists():
        return []
    return [asked, read_commit(folder, asked).at.isoformat()]
