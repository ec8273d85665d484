"""Small worlds for the tests of tasks: a table with two to three classes or a number, and short texts with a mood."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.core.progress import SILENT
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.config import LightGBMSection
from orita.models.ranker import FitContext
from orita.models.tasks.config import Task, TaskSection, TextSection
from orita.models.tasks.predictor import TableRows, TextRows

__all__ = ["CONTEXT", "MOODS", "SCHEMA", "section_of", "table", "texts"]

CONTEXT = FitContext(SILENT, seed=0)
MOODS = ("negative", "neutral", "positive")
SCHEMA = FeatureSchema(
    (
        FeatureColumn("length", "item"),
        FeatureColumn("kind", "item", "category", 4, "int8"),
        FeatureColumn("orders", "user", "count", arrow="int64"),
        FeatureColumn("weekend", "context", "flag", arrow="int8"),
    )
)
_CLASSES: dict[Task, tuple[str, ...]] = {
    "binary": ("no", "yes"),
    "multiclass": ("low", "middle", "high"),
    "regression": (),
    "text": MOODS,
}
_WORDS = (("bad", "ibi", "búburú", "😭"), ("road", "ọjà", "ulo", "."), ("good", "dára", "ọma", "😂"))


def section_of(task: Task, type_: str = "lightgbm") -> TaskSection:
    """Return a small configuration of *task*."""
    trees = LightGBMSection(max_trees=30, patience=5, min_rows_in_leaf=10, threads=1)
    text = TextSection(strengths=(3.0, 10.0), bayes_shares=(0.0, 0.5))
    return TaskSection.model_validate(
        {"task": task, "classes": _CLASSES[task], "type": type_, "lightgbm": trees, "text": text}
    )


def table(task: Task, rows: int = 600, *, seed: int = 0) -> TableRows:
    """Return rows whose answer depends on every feature; a tenth of the values is missing."""
    random = np.random.default_rng(seed)
    length_N, kind_N = random.normal(size=rows), random.integers(0, 4, rows)
    orders_N, weekend_N = random.poisson(5, rows), random.integers(0, 2, rows)
    value_N = length_N + np.array([2.0, -1.0, 0.0, 1.0])[kind_N] + np.log1p(orders_N) + 0.5 * weekend_N
    value_N = value_N + random.normal(size=rows) / 4
    x_NF = np.column_stack([length_N, kind_N, orders_N, weekend_N]).astype(np.float32)
    x_NF[random.random(x_NF.shape) < 0.1] = np.nan
    y_N: npt.NDArray[np.float64] | npt.NDArray[np.int64] = value_N
    if task != "regression":
        limits = [2.2] if task == "binary" else [1.5, 3.0]
        y_N = np.searchsorted(limits, value_N).astype(np.int64)
    return TableRows(SCHEMA, x_NF, y_N)


def texts(rows: int = 240, *, seed: int = 0) -> TextRows:
    """Return texts of five words, two of them of the text's mood and the others of any."""
    random = np.random.default_rng(seed)
    y_N = random.integers(0, 3, rows)
    every = [word for mood in _WORDS for word in mood]
    written = []
    for mood in y_N:
        words = [*random.choice(_WORDS[mood], 2), *random.choice(every, 3)]
        random.shuffle(words)
        written.append("@someone " + " ".join(words))
    return TextRows(written, y_N.astype(np.int64))
