"""How well could a model do that knew its users? The reference behind ``lift_share``.

The reference is given the true tastes of users, as the world wrote them beside its inputs, and fits everything else on
training rows by penalised logistic regression: for each item a bias and weights on taste, shrunk towards those of its
topic; for each topic weights on all tastes; effects of device, hour, weekday and item age, also by topic. Penalties
are chosen on validation rows. Positions are not used: nobody knows them when a score is made.

    python benchmarks/reference.py --seeds 0 1 2      # last line: one JSON object

Legend: N rows, C columns of the design, K topics, S styles.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.stats import rankdata

from orita.events.world import DEVICES, WorldConfig, generate

__all__ = ["auc", "reference_auc", "reference_scores"]

Reals = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
_DAY = 86_400_000_000
_AGE_KNOTS_DAYS = (0.0, 0.5, 1.0, 3.0, 7.0, 14.0, 30.0, 90.0, 200.0)
_CONTEXT_PENALTY = 5.0
_PENALTIES = ((2.0, 5.0, 15.0), (3.0, 8.0, 25.0, 80.0))  # of item biases, of item weights


@dataclass(frozen=True, eq=False, slots=True)
class _Truth:
    """What the reference is given: user tastes, and what everyone sees of items."""

    user_UF: Reals  # leaning, K tastes, S styles
    topics: int
    topic_I: npt.NDArray[np.int64]
    created_I: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class _Design:
    """One sparse row a rated item; columns come in groups that share a penalty."""

    x_NC: csr_matrix
    x_CN: csr_matrix
    y_N: Floats
    curvature_C: Reals
    groups: tuple[int, ...]  # sizes of: context, item bias, item weights


def reference_auc(world_folder: Path, train: pa.Table, test: pa.Table, *, validation: pa.Table | None = None) -> float:
    """Return the AUC on *test* of the reference fitted on *train*.

    Args:
        world_folder: what `orita.events.world.generate` wrote.
        train, test: Interaction rows (``user_id``, ``item_id``, ``timestamp``, ``device``, ``click``).
        validation: rows to choose penalties on; None: the last 15 % of *train*, which is then fitted whole.
    """
    scores_N = reference_scores(world_folder, train, test, validation=validation)
    return auc(_clicks(test), scores_N)


def reference_scores(
    world_folder: Path, train: pa.Table, test: pa.Table, *, validation: pa.Table | None = None
) -> Reals:
    """Return the reference's log-odds of a click for each row of *test*; arguments as in `reference_auc`."""
    truth = _read_truth(world_folder)
    held_out, fitted = validation, train
    if held_out is None:
        cut = int(train.num_rows * 0.85)
        fitted, held_out = train.slice(0, cut), train.slice(cut)
    fit_on, judge_on = _design(truth, fitted), _design(truth, held_out)
    penalties, w_C = (5.0, 50.0), None
    best = np.inf
    # One penalty at a time, each from the best fit so far: 7 fits instead of 12.
    for place in (0, 1):
        for penalty in _PENALTIES[place]:
            tried = (penalty, penalties[1]) if place == 0 else (penalties[0], penalty)
            w_tried_C = _fit(fit_on, tried, w_C)
            loss = _log_loss(judge_on.x_NC @ w_tried_C, judge_on.y_N)
            if loss < best:
                best, penalties, w_C = loss, tried, w_tried_C
    if validation is None:
        w_C = _fit(_design(truth, train), penalties, w_C)
    assert w_C is not None
    scores_N: Reals = _design(truth, test).x_NC @ w_C
    return scores_N


