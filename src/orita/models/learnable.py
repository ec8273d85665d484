"""Rows that a ranker can learn from: some of either label, and some to stop by."""

from __future__ import annotations

from orita.core.errors import UserError
from orita.models.examples import Examples

__all__ = ["check_can_learn"]


def check_can_learn(type_: str, train: Examples, val: Examples) -> None:
    """Refuse rows that teach nothing, before anything is fitted: the same sentence for every type of ranker.

    From rows of one kind nothing can be told apart. What a type makes of them is an accident of its library: a
    constant, an error of its own, or scores that only look like an answer.

    Args:
        type_: which ranker, for the sentence.
        train: rows to learn from: at least one with a click, and one without.
        val: rows to stop by, one at least.

    Raises:
        UserError: rows are missing, or are all of one kind.
    """
    if len(train) == 0 or len(val) == 0:
        raise UserError(f"{type_} was given {len(train)} training and {len(val)} validation rows; give some of each.")
    positives = int((train.y_N > 0).sum())
    if positives in (0, len(train)):
        raise UserError(
            f"{type_} was given {len(train)} training rows, {positives} of them positive: there is nothing to tell "
            "apart. Give rows with clicks and rows without, or another label."
        )
