"""Features that hold what a user answered to one item each, and the answers that training rows tell.

Legend: N rows, F features, K features that hold answers, U users.

A system declares one for each of its best-known items, missing if the user never met it, such as
``ratings.mean("rating").by(viewer).where(ratings.item_id.equals(50))``, named by a prefix and the item: ``answer_50``.
They are right in time and served like any feature, so that somebody who is new since training is known by what they
have answered up to the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.examples import Examples
from orita.models.vocabulary import Vocabulary

__all__ = ["AnswerColumns", "answers_of"]


@dataclass(frozen=True, slots=True)
class AnswerColumns:
    """Which columns of a matrix hold answers, to which items, and which are plain.

    Attributes:
        plain: the other columns, in order.
        answers: the columns of answers, [K].
        items: the item of each, as text.
    """

    plain: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int64]
    items: tuple[str, ...]

    @classmethod
    def of(cls, schema: FeatureSchema, prefix: str) -> AnswerColumns:
        """Return the columns of *schema*; those of answers are named *prefix* and the item."""
        held = {i: name.removeprefix(prefix) for i, name in enumerate(schema.names) if name.startswith(prefix)}
        plain = [i for i in range(len(schema)) if i not in held]
        return cls(np.array(plain, np.int64), np.array([*held], np.int64), tuple(held.values()))

    def replaced(self, rows: Examples, names: Sequence[str], told_NT: npt.NDArray[np.float32]) -> Examples:
        """Return *rows* with the columns *told_NT*, called *names*, in the place of the answers."""
        plain = [rows.schema.columns[i] for i in self.plain]
        schema = FeatureSchema((*plain, *(FeatureColumn(name, "pair") for name in names)))
        return replace(rows, schema=schema, x_NF=np.hstack([rows.x_NF[:, self.plain], told_NT]))


def answers_of(train: Examples, user_N: npt.NDArray[np.intp], columns: AnswerColumns) -> npt.NDArray[np.float64]:
    """Return the answer of each row, [N]: what the latest row of its user tells of its item, where a feature does.

    For other items, and for answers after that row, it is the mean of those that are told and have the same label; the
    label itself where none is.

    Args:
        train: rows with labels.
        user_N: numbers of their users, 0 … U − 1.
        columns: which features hold answers.
    """
    latest_U = np.zeros(int(user_N.max()) + 1, np.int64)
    by_time_N = np.argsort(train.time_N, kind="stable")
    latest_U[user_N[by_time_N]] = by_time_N  # the last one written stays
    answered = Vocabulary.of(np.array(columns.items, object))
    column_V = np.zeros(1 + len(answered), np.int64)
    column_V[answered.rows(columns.items)] = columns.answers
    item_N = answered.rows(train.items_N)
    told_N = np.where(item_N > 0, train.x_NF[latest_U[user_N], column_V[item_N]], np.nan).astype(np.float64)
    usual_N = train.y_N.astype(np.float64)
    for label in (0.0, 1.0):
        alike_N = train.y_N == label
        known_N = alike_N & ~np.isnan(told_N)
        if known_N.any():
            usual_N[alike_N] = told_N[known_N].mean()
    return np.where(np.isnan(told_N), usual_N, told_N)
