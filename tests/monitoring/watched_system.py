"""A small system to watch: its schema, its users and items, and requests drawn from them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from orita.core.clock import to_micros
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.monitoring.reference import Reference
from orita.monitoring.sample import RequestSample, sample_rows

START = datetime(2024, 11, 10, tzinfo=UTC)
SCHEMA = FeatureSchema(
    (
        FeatureColumn("user_historical_ctr", "user"),
        FeatureColumn("user_interaction_count", "user", "count"),
        FeatureColumn("item_ctr", "item"),
        FeatureColumn("hour_of_day", "context", "category", 24),
        FeatureColumn("device_mobile", "context", "flag"),
    )
)
_USERS, _ITEMS = 3000, 2000


def draw(rng: np.random.Generator, requests: int, per_request: int = 1) -> dict[str, np.ndarray]:
    """Return rows of *requests* requests from one unchanging population."""
    population = np.random.default_rng(7)
    user_ctr, activity = population.beta(2, 8, _USERS), population.poisson(40, _USERS)
    item_ctr = population.beta(2, 9, _ITEMS)
    code = np.repeat(np.arange(requests), per_request)
    users = rng.integers(0, _USERS, requests)[code]
    # 97 and the number of items share no factor: a request never holds an item twice.
    items = (rng.integers(0, _ITEMS, requests)[code] + 97 * np.tile(np.arange(per_request), requests)) % _ITEMS
    hour, mobile = rng.integers(0, 24, requests)[code], (rng.random(requests) < 0.6)[code]
    x_NF = np.column_stack([user_ctr[users], activity[users], item_ctr[items], hour, mobile]).astype(np.float32)
    x_NF[rng.random(len(code)) < 0.03, 2] = np.nan
    scores = 1 / (1 + np.exp(1.5 - 5 * x_NF[:, 0] - 4 * np.nan_to_num(x_NF[:, 2], nan=0.18)))
    return {"x_NF": x_NF, "scores_N": scores, "users_N": users, "items_N": items, "requests_N": code}


def reference_of(rows: dict[str, np.ndarray], **more: object) -> Reference:
    """Return the reference of *rows*."""
    return Reference.from_rows(SCHEMA, model_version="v1.0.0", made_at=START, **rows, **more)  # type: ignore[arg-type]


def sample_of(rows: dict[str, np.ndarray]) -> RequestSample:
    """Return the sample of *rows*."""
    return sample_rows(SCHEMA, **rows)  # type: ignore[arg-type]


def logged(rows: dict[str, np.ndarray], version: str = "v1.0.0", latency_ms: float = 12.0) -> pa.Table:
    """Return *rows* as the prediction log holds them, 100 requests a day."""
    codes = rows["requests_N"]
    features = [pa.array(rows["x_NF"][:, f], from_pandas=True) for f in range(len(SCHEMA))]
    micros = to_micros(START) + codes * (timedelta(days=1) // timedelta(microseconds=1) // 100)
    return pa.table(
        {
            "prediction_id": np.arange(len(codes)).astype(str),
            "timestamp": pa.array(micros).cast(pa.timestamp("us", tz="UTC")),
            "user_id": rows["users_N"].astype(str),
            "item_id": rows["items_N"].astype(str),
            "score": rows["scores_N"].astype(np.float32),
            "model_version": pa.array([version] * len(codes)),
            "latency_ms": pa.array(np.full(len(codes), latency_ms, dtype=np.float32)),
            "features": pa.StructArray.from_arrays(features, names=list(SCHEMA.names)),
            "request_id": np.char.add(f"{version}-", codes.astype(str)),
        }
    )


def answered(
    predictions: pa.Table, click_probability: Callable[[np.ndarray], np.ndarray], seed: int = 0, share: float = 1.0
) -> pa.Table:
    """Return the feedback of users who click with the given probability of the score; item ids are integers here."""
    rng = np.random.default_rng(seed)
    scores = predictions.column("score").to_numpy()
    table = pa.table(
        {
            "request_id": predictions.column("request_id"),
            "item_id": pa.array(predictions.column("item_id").to_numpy().astype(np.int64)),
            "click": (rng.random(len(scores)) < click_probability(scores)).astype(np.int64),
            "timestamp": predictions.column("timestamp"),
        }
    )
    return table.take(pa.array(np.flatnonzero(rng.random(len(scores)) < share)))
