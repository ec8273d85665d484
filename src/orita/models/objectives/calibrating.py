"""A calibration for each head, from rows that the model did not learn from.

Legend: N rows, K rows that say an outcome, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.calibration import Calibration, fit_calibration
from orita.models.examples import Examples
from orita.models.objectives.heads import HasHeads, Head
from orita.models.objectives.targets import targets
from orita.models.ranker import Ranker

__all__ = ["calibrate_heads", "calibrate_outputs"]


def calibrate_heads(method: str, ranker: Ranker, rows: Examples) -> Calibration | dict[str, Calibration]:
    """Return the calibration of a ranker with one head, or those of its heads by name, for `write_package`.

    A head other than the label's of which these rows hold one value alone stays as it is: nothing can be fitted on it.
    A flag that was 0 or 1 in training may be a share of 1 here; its rates are then mean shares.

    Args:
        method: ``isotonic``, ``platt`` or ``none``.
        ranker: a fitted ranker.
        rows: labelled rows that it did not learn from.

    Raises:
        UserError: as `fit_calibration`; the sentence names the head.
    """
    heads = ranker.heads() if isinstance(ranker, HasHeads) else ()
    outputs = ranker.score_heads(rows) if isinstance(ranker, HasHeads) and heads else ranker.score(rows)
    return calibrate_outputs(method, heads, outputs, rows)


def calibrate_outputs(
    method: str, heads: Sequence[Head], outputs: npt.NDArray[Any], rows: Examples
) -> Calibration | dict[str, Calibration]:
    """Return what `calibrate_heads` does, of what a model gave for *rows* before any calibration.

    Args:
        method: ``isotonic``, ``platt`` or ``none``.
        heads: of the model; none: it has one output.
        outputs: ``p_NH``, or ``scores_N`` of a model with one output.
        rows: labelled rows that it did not learn from.

    Raises:
        UserError: as `fit_calibration`; the sentence names the head.
    """
    if not heads:
        return fit_calibration(method, rows.y_N, outputs)
    targets_NH = targets(rows, heads)
    found = {heads[0].name: fit_calibration(method, rows.y_N, outputs[:, 0])}
    for column, head in enumerate(heads[1:], 1):
        known_N = np.isfinite(targets_NH[:, column])
        target_K = targets_NH[known_N, column]
        if len(target_K) and target_K.min() < target_K.max():
            try:
                found[head.name] = fit_calibration(method, target_K, outputs[known_N, column], shares=True)
            except UserError as error:
                raise UserError(f"the head {head.name!r} cannot be calibrated: {error}") from None
    return found
