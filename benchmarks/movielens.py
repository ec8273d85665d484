"""MovieLens-100K: test AUC of who rates 4 or higher, split by time, and nDCG@10 of what is recommended.

``make bench B=movielens DATA=folder``; the last line is one JSON object. Protocol of the AUC:

- Rows are ratings in order of time, 70/15/15, as the system's ``data_config.yaml`` says; features are those of the
  system, each as of the row's own time. Most people of the later parts are new: they rate for an hour and do not come
  back. What they gave so far to each film that has 50 training rows or more is a feature too, from which
  ``factor_blend`` learns what else they like.
- Candidates are the types below, each fitted on training rows, stopped by validation rows, with three seeds. The best
  mean AUC on validation rows chooses the type. So were features and settings chosen, before; nothing by test rows.
- What is reported is the chosen type, fitted again on all rows before the test (training and validation), the last
  tenth of which stops it: mean over the seeds of its test AUC. Test figures of the first fits are printed beside it.

The nDCG is that of `benchmarks.movielens_top10`, by its own protocol.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np

from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.events.ingest import ingest
from orita.events.lake import Lake
from orita.features.training_sets.training_set import latest_training_set
from orita.models.answers import AnswerColumns
from orita.models.build import build_ranker
from orita.models.examples import Examples
from orita.models.ranker import FitContext
from orita.models.reading import read_examples
from orita.pipelines.config import ModelConfig
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.pipelines.workspace import Workspace
from orita.project import open_project
from orita.stats.metrics import auc, log_loss

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "movielens-100k"
_SEEDS = (0, 1, 2)
_WELL_KNOWN = 50
_CANDIDATES = ("factor_blend", "lightgbm", "lambdamart", "popularity")


@dataclass(frozen=True, slots=True)
class _Parts:
    """Rows of the three parts."""

    train: Examples
    val: Examples
    test: Examples

    def without_answers(self, prefix: str) -> _Parts:
        """Return the rows without the answers, of which rankers that know nothing of them make little."""
        columns = AnswerColumns.of(self.train.schema, prefix)
        parts = (self.train, self.val, self.test)
        return _Parts(*(columns.replaced(rows, (), np.zeros((len(rows), 0), np.float32)) for rows in parts))

    def before_test(self) -> _Parts:
        """Return all rows before the test, parted anew: the last tenth of them stops a training."""
        schema = self.train.schema
        both = (self.train, self.val)
        names = ("users_N", "items_N", "x_NF", "y_N", "time_N")
        rows = Examples(schema, *(np.concatenate([getattr(part, name) for part in both]) for name in names))
        order_N = np.argsort(rows.time_N, kind="stable")
        cut = len(rows) * 9 // 10
        return replace(self, train=rows.take(order_N[:cut]), val=rows.take(order_N[cut:]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path(os.environ.get("DATA") or _DEFAULT))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--validate", action="store_true", help="print validation figures only")
    options = parser.parse_args()
    if not options.data.is_dir():
        raise UserError(f"{options.data} is not a folder: 'orita datasets --fetch movielens-100k' downloads it.")
    parts, model = read(options.data, options.overrides)
    sizes = {name: len(getattr(parts, name)) for name in ("train", "val", "test")}
    new = 1 - np.isin(parts.test.users_N, parts.train.users_N).mean()
    print(f"protocol: split by time, rows {sizes}, {len(parts.train.schema)} features, seeds {_SEEDS}")
    print(f"{new:.0%} of the test rows are of users who have no training row")
    plain = parts.without_answers(model.model.factors.answers)
    found = {}
    for type_ in _CANDIDATES:
        given = parts if type_ == "factor_blend" else plain
        found[type_] = measure(type_, given, model, test=not options.validate)
    chosen = max(found, key=found.__getitem__)
    print(f"chosen on validation rows: {chosen}")
    if options.validate:
        return
    whole = (parts if chosen == "factor_blend" else plain).before_test()
    print(f"fitted again on {len(whole.train)} rows, stopped by {len(whole.val)}:")
    test_auc = measure(chosen, whole, model, test=True, of="test")
    from benchmarks.movielens_top10 import measure as measure_top10

    print(json.dumps({"auc": round(test_auc, 4), "ndcg_at_10": round(measure_top10(options.data), 4)}))


def read(data: Path, overrides: list[str]) -> tuple[_Parts, ModelConfig]:
    """Ingest *data*, compute the features of the system, and return the rows of each part, and the configuration."""
    with tempfile.TemporaryDirectory() as folder:
        project = open_project(Path(folder), home=Path(folder), system="movielens", overrides=overrides)
        workspace = project.workspace(source=data)
        ingest(workspace.home, data, config=workspace.data.validation, schemas=project.system.tables,
               origin={"system": project.system.name}, clock=workspace.clock)  # fmt: skip
        declare_answers(workspace)
        run_graph(etl_graph(workspace), workspace)
        made = latest_training_set(workspace.home.training_sets, workspace.system.name)
        parts = (read_examples(made.file(name), made.schema) for name in ("train", "val", "test"))
        return _Parts(*parts), workspace.model


def declare_answers(workspace: Workspace) -> None:
    """Declare, for each film that enough people rated within the training rows, what the viewer gave it so far."""
    system = workspace.system
    ratings, viewer, film = system.source, system.user, system.item
    rows = Lake(workspace.home).snapshot(ratings.name).sql
    share = workspace.data.split.train
    query = (
        f"SELECT item_id FROM {rows} WHERE timestamp < (SELECT quantile_disc(timestamp, {share}) FROM {rows}) "
        f"GROUP BY item_id HAVING count(*) >= {_WELL_KNOWN} ORDER BY item_id"
    )
    with duckdb.connect() as connection:
        known = [item for (item,) in connection.execute(query).fetchall()]
    given = ratings.mean("rating").by(viewer)
    prefix = workspace.model.model.factors.answers
    system.features(**{f"{prefix}{item}": given.where(ratings.item_id.equals(item)) for item in known})
    print(f"{len(known)} films of {film.name!r} are well known")


def measure(type_: str, parts: _Parts, model: ModelConfig, *, test: bool, of: str = "val") -> float:
    """Fit a ranker with each seed, print its figures, and return the mean AUC on the part *of*."""
    found: dict[str, list[float]] = {"val": [], "test": []}
    for seed in _SEEDS:
        ranker = build_ranker(type_, model.model, model.training)
        ranker.fit(parts.train, parts.val, FitContext(SILENT, seed=seed))
        line = f"  {type_}, seed {seed}:"
        for name in ("val", "test")[: 1 + test]:
            rows = getattr(parts, name)
            scores_N = ranker.score(rows)
            found[name].append(auc(rows.y_N, scores_N))
            line += f" {name} AUC {found[name][-1]:.4f}, log loss {log_loss(rows.y_N, scores_N):.4f};"
        print(line.rstrip(";"), flush=True)
    means = {name: float(np.mean(values)) for name, values in found.items() if values}
    print(f"  {type_}, mean: " + ", ".join(f"{name} AUC {value:.4f}" for name, value in means.items()), flush=True)
    return means[of]


if __name__ == "__main__":
    main()
