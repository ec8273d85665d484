"""A calibration for each head, from rows that the model did not learn from.

Legend: N rows, K rows that say an outcome, H heads.
"""

from __future__ import annotations

import numpy as np

from orita.core.errors import UserError
from orita.models.calibration import Calibration, fit_calibration
from orita.models.examples import Examples
from orita.models.objectives.heads import HasHeads
from orita.models.objectives.targets import targets
from orita.models.ranker import Ranker

__all__ = ["calibrate_heads"]


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
    if not isinstance(ranker, HasHeads) or not ranker.heads():
        return fit_calibration(method, rows.y_N, ranker.score(rows))
    heads = ranker.heads()
    p_NH, targets_NH = ranker.score_heads(rows), targets(rows, heads)
    found = {heads[0].name: fit_calibration(method, rows.y_N, p_NH[:, 0])}
    for column, head in enumerate(heads[1:], 1):
        known_N = np.isfinite(targets_NH[:, column])
        target_K = targets_NH[known_N, column]
        if len(target_K) and target_K.min() < target_K.max():
            try:
                found[head.name] = fit_calibration(method, target_K, p_NH[known_N, column], shares=True)
            except UserError as error:
                raise UserError(f"the head {head.name!r} cannot be calibrated: {error}") from None
    return found
