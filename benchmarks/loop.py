"""The whole loop on the default world: how long ETL and training take, and how good the models are.

``make bench B=loop``; the last line is one JSON object. `lift_share` is the best model's lift over chance (AUC − 0.5)
on test rows, divided by that of a reference that is given the users' true tastes (see `benchmarks.reference`).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from benchmarks.reference import reference_auc

from orita.features.training_sets.training_set import latest_training_set
from orita.pipelines.etl import etl_graph, generated_folder
from orita.pipelines.graph import run_graph
from orita.pipelines.training import training_graph
from orita.pipelines.workspace import Workspace
from orita.project import open_project


def measure(home: Path, seed: int, overrides: list[str]) -> dict[str, Any]:
    """Run ETL and training in *home* on the world of *seed*, and return every figure."""
    project = open_project(home, home=home, system="feed", overrides=[f"data_generation.seed={seed}", *overrides])
    workspace = project.workspace()
    etl = run_graph(etl_graph(workspace), workspace)
    seconds = {task.name: task.seconds for task in etl.tasks}
    # From nothing to split files; publishing online features comes after them, in the same task.
    files = etl.results["save_features"]["files_seconds"]
    etl_seconds = sum(seconds.values()) - seconds["save_features"] + files
    training = run_graph(training_graph(), workspace)
    judged = training.results["evaluate_model"]
    best = judged["metrics"][judged["best"]]["test"]
    fits = {type_: fit["seconds"] for type_, fit in training.results["train_model"]["fits"].items()}
    return {
        "seed": seed,
        "etl_seconds": round(etl_seconds, 2),
        "train_seconds": round(fits[project.model.value.model.type], 2),
        "best": judged["best"],
        "auc": best["auc"],
        "log_loss": best["log_loss"],
        "precision_at_10": best["precision_at_10"],
        "by_model": {type_: parts["test"] for type_, parts in judged["metrics"].items()},
        "fit_seconds": fits,
        "task_seconds": seconds,
        "rows": training.results["load_features"]["rows"],
        **_reference(workspace, best["auc"]),
    }


def _reference(workspace: Workspace, auc: float) -> dict[str, float]:
    """Fit the reference on the very rows that the models were trained on, and judge it on their test rows."""
    splits = latest_training_set(workspace.home.training_sets, workspace.system.name).splits
    world = generated_folder(workspace.home, workspace.data.data_generation)
    rows = pq.read_table(world / "interactions.parquet")  # in order of time
    first, second = splits["train"].rows, splits["train"].rows + splits["val"].rows
    train, val, test = rows.slice(0, first), rows.slice(first, second - first), rows.slice(second)
    reference = reference_auc(world, train, test, validation=val)
    return {"reference_auc": reference, "lift_share": (auc - 0.5) / (reference - 0.5)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), seed, options.overrides)
        print(f"protocol: world of seed {seed}, rows {found['rows']}, split by time; test rows choose nothing.")
        for name, value in found.items():
            print(f"  {name}: {value}")
        keys = ("etl_seconds", "train_seconds", "lift_share", "log_loss", "precision_at_10")
        print(json.dumps({name: round(float(found[name]), 4) for name in keys}))


if __name__ == "__main__":
    main()
