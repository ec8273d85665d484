"""MovieLens-100K, split by time 70/15/15, click = rating ≥ 4: test AUC of the model that validation rows choose.

``make bench B=movielens DATA=folder``; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from orita.core.errors import UserError
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.pipelines.training import training_graph
from orita.project import open_project

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "movielens-100k"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path(os.environ.get("DATA") or _DEFAULT))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()
    if not options.data.is_dir():
        raise UserError(f"{options.data} is not a folder: 'orita datasets --fetch movielens-100k' downloads it.")
    with tempfile.TemporaryDirectory() as folder:
        project = open_project(Path(folder), home=Path(folder), system="movielens", overrides=options.overrides)
        workspace = project.workspace(source=options.data)
        run_graph(etl_graph(workspace), workspace)
        training = run_graph(training_graph(), workspace)
    judged = training.results["evaluate_model"]
    print(f"protocol: split by time, rows {training.results['load_features']['rows']}, seed {project.model.value.seed}")
    for type_, parts in judged["metrics"].items():
        print(f"  {type_}: validation AUC {parts['val']['auc']:.4f}, test {parts['test']}")
    print(f"  chosen on validation rows: {judged['best']}")
    print(json.dumps({"auc": round(judged["metrics"][judged["best"]]["test"]["auc"], 4)}))


if __name__ == "__main__":
    main()
