"""What does no single feature show? Correlations that changed, and rows that a classifier tells apart.

Legend: R requests, F features.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.monitoring.config import DriftDetectionConfig
from orita.monitoring.findings import Together
from orita.monitoring.sample import RequestSample
from orita.stats.drift.correlation import correlation_test
from orita.stats.drift.joint import joint_test

__all__ = ["Together", "tests_together"]

_LEAST_ROWS = 30


def tests_together(
    expected: RequestSample, recent: RequestSample, config: DriftDetectionConfig
) -> tuple[Together, ...]:
    """Return the tests of correlations and of all features together, not yet decided; none with too little to compare.

    Rows must be independent here, so one row a user takes part, with the features of user and context: an item that
    many requests show would be many rows. Features that follow the clock or grow with time are left out.
    """
    apart = {*config.calendar_features, *config.growing_features}
    columns = [
        f
        for f, column in enumerate(expected.schema.columns)
        if column.side != "item" and column.kind != "count" and column.name not in apart
    ]
    before, now = (_one_row_a_user(sample)[:, columns] for sample in (expected, recent))
    if len(columns) < 2 or min(len(before), len(now)) < _LEAST_ROWS:
        return ()
    pairs = correlation_test(before, now, seed=config.seed)
    joint = joint_test(before, now, seed=config.seed)
    found = [Together("all features together", joint.p_value, joint.effect, False, _told_apart(joint.auc))]
    if pairs.pair is not None:
        first, second = (expected.schema.names[columns[d]] for d in pairs.pair)
        words = f"correlation of {first} and {second}: {pairs.before:.2f} before and {pairs.now:.2f} now"
        found.append(Together("correlations", pairs.p_value, pairs.effect, False, words))
    return tuple(found)


def _one_row_a_user(sample: RequestSample) -> npt.NDArray[np.float32]:
    _, first_R = np.unique(sample.users_R, return_index=True)
    return sample.x_RF[np.sort(first_R)]


def _told_apart(auc: float) -> str:
    return f"a classifier tells recent requests from those of the reference with an AUC of {auc:.3f}"
