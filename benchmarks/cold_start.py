"""How well are people and items ranked of which training saw nothing? On generated worlds, and on MovieLens-100K.

``make bench B=cold_start [DATA=folder]``; the last line is one JSON object. Protocol:

- Rows are split 70/15/15 by time. A random tenth of all users and a random tenth of all items are held out: none of
  their rows trains a model or stops it. Who is not in the training rows is cold, held out or come later.
- Test rows fall into four slices: *warm*, *cold user*, *cold item*, *both cold*. Features of a row are those as of its
  time, so most cold ids have a history that features tell: *first events* are the rows of cold users or cold items
  with at most five events so far.
- Every type is fitted as its system ships it, networks also without id dropout. Beside them stand the training rate for
  every row (AUC 0.5) and the popularity of the item.
- Choices were made with ``--validate``: worlds of other seeds, judged on rows of the validation part. Test rows of the
  worlds reported here choose nothing.

Legend: N rows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.core.progress import SILENT
from orita.features.training_sets.training_set import latest_training_set
from orita.models.build import build_ranker
from orita.models.config import ModelSection
from orita.models.examples import Examples
from orita.models.ranker import FitContext
from orita.models.reading import read_examples
from orita.pipelines.config import ModelConfig
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.project import open_project
from orita.stats.metrics import auc, log_loss

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "movielens-100k"
_SEEDS, _VALIDATION_SEEDS = (0, 1, 2), (10, 11)
_NEURAL = ("two_tower", "deep_mlp", "dcn_v2", "linear")
_TYPES = (*_NEURAL, "lightgbm", "lambdamart", "popularity")
_SLICES = ("warm", "cold user", "cold item", "both cold", "first events")
_HELD_OUT, _FIRST = 0.1, 5
_WITHOUT = " without id dropout"

Figures = dict[str, dict[str, float]]  # slice → figure → value


@dataclass(frozen=True, slots=True)
class _Case:
    """One data set with ids held out: rows to learn from, to stop by, and to judge on."""

    train: Examples
    val: Examples
    judged: Examples
    slices: Mapping[str, npt.NDArray[np.intp]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path(os.environ.get("DATA") or _DEFAULT))
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--types", nargs="+", default=list(_TYPES), choices=_TYPES)
    parser.add_argument("--interactions", type=int, default=60_000, help="of a generated world")
    parser.add_argument("--only", choices=("worlds", "movielens"), help="measure on one of the two alone")
    parser.add_argument("--validate", action="store_true", help="other worlds, judged on validation rows")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()
    seeds = options.seeds or (_VALIDATION_SEEDS if options.validate else _SEEDS)
    part = "val" if options.validate else "test"
    found: dict[str, object] = {}
    if options.only != "movielens":
        found.update(measure("feed", None, seeds, part, options))
    if not options.data.is_dir():
        print(f"MovieLens is left out: {options.data} is not a folder.")
    elif options.only != "worlds":
        found["movielens"] = measure("movielens", options.data, seeds, part, options)
    print(json.dumps(found))


def measure(
    system: str, data: Path | None, seeds: tuple[int, ...], part: str, options: argparse.Namespace
) -> dict[str, object]:
    """Measure every type over the seeds, print a table, and return what the last line says of it."""
    sums: dict[str, list[Figures]] = defaultdict(list)
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            parts, model = read(Path(folder), system, data, seed, options)
        case = hold_out(parts, part, seed)
        sizes = {name: len(rows) for name, rows in case.slices.items()}
        print(f"{system}, seed {seed}: {len(case.train)} training rows, {len(case.val)} that stop; judged {sizes}")
        for name, figures in _all_types(case, model, options.types, seed):
            sums[name].append(figures)
            shown = ", ".join(f"{where} {of['auc']:.4f}" for where, of in figures.items())
            print(f"  {name}: AUC {shown}", flush=True)
    print(f"{system}, means of seeds {tuple(seeds)}, {part} rows: AUC / log loss / mean score ÷ click rate")
    means = {name: _mean(each) for name, each in sums.items()}
    for name, figures in means.items():
        cells = [f"{of['auc']:.4f} / {of['log_loss']:.4f} / {of['promise']:.2f}" for of in figures.values()]
        print(f"  {name:29} " + "   ".join(f"{w}: {c}" for w, c in zip(figures, cells, strict=True)), flush=True)
    return _summary(means, model.model.type)


def read(
    home: Path, system: str, data: Path | None, seed: int, options: argparse.Namespace
) -> tuple[dict[str, Examples], ModelConfig]:
    """Compute the features of a system in *home*; return the rows of each part, and the configuration."""
    world = [f"data_generation.num_interactions={options.interactions}", f"data_generation.seed={seed}"]
    world += [f"data_generation.num_users={options.interactions // 100}"]
    world += [f"data_generation.num_items={options.interactions // 20}"]
    project = open_project(home, home=home, system=system, overrides=[*world, *options.overrides])
    workspace = project.workspace(source=data)
    run_graph(etl_graph(workspace), workspace)
    made = latest_training_set(workspace.home.training_sets, workspace.system.name)
    return {name: read_examples(made.file(name), made.schema) for name in ("train", "val", "test")}, workspace.model


def hold_out(parts: Mapping[str, Examples], part: str, seed: int) -> _Case:
    """Take a tenth of users and of items out of the rows that train and stop; cut the rows of *part* into slices."""
    random = np.random.default_rng(seed)
    gone = []
    for name in ("users_N", "items_N"):
        known = np.unique(np.concatenate([getattr(rows, name) for rows in parts.values()]))
        gone.append(random.choice(known, int(len(known) * _HELD_OUT), replace=False))

    def kept(rows: Examples) -> Examples:
        out_N = np.isin(rows.users_N, gone[0]) | np.isin(rows.items_N, gone[1])
        return rows.take(np.flatnonzero(~out_N))

    train, judged = kept(parts["train"]), parts[part]
    user_N, item_N = ~np.isin(judged.users_N, train.users_N), ~np.isin(judged.items_N, train.items_N)
    first_N = user_N & _few(judged, "user_interaction_count") | item_N & _few(judged, "item_popularity")
    masks = (~user_N & ~item_N, user_N & ~item_N, ~user_N & item_N, user_N & item_N, first_N)
    slices = {name: np.flatnonzero(mask_N) for name, mask_N in zip(_SLICES, masks, strict=True)}
    return _Case(train, kept(parts["val"]), judged, slices)


def _few(rows: Examples, count: str) -> npt.NDArray[np.bool_]:
    few_N: npt.NDArray[np.bool_] = np.nan_to_num(rows.x_NF[:, rows.schema.index(count)]) <= _FIRST
    return few_N


def _all_types(case: _Case, model: ModelConfig, types: list[str], seed: int) -> Iterator[tuple[str, Figures]]:
    rate = np.float32(case.train.y_N.mean(dtype=np.float64))
    yield "training rate", _figures(case, np.full(len(case.judged), rate))
    for type_ in types:
        yield type_, _figures(case, _scores(case, type_, model.model, model, seed))
        if type_ in _NEURAL:
            without = model.model.model_copy(update={"id_dropout": 0.0})
            yield f"{type_}{_WITHOUT}", _figures(case, _scores(case, type_, without, model, seed))


def _scores(case: _Case, type_: str, section: ModelSection, model: ModelConfig, seed: int) -> npt.NDArray[np.float32]:
    ranker = build_ranker(type_, section, model.training)
    ranker.fit(case.train, case.val, FitContext(SILENT, seed=seed))
    return ranker.score(case.judged)


def _figures(case: _Case, scores_N: npt.NDArray[np.float32]) -> Figures:
    found: Figures = {}
    for name, rows in case.slices.items():
        y_K, scores_K = case.judged.y_N[rows], scores_N[rows]
        rate = float(y_K.mean()) if len(rows) else float("nan")
        promise = float(scores_K.mean()) / rate if rate else float("nan")
        both = 0 < rate < 1
        found[name] = {
            "auc": auc(y_K, scores_K) if both else float("nan"),
            "log_loss": log_loss(y_K, scores_K) if len(rows) else float("nan"),
            "promise": promise,
        }
    return found


def _mean(each: list[Figures]) -> Figures:
    return {
        where: {name: float(np.mean([figures[where][name] for figures in each])) for name in of}
        for where, of in each[0].items()
    }


def _summary(means: Mapping[str, Figures], type_: str) -> dict[str, object]:
    def aucs(name: str) -> dict[str, float | None]:
        defined = {where: None if math.isnan(of["auc"]) else round(of["auc"], 4) for where, of in means[name].items()}
        return {f"{where.replace(' ', '_')}_auc": value for where, value in defined.items()}

    beside = {name: aucs(name) for name in (f"{type_}{_WITHOUT}", "popularity") if name in means}
    return {"type": type_, **aucs(type_), **beside} if type_ in means else {**beside}


if __name__ == "__main__":
    main()
