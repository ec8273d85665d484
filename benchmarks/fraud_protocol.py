"""The protocol of the fraud detection handbook: which payments are learned from, which are judged, and by what.

Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection – Practical
Handbook" (2022), sections 3.4 and 4.4. For a test week that begins on day S:

- train: the payments of the 7 days S−14 … S−8. Those of the 7 days between are not learned from, as a label is known a
  week late; what features and the next line say of frauds uses each label from then on.
- test: the payments of the days S … S+6, without those of cards that are known to be compromised: on day d, those with
  a fraud on a day from S−14 to d−8.
- figures: AUC, average precision, and the precision among the 100 most suspicious cards of a day.

For S = 2018-08-08 the handbook prints 67,240 payments to learn from, and 58,264 to judge on, of which 385 are frauds.

Legend: N payments, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from orita.core.extras import require
from orita.stats.card_precision import card_precision_at_k
from orita.stats.metrics import auc, average_precision

__all__ = [
    "FIGURES",
    "TEST_WEEK",
    "Figures",
    "Payments",
    "Rows",
    "Week",
    "baselines",
    "judge",
    "read_payments",
    "week",
]

Rows = npt.NDArray[np.intp]
Figures = tuple[float, ...]
TEST_WEEK = "2018-08-08"
FIGURES = ("auc", "average_precision", "card_precision_at_100")
MICROS = 86_400_000_000
_DELAY = 7
_DAYS = (1, 7, 30)


@dataclass(frozen=True, slots=True)
class Payments:
    """Payments in the order of their ids: their cards, days since the Unix epoch, labels and kinds of fraud."""

    card_N: npt.NDArray[np.int64]
    day_N: npt.NDArray[np.int64]
    y_N: npt.NDArray[np.int8]
    scenario_N: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Week:
    """A test week: its first day, the payments to learn from, those of all days before, and those to judge on."""

    begin: str
    train: Rows
    all_before: Rows
    test: Rows


def read_payments(relation: str) -> Payments:
    """Return the payments of an SQL *relation*."""
    names = "CUSTOMER_ID, epoch_us(TX_DATETIME), TX_FRAUD, TX_FRAUD_SCENARIO"
    with duckdb.connect() as connection:
        found = connection.sql(f"SELECT {names} FROM {relation} ORDER BY TRANSACTION_ID").fetchnumpy()
    card, at, y, scenario = found.values()
    return Payments(card.astype(np.int64), at // MICROS, y, scenario)


def week(payments: Payments, begin: str) -> Week:
    """Return the rows of the test week that begins on *begin*."""
    first = int(np.datetime64(begin, "D").astype(np.int64))
    day_N, card_N, y_N = payments.day_N, payments.card_N, payments.y_N
    train_N = (day_N >= first - 14) & (day_N <= first - 8)
    test = []
    for day in range(first, first + 7):
        known = card_N[(day_N >= first - 14) & (day_N <= day - 8) & (y_N > 0)]
        today = np.flatnonzero(day_N == day)
        test.append(today[~np.isin(card_N[today], known)])
    return Week(begin, np.flatnonzero(train_N), np.flatnonzero(day_N <= first - 8), np.concatenate(test))


def judge(payments: Payments, rows: Rows, scores_N: npt.NDArray[Any]) -> Figures:
    """Return the `FIGURES` of the scores of *rows*."""
    y_N = payments.y_N[rows]
    cards = card_precision_at_k(y_N, scores_N, payments.card_N[rows], payments.day_N[rows], 100)
    return auc(y_N, scores_N), average_precision(y_N, scores_N), cards


def baselines(relation: str, payments: Payments, part: Week) -> dict[str, Figures]:
    """Return the figures of the handbook's own features and models, by name; random state 0 as there."""
    linear, ensemble = require("sklearn.linear_model", extra="train"), require("sklearn.ensemble", extra="train")
    models = {
        "logistic regression": linear.LogisticRegression(random_state=0),
        "random forest": ensemble.RandomForestClassifier(random_state=0, n_jobs=2),
    }
    x_NF = _handbook_features(relation)
    scaler = require("sklearn.preprocessing", extra="train").StandardScaler().fit(x_NF[part.train])
    found = {}
    for name, model in models.items():
        model.fit(scaler.transform(x_NF[part.train]), payments.y_N[part.train])
        scores_N = model.predict_proba(scaler.transform(x_NF[part.test]))[:, 1]
        found[name] = judge(payments, part.test, scores_N)
    return found


def _handbook_features(relation: str) -> npt.NDArray[np.float64]:
    """Return the handbook's 15 features; its windows hold the payment itself, and those a week ago at its very time."""
    names = ["TX_AMOUNT", "dayofweek(TX_DATETIME) IN (0, 6)", "hour(TX_DATETIME) <= 6"]
    for days in _DAYS:
        now = f"OVER (PARTITION BY CUSTOMER_ID ORDER BY t RANGE BETWEEN {days * MICROS - 1} PRECEDING AND CURRENT ROW)"
        late = (
            "OVER (PARTITION BY TERMINAL_ID ORDER BY t "
            f"RANGE BETWEEN {(days + _DELAY) * MICROS - 1} PRECEDING AND {_DELAY * MICROS} PRECEDING)"
        )
        names += [f"count(*) {now}", f"avg(TX_AMOUNT) {now}", f"count(*) {late}", f"coalesce(avg(TX_FRAUD) {late}, 0)"]
    columns = ", ".join(f"CAST({name} AS DOUBLE) AS f{number}" for number, name in enumerate(names))
    query = f"SELECT {columns} FROM (SELECT *, epoch_us(TX_DATETIME) AS t FROM {relation}) ORDER BY TRANSACTION_ID"
    with duckdb.connect() as connection:
        found = connection.sql(query).fetchnumpy()
    return np.column_stack([found[f"f{number}"] for number in range(len(names))])
