"""MovieLens-100K: test AUC of who rates 4 or higher, split by time, and nDCG@10 of what is recommended.

``make bench B=movielens DATA=folder``; the last line is one JSON object. Protocol of the AUC:

- Rows are ratings in order of time, 70/15/15, as the system's ``data_config.yaml`` says; features are those of the
  system, each as of the row's own time. Most people of the later parts are new: they rate for an hour and do not come
  back. What they gave so far to each film that has 10 training rows or more is a feature too, from which
  ``factor_blend`` learns what else they like.
- Candidates are the types below, each fitted on training rows and stopped by validation rows. The best AUC on
  validation rows chooses the type. So were features and settings chosen, before. No test row is scored until then.
- What is reported is the chosen type, fitted again on the rows before the test (training and validation), the last
  twentieth of which stops it: mean of its test AUC over three seeds.

The nDCG is that of `benchmarks.movielens_top10`, by its own protocol. ``--home folder`` keeps the computed features, so
that a bench that was killed does not compute them again; models are never kept.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
_WELL_KNOWN = 10
_STOPPING = 20  # of the rows before the test, the last one in so many stops the last fit
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
        """Return all rows before the test, parted anew: the last of them stop a training."""
        rows = self.train.and_then(self.val)
        order_N = np.argsort(rows.time_N, kind="stable")
        cut = len(rows) - len(rows) // _STOPPING
        return replace(self, train=rows.take(order_N[:cut]), val=rows.take(order_N[cut:]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path(os.environ.get("DATA") or _DEFAULT))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--validate", action="store_true", help="print validation figures only")
    parser.add_argument("--home", type=Path, help="keep computed features in this folder, or find them there")
    options = parser.parse_args()
    if not options.data.is_dir():
        raise UserError(f"{options.data} is not a folder: 'orita datasets --fetch movielens-100k' downloads it.")
    with _timed("features"), _home(options.home) as home:
        parts, model = read(options.data, home, options.overrides)
    sizes = {name: len(getattr(parts, name)) for name in ("train", "val", "test")}
    new = 1 - np.isin(parts.test.users_N, parts.train.users_N).mean()
    print(f"protocol: split by time, rows {sizes}, {len(parts.train.schema)} features, seeds {_SEEDS}")
    print(f"{new:.0%} of the test rows are of users who have no training row")
    chosen, rows = choose(parts, model)
    if options.validate:
        return
    test_auc = judge(chosen, rows.before_test(), model)
    from benchmarks.movielens_top10 import measure as measure_top10

    with _timed("ten films for each user"):
        ndcg = measure_top10(options.data)
    print(json.dumps({"auc": round(test_auc, 4), "ndcg_at_10": round(ndcg, 4)}))


def choose(parts: _Parts, model: ModelConfig) -> tuple[str, _Parts]:
    """Fit each type on training rows; return the one that is best on validation rows, and the rows as it sees them."""
    print(f"validation rows, each type fitted on {len(parts.train)} training rows:")
    plain = parts.without_answers(model.model.factors.answers)
    given = {type_: parts if type_ == "factor_blend" else plain for type_ in _CANDIDATES}
    found = {type_: measure(type_, rows, model, _SEEDS[0], on=rows.val) for type_, rows in given.items()}
    chosen = max(found, key=found.__getitem__)
    print(f"chosen on validation rows: {chosen}")
    return chosen, given[chosen]


def judge(type_: str, parts: _Parts, model: ModelConfig) -> float:
    """Fit the chosen type with each seed, and return its mean AUC on test rows."""
    print(f"test rows, {type_} fitted again on {len(parts.train)} rows, stopped by {len(parts.val)}:")
    aucs = [measure(type_, parts, model, seed, on=parts.test) for seed in _SEEDS]
    print(f"  mean {np.mean(aucs):.4f}, standard deviation over the seeds {np.std(aucs, ddof=1):.4f}", flush=True)
    return float(np.mean(aucs))


@contextmanager
def _timed(what: str) -> Iterator[None]:
    """Say how long something took: on a machine that has other work, the seconds of the processor tell more."""
    wall, used = time.perf_counter(), time.process_time()
    yield
    wall, used = time.perf_counter() - wall, time.process_time() - used
    print(f"    ({what}: {wall:.0f} s, {used:.0f} s of the processor)", flush=True)


@contextmanager
def _home(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="orita-movielens-") as folder:
        yield Path(folder)


def read(data: Path, home: Path, overrides: list[str]) -> tuple[_Parts, ModelConfig]:
    """Ingest *data*, compute the features of the system, and return the rows of each part, and the configuration."""
    project = open_project(home, home=home, system="movielens", overrides=overrides)
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


def measure(type_: str, parts: _Parts, model: ModelConfig, seed: int, *, on: Examples) -> float:
    """Fit a ranker on the training rows of *parts*, stopped by the validation rows; return its AUC *on* some rows."""
    with _timed(f"{type_}, seed {seed}"):
        ranker = build_ranker(type_, model.model, model.training)
        ranker.fit(parts.train, parts.val, FitContext(SILENT, seed=seed))
        scores_N = ranker.score(on)
    found = auc(on.y_N, scores_N)
    print(f"  {type_}, seed {seed}: AUC {found:.4f}, log loss {log_loss(on.y_N, scores_N):.4f}", flush=True)
    return found


if __name__ == "__main__":
    main()
