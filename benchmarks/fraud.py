"""Frauds among card payments, by the fraud detection handbook's protocol: features of the engine, trees of LightGBM.

``make bench B=fraud DATA=file``; the last line is one JSON object: means over the seeds. `benchmarks.fraud_protocol`
says which payments are learned from and which are judged; payments after the test week are not read.

Features are declared below. What they say of labels is a week late: a payment sees only labels that were known by then.
The kind of fraud (``TX_FRAUD_SCENARIO``) is no feature; it parts the frauds of the last table.

Features and the settings of the trees, their number among them, were chosen on earlier test weeks by the same protocol,
those that begin on 2018-06-27, 07-04, 07-11, 07-18 and 07-25: ``python -m benchmarks.fraud --validate`` prints their
figures. Nothing was chosen on the week of 2018-08-08. Trees are not stopped early, as the protocol has no payments to
spare for that: the rows that the ranker validates on are rows that it learns from.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from benchmarks.fraud_features import PAYMENTS
from benchmarks.fraud_protocol import (
    FIGURES,
    TEST_WEEK,
    Figures,
    Payments,
    Rows,
    Week,
    baselines,
    judge,
    read_payments,
    week,
)

from orita import Entity, Source, System, system
from orita.core.errors import UserError
from orita.core.progress import SILENT
from orita.features.history import compute_history, feature_rows
from orita.features.plan import plan_of
from orita.models.build import build_ranker
from orita.models.config import LightGBMSection, ModelSection, TrainingSection
from orita.models.examples import Examples
from orita.models.ranker import FitContext
from orita.models.reading import read_examples
from orita.stats.metrics import auc, average_precision

Floats = npt.NDArray[np.floating[Any]]
_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "fraud-handbook" / "transactions.parquet"
_EARLIER_WEEKS = ("2018-06-27", "2018-07-04", "2018-07-11", "2018-07-18", "2018-07-25")
_ONE_WEEK = LightGBMSection(
    learning_rate=0.03, max_trees=300, patience=300, num_leaves=8, min_rows_in_leaf=10, lambda_l2=1
)
_ALL_ROWS = LightGBMSection(learning_rate=0.05, max_trees=200, patience=200, num_leaves=16, min_rows_in_leaf=50)
_PUBLISHED = {
    "handbook, random forest": (0.867, 0.658, 0.287),
    "handbook, XGBoost": (0.862, 0.639, 0.273),
    "handbook, best tuned (later weeks)": (0.875, 0.694, 0.304),
}


def declare() -> System:
    """Declare the features: is the amount unusual for the card, was it before, and is the terminal compromised?"""
    customer, terminal = Entity("customer", "CUSTOMER_ID"), Entity("terminal", "TERMINAL_ID")
    payments = Source("payments", PAYMENTS)
    fraud, genuine = payments.TX_FRAUD > 0, payments.TX_FRAUD <= 0
    amount, usual = payments.context.TX_AMOUNT, payments.quantile("TX_AMOUNT", 0.5).by(customer)
    cleared_mean = payments.mean("TX_AMOUNT").by(customer).where(genuine).delayed("7d")
    cleared_std = payments.std("TX_AMOUNT").by(customer).where(genuine).delayed("7d")
    cleared_most = payments.max("TX_AMOUNT").by(customer).where(genuine).delayed("7d")
    most = payments.max("TX_AMOUNT").by(customer)
    excess = payments.TX_AMOUNT - payments.mean("TX_AMOUNT").by(customer).smooth(50, weight=2)
    declared = system("fraud", label=payments.TX_FRAUD, rank=terminal, for_=customer)
    declared.features(
        amount=amount,
        customer_mean=cleared_mean,
        amount_to_usual=amount / usual,
        amount_deviations=(amount - cleared_mean) / cleared_std,
        amount_to_most=amount / cleared_most,
        most_to_usual_3d=most.over("3d") / usual,
        most_to_usual_7d=most.over("7d") / usual,
        most_to_usual_14d=most.over("14d") / usual,
        customer_frauds=payments.count().by(customer).where(fraud).over("14d").delayed("7d"),
        terminal_last_fraud=payments.last_time().by(terminal).where(fraud).delayed("7d").age(),
        terminal_last_genuine=payments.last_time().by(terminal).where(genuine).delayed("7d").age(),
        terminal_first_fraud_21d=payments.first_time().by(terminal).where(fraud).over("21d").delayed("7d").age(),
        terminal_first_fraud_28d=payments.first_time().by(terminal).where(fraud).over("28d").delayed("7d").age(),
        terminal_risk=payments.ratio("TX_FRAUD").by(terminal).over("28d").delayed("7d"),
        terminal_frauds=payments.sum("TX_FRAUD").by(terminal).over("28d").delayed("7d"),
        # A terminal's frauds are of usual amounts, where it is the terminal that is compromised and not a card.
        terminal_fraud_excess=payments.mean(excess).by(terminal).where(fraud).over("28d").delayed("7d"),
    )
    return declared


def examples_of(relation: str) -> Examples:
    """Return every payment of *relation* with its features, in the order of their ids."""
    plan = plan_of(declare())
    schema = plan.system.schema()
    with duckdb.connect() as connection, tempfile.TemporaryDirectory() as folder:
        history = compute_history(plan, connection, {"payments": relation})
        file = Path(folder) / "rows.parquet"
        pq.write_table(feature_rows(plan, history, schema).sort_by("event_id"), file)
        return read_examples(file, schema)


def scores_of(examples: Examples, train: Rows, part: Week, settings: LightGBMSection, seed: int) -> Floats:
    """Return ``scores_N`` of the test rows of *part* by trees grown on the rows *train*."""
    ranker = build_ranker("lightgbm", ModelSection(lightgbm=settings), TrainingSection())
    ranker.fit(examples.take(train), examples.take(part.train), FitContext(SILENT, seed=seed))
    return ranker.score(examples.take(part.test))


def by_scenario(payments: Payments, examples: Examples, part: Week, scores_N: Floats) -> None:
    """Print, of each kind of fraud, its AUC and average precision beside the genuine payments, without other frauds."""
    scenario_N = payments.scenario_N[part.test]
    first_N = examples.x_NF[part.test, examples.schema.index("terminal_first_fraud_28d")]
    kinds = {
        "1, amount above 220": scenario_N == 1,
        "2, terminal compromised, a fraud known there": (scenario_N == 2) & ~np.isnan(first_N),
        "2, terminal compromised, none known there": (scenario_N == 2) & np.isnan(first_N),
        "3, card compromised, amounts × 5": scenario_N == 3,
    }
    print(f"  {'scenario, one week, scores averaged over seeds':52}{'frauds':>8}{'auc':>8}{'ap':>8}")
    for kind, fraud_N in kinds.items():
        within_N = fraud_N | (scenario_N == 0)
        y_N, kept_N = fraud_N[within_N], scores_N[within_N]
        print(f"  {kind:52}{y_N.sum():8}{auc(y_N, kept_N):8.3f}{average_precision(y_N, kept_N):8.3f}")


def measure(
    payments: Payments, examples: Examples, part: Week, seeds: list[int], threads: int
) -> tuple[list[Figures], list[Figures]]:
    """Print the figures of a test week for every seed; return those of one week, and those of all rows."""
    sizes = {"train": part.train, "all before": part.all_before, "test": part.test}
    told = (f"{name} {len(rows)} with {payments.y_N[rows].sum()} frauds" for name, rows in sizes.items())
    print(f"test week {part.begin}: {', '.join(told)}; seeds {seeds}")
    found: list[list[Figures]] = []
    for what, train, settings in (("one week", part.train, _ONE_WEEK), ("all rows", part.all_before, _ALL_ROWS)):
        section = settings.model_copy(update={"threads": threads})
        scores = [scores_of(examples, train, part, section, seed) for seed in seeds]
        found.append([judge(payments, part.test, scores_N) for scores_N in scores])
        for seed, figures in zip(seeds, found[-1], strict=True):
            print(_line(f"orita, {what}, seed {seed}", figures))
        if what == "one week":
            by_scenario(payments, examples, part, np.mean(scores, axis=0, dtype=np.float64))
    return found[0], found[1]


def _line(name: str, figures: Figures) -> str:
    return f"  {name:52}" + "".join(f"  {label} {value:.4f}" for label, value in zip(FIGURES, figures, strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path(os.environ.get("DATA") or _DEFAULT))
    parser.add_argument("--validate", action="store_true", help="the earlier weeks, in place of the test week")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if not options.data.is_file():
        raise UserError(f"{options.data} is not a file: give the handbook's transactions as one Parquet file.")
    begins = _EARLIER_WEEKS if options.validate else (TEST_WEEK,)
    last = np.datetime64(begins[-1]) + 7
    relation = f"(SELECT * FROM read_parquet('{options.data}') WHERE TX_DATETIME < '{last}')"
    payments, examples = read_payments(relation), examples_of(relation)
    assert np.array_equal(examples.y_N, payments.y_N), "both are in the order of the payments' ids"
    one_week, all_rows = [], []
    for part in (week(payments, begin) for begin in begins):
        of_week, of_all = measure(payments, examples, part, options.seeds, options.threads)
        one_week += of_week
        all_rows += of_all
        if not options.validate:
            for name, figures in baselines(relation, payments, part).items():
                print(_line(f"handbook's features, {name} here", figures))
            for name, figures in _PUBLISHED.items():
                print(_line(f"published: {name}", figures))
    means = dict(zip(FIGURES, np.mean(one_week, axis=0), strict=True))
    means["average_precision_all_rows"] = np.mean(all_rows, axis=0)[1]
    print(json.dumps({name: round(float(value), 4) for name, value in means.items()}))


if __name__ == "__main__":
    main()
