"""Which single rows is the model most wrong about, being sure?

Legend: N rows, K rows found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orita.models.evaluation.scored_rows import Scores
from orita.models.examples import Examples
from orita.stats.metrics import row_log_loss

__all__ = ["TopError", "top_errors"]


@dataclass(frozen=True, slots=True)
class TopError:
    """One row that the model was sure of, wrongly.

    Attributes:
        row: its position among the rows.
        user, item: its ids.
        time: microseconds since the Unix epoch.
        positive: its label.
        score: what the model said.
        loss: its log loss, in nats.
        features: values by name, NaN where missing.
    """

    row: int
    user: str
    item: str
    time: int
    positive: bool
    score: float
    loss: float
    features: dict[str, float]


def top_errors(scores_N: Scores, rows: Examples, most: int = 10) -> tuple[list[TopError], list[TopError]]:
    """Return the positives with the lowest scores and the negatives with the highest, at most *most* of each."""
    loss_N = row_log_loss(rows.y_N, scores_N)
    found = []
    for wanted in (True, False):
        candidates_K = np.flatnonzero((rows.y_N > 0) == wanted)
        worst = candidates_K[np.argsort(-loss_N[candidates_K], kind="stable")[:most]]
        found.append([_error(int(row), wanted, scores_N, float(loss_N[row]), rows) for row in worst])
    return found[0], found[1]


def _error(row: int, positive: bool, scores_N: Scores, loss: float, rows: Examples) -> TopError:
    features = dict(zip(rows.schema.names, rows.x_NF[row].tolist(), strict=True))
    user, item = str(rows.users_N[row]), str(rows.items_N[row])
    return TopError(row, user, item, int(rows.time_N[row]), positive, float(scores_N[row]), loss, features)
