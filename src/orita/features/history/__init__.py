"""The batch engine: features of rows of the past, each as of its own time.

Events are read once (`frame`), their keys become small numbers (`coding`), events and the rows that ask about them are
brought together by key (`meeting`), and stretches of keys are folded one after another (`stretch`, `folded`, `keyed`);
which events a row sees is written in `kernel.ranges`. What comes out are aggregates (`engine`), and of them features
(`rows`).
"""

from orita.features.history.engine import History, compute_history
from orita.features.history.keyed import residual_values, values_of_read
from orita.features.history.rows import feature_rows, feature_values, offline_features

__all__ = [
    "History",
    "compute_history",
    "feature_rows",
    "feature_values",
    "offline_features",
    "residual_values",
    "values_of_read",
]
