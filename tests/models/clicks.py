"""A small world of clicks for the tests of models: tastes, items of unequal worth, missing values."""

from __future__ import annotations

import numpy as np

from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.config import EarlyStoppingSection, LightGBMSection, ModelSection, TrainingSection
from orita.models.examples import Examples

__all__ = ["MODEL", "SCHEMA", "TRAINING", "clicks"]

SCHEMA = FeatureSchema(
    (
        FeatureColumn("user_historical_ctr", "user"),
        FeatureColumn("item_popularity", "item", "count", arrow="int64"),
        FeatureColumn("item_ctr", "item"),
        FeatureColumn("topic", "item", "category", 5, "int8"),
        FeatureColumn("device", "context", "category", 3, "int8"),
        FeatureColumn("weekend", "context", "flag", arrow="int8"),
        FeatureColumn("pair_count", "pair", "count", arrow="int64"),
    )
)

MODEL = ModelSection(
    user_tower_dims=(16,),
    item_tower_dims=(16,),
    hidden_dims=(16, 8),
    embedding_dim=8,
    id_embedding_dim=4,
    lightgbm=LightGBMSection(max_trees=40, patience=10, min_rows_in_leaf=20, threads=1),
)
TRAINING = TrainingSection(batch_size=128, epochs=3, early_stopping=EarlyStoppingSection(patience=3))


def clicks(rows: int = 1500, *, seed: int = 0, users: int = 60, items: int = 40, text: bool = False) -> Examples:
    """Return *rows* rows in order of time."""
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(99)  # the same world whatever the seed
    taste, worth, topic = truth.normal(size=(users, 5)), truth.normal(size=items), truth.integers(0, 5, items)
    users_N, items_N = random.integers(0, users, rows), random.integers(0, items, rows)
    device_N, weekend_N = random.integers(0, 3, rows), random.integers(0, 2, rows)
    logit_N = 1.2 * taste[users_N, topic[items_N]] + worth[items_N] + 0.5 * (device_N == 1) - 0.8
    y_N = (random.random(rows) < 1 / (1 + np.exp(-logit_N))).astype(np.float32)
    x_NF = np.column_stack(
        [
            1 / (1 + np.exp(-taste[users_N].mean(1))),
            random.poisson(20, rows),
            1 / (1 + np.exp(-worth[items_N] + random.normal(size=rows) / 4)),
            topic[items_N],
            device_N,
            weekend_N,
            random.poisson(1, rows),
        ]
    ).astype(np.float32)
    x_NF[random.random(x_NF.shape) < 0.1] = np.nan
    time_N = np.arange(rows, dtype=np.int64) * 1_000_000
    if text:
        names_U, names_I = (
            np.array([f"{kind}-{n}" for n in range(count)], object) for kind, count in (("u", users), ("i", items))
        )
        return Examples(SCHEMA, names_U[users_N], names_I[items_N], x_NF, y_N, time_N)
    return Examples(SCHEMA, users_N.astype(np.int64) + 7, items_N.astype(np.int64) * 3, x_NF, y_N, time_N)
