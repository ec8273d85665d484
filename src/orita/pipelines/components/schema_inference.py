"""The component that infers from training rows what every column is expected to be (TFX's SchemaGen)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orita.pipelines.components.artifact import Made
from orita.pipelines.components.component import Call
from orita.pipelines.components.expectations import inferred
from orita.pipelines.components.statistics import read_statistics
from orita.pipelines.components.training_rows import training_set_of
from orita.pipelines.workspace import Workspace
from orita.registry.expectations import write_expectations

__all__ = ["SchemaInference"]


class SchemaInference:
    """Infers presence, type, range and domain of every column from the training part."""

    name = "schema"
    version = 1
    inputs: Mapping[str, str] = {"examples": "TrainingSet", "statistics": "Statistics"}
    outputs: Mapping[str, str] = {"schema": "Schema"}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return nothing: rows and declarations decide, and both are in the training set."""
        return {}

    def run(self, call: Call) -> Mapping[str, Made]:
        """Infer, and write JSON."""
        schema = training_set_of(call.workspace, call.inputs["examples"]).schema
        found = inferred(read_statistics(call.path("statistics"))["train"], schema)
        file = call.folder / "schema.json"
        write_expectations(file, found)
        return {"schema": Made(file, facts={"columns": len(found)})}
