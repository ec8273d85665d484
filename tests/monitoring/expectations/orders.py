"""A small table of orders in days, for tests of expectations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

__all__ = ["START", "order_days", "orders"]

START = datetime(2024, 3, 4, tzinfo=UTC)


def orders(rows: int = 600, *, day: int = 0, seed: int = 0) -> pa.Table:
    """Return the orders of a day: sound, with a total, a skewed price, two segments and some missing ages."""
    rng = np.random.default_rng([seed, day])
    placed = (START + timedelta(days=day)).timestamp() * 1e6 + np.sort(rng.integers(0, 86_400_000_000, rows))
    price = np.round(rng.lognormal(3, 0.7, rows), 2)
    quantity = 1 + rng.poisson(1, rows)
    age = rng.normal(40, 9, rows).round()
    return pa.table(
        {
            "order_id": np.arange(rows) + 10_000 * day,
            "placed_at": pa.array(placed.astype(np.int64), pa.timestamp("us", "UTC")),
            "channel": rng.choice(["web", "app", "store"], rows, p=[0.5, 0.3, 0.2]).tolist(),
            "zip": [f"{code:05}" for code in rng.integers(0, 90, rows) * 331],
            "quantity": quantity,
            "price": price,
            "total": np.round(quantity * price, 2),
            "age": pa.array(np.where(rng.random(rows) < 0.1, np.nan, age), from_pandas=True),
            "income": np.round(20 * age + rng.normal(0, 100, rows), 1),
        }
    )


def order_days(days: int = 12, rows: int = 600) -> pa.Table:
    """Return the orders of several days."""
    return pa.concat_tables([orders(rows, day=day) for day in range(days)])
