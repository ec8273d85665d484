"""The component that says what training rows look like, part by part (TFX's StatisticsGen)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orita.events.engine import open_engine
from orita.features.system import OUTCOME
from orita.features.training_sets.training_set import SPLITS, TrainingSet
from orita.pipelines.components.artifact import Made
from orita.pipelines.components.column_statistics import PartStatistics, column_types, part_statistics
from orita.pipelines.components.component import Call
from orita.pipelines.components.training_rows import training_set_of
from orita.pipelines.workspace import Workspace

__all__ = ["IDS", "LABEL", "Statistics", "read_statistics"]

IDS, LABEL = ("user_id", "item_id"), "target"


class Statistics:
    """Counts, ranges, means, quantiles and frequent values of every column of every part."""

    name = "statistics"
    version = 1
    inputs: Mapping[str, str] = {"examples": "TrainingSet"}
    outputs: Mapping[str, str] = {"statistics": "Statistics"}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return nothing: the rows decide."""
        return {}

    def run(self, call: Call) -> Mapping[str, Made]:
        """Read each part a few times over; memory is bounded by ``validation.memory_mb``."""
        found = training_set_of(call.workspace, call.inputs["examples"])
        parts = {}
        with (
            call.workspace.progress.bar("Describe training rows", total=len(SPLITS)) as bar,
            open_engine(call.workspace.home.staging, call.workspace.data.validation.memory_mb) as connection,
        ):
            for part in SPLITS:
                names = _columns(found, column_types(connection, found.file(part)))
                valued = [c.name for c in found.schema.columns if c.kind in ("flag", "category")] + [LABEL]
                parts[part] = part_statistics(connection, found.file(part), names, valued).to_dict()
                bar.advance()
        file = call.folder / "statistics.json"
        file.write_text(json.dumps(parts, indent=1), encoding="utf-8")
        return {"statistics": Made(file, facts={"columns": len(parts["train"]["columns"])})}


def read_statistics(file: Path) -> dict[str, PartStatistics]:
    """Return the statistics of each part, by its name."""
    content = json.loads(file.read_text(encoding="utf-8"))
    return {part: PartStatistics.from_dict(each) for part, each in content.items()}


def _columns(found: TrainingSet, types: Mapping[str, str]) -> list[str]:
    """Return what is described: ids, label, outcomes, features; not event ids and times, which are all different."""
    return [*IDS, LABEL, *(name for name in types if name.startswith(OUTCOME)), *found.schema.names]