def auc(y_N: Reals, scores_N: npt.NDArray[np.floating]) -> float:
    """Return the area under the ROC curve; ties count half (Mann–Whitney)."""
    ranks_N, positives = rankdata(scores_N), float(y_N.sum())
    negatives = len(y_N) - positives
    return float((ranks_N[y_N > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _read_truth(folder: Path) -> _Truth:
    tastes = pq.read_table(folder / "truth" / "tastes.parquet")
    items = pq.read_table(folder / "items.parquet")
    vectors = [_matrix(tastes[name]) for name in ("taste", "style")]
    leaning_U1 = tastes["leaning"].to_numpy().astype(np.float64)[:, None]
    return _Truth(
        np.concatenate([leaning_U1, *vectors], axis=1),
        vectors[0].shape[1],
        items["topic"].to_numpy(),
        _micros(items["created_at"]),
    )


def _design(truth: _Truth, rows: pa.Table) -> _Design:
    count, topics = rows.num_rows, truth.topics
    items_N, time_N = rows["item_id"].to_numpy(), _micros(rows["timestamp"])
    topic_N, hour_N = truth.topic_I[items_N], time_N // (_DAY // 24) % 24
    weekday_N = (time_N // _DAY + 3) % 7
    device_N = pc.index_in(rows["device"], pa.array(DEVICES)).to_numpy()
    user_NF = truth.user_UF[rows["user_id"].to_numpy()]
    own_N = user_NF[np.arange(count), 1 + topic_N]
    style_NS = user_NF[:, 1 + topics :]
    age_NA = _age_columns((time_N - truth.created_I[items_N]) / _DAY)
    ones = np.ones(count)
    blocks = [  # (number of columns, column of each row, value of each row)
        *_each(topics, topic_N, np.concatenate([ones[:, None], user_NF, age_NA], axis=1)),
        (24 * topics, hour_N * topics + topic_N, ones),
        (7 * topics, weekday_N * topics + topic_N, ones),
        (72, device_N * 24 + hour_N, ones),
        (3 * topics, device_N * topics + topic_N, ones),
        (3, device_N, own_N),
        (24, hour_N, own_N),
    ]
    items = len(truth.topic_I)
    weights = _each(items, items_N, np.concatenate([own_N[:, None], style_NS], axis=1))
    groups = (sum(block[0] for block in blocks), items, sum(block[0] for block in weights))
    blocks += [(items, items_N, ones), *weights]
    starts = np.cumsum([0, *(block[0] for block in blocks)])
    columns_NB = np.stack([at + block[1] for at, block in zip(starts, blocks, strict=False)], axis=1).astype(np.int32)
    values_NB = np.stack([block[2] for block in blocks], axis=1, dtype=np.float32)
    pointers = np.arange(count + 1) * len(blocks)
    x_NC = csr_matrix((values_NB.ravel(), columns_NB.ravel(), pointers), shape=(count, starts[-1]))
    y_N = _clicks(rows).astype(np.float32)
    rate = float(y_N.mean())
    curvature_C = rate * (1 - rate) * np.asarray(x_NC.multiply(x_NC).sum(axis=0)).ravel()
    return _Design(x_NC, x_NC.T.tocsr(), y_N, curvature_C, groups)


def _each(
    columns: int, column_N: npt.NDArray[np.int64], values_NF: Reals
) -> list[tuple[int, npt.NDArray[np.int64], Reals]]:
    return [(columns, column_N, values_NF[:, feature]) for feature in range(values_NF.shape[1])]


def _age_columns(days_N: Reals) -> Reals:
    """Return the item's age as weights on knots: a curve that is straight between them, in log-days."""
    at_N = np.interp(np.log1p(days_N), np.log1p(_AGE_KNOTS_DAYS), np.arange(len(_AGE_KNOTS_DAYS)))
    distance_NA = np.abs(at_N[:, None] - np.arange(len(_AGE_KNOTS_DAYS)))
    weights_NA: Reals = np.maximum(1 - distance_NA, 0)
    return weights_NA


def _fit(design: _Design, penalties: tuple[float, float], start_C: Reals | None) -> Reals:
    penalty_C = np.repeat([_CONTEXT_PENALTY, *penalties], design.groups)
    x_NC, x_CN, y_N = design.x_NC, design.x_CN, design.y_N
    # Items differ in rows by orders of magnitude: scaled by its curvature, each coordinate moves at one speed.
    scale_C = 1 / np.sqrt(design.curvature_C + penalty_C)

    def loss_and_slope(v_C: Reals) -> tuple[float, Reals]:
        w_C = v_C * scale_C
        odds_N = x_NC @ w_C.astype(np.float32)
        loss = np.logaddexp(0, odds_N).sum(dtype=np.float64) - float(y_N @ odds_N) + 0.5 * (penalty_C * w_C) @ w_C
        slope_C = x_CN @ (1 / (1 + np.exp(-odds_N)) - y_N) + penalty_C * w_C
        return float(loss), slope_C * scale_C

    start = np.zeros(len(penalty_C)) if start_C is None else start_C / scale_C
    found = minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", options={"maxiter": 60, "ftol": 1e-6})
    w_C: Reals = found.x * scale_C
    return w_C


def _log_loss(odds_N: Reals, y_N: Reals | Floats) -> float:
    return float((np.logaddexp(0, odds_N) - y_N * odds_N).mean())


def _clicks(rows: pa.Table) -> Reals:
    clicks_N: Reals = rows["click"].to_numpy().astype(np.float64)
    return clicks_N


def _micros(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    stamps = pc.cast(column, pa.timestamp("us", "UTC"))
    micros_N: npt.NDArray[np.int64] = pc.cast(stamps, pa.int64()).to_numpy()
    return micros_N


def _matrix(column: pa.ChunkedArray) -> Reals:
    vectors = column.combine_chunks()
    matrix: Reals = vectors.flatten().to_numpy().reshape(len(vectors), -1).astype(np.float64)
    return matrix


def _figures(seed: int, folder: Path) -> dict[str, float]:
    generate(WorldConfig(seed=seed), folder)
    rows = pq.read_table(folder / "interactions.parquet")
    p_N = pq.read_table(folder / "truth" / "click_probability.parquet")["p"].to_numpy().astype(np.float64)
    fit_to, choose_to = int(rows.num_rows * 0.7), int(rows.num_rows * 0.85)
    train, validation, test = rows.slice(0, fit_to), rows.slice(fit_to, choose_to - fit_to), rows.slice(choose_to)
    y_N, p_test_N = _clicks(test), p_N[choose_to:]
    items = len(pq.read_table(folder / "items.parquet"))
    shown_I = np.bincount(train["item_id"].to_numpy(), minlength=items)
    clicks_I = np.bincount(train["item_id"].to_numpy(), weights=_clicks(train), minlength=items)
    rate = _clicks(train).mean()
    item_rate_N = ((clicks_I + 20 * rate) / (shown_I + 20))[test["item_id"].to_numpy()]
    odds_N = np.log(p_test_N / (1 - p_test_N))
    return {
        "seed": seed,
        "click_rate": float(_clicks(rows).mean()),
        "constant_log_loss": _log_loss(np.full(len(y_N), np.log(rate / (1 - rate))), y_N),
        "oracle_log_loss": _log_loss(odds_N, y_N),
        "oracle_auc": auc(y_N, p_test_N),
        "item_rate_auc": auc(y_N, item_rate_N),
        "reference_auc": reference_auc(folder, train, test, validation=validation),
    }


def main() -> None:
    """Print the figures of the default world for some seeds."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    seeds: list[int] = parser.parse_args().seeds
    results = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            results.append(_figures(seed, Path(folder) / "world"))
        print(json.dumps(results[-1]), file=sys.stderr)
    print(json.dumps({"reference": results}))


if __name__ == "__main__":
    main()
