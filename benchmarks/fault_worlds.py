"""Tables in batches for the bench ``faults``: generated orders with seasons, card payments, ratings of films.

A batch is a dict of NumPy arrays; texts are arrays of objects. Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

__all__ = ["Rows", "World", "card_payments", "film_ratings", "generated_orders", "table_of"]

Rows = dict[str, npt.NDArray[Any]]

START = datetime(2024, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
_HOUR_WEIGHTS = np.array([3, 2, 1, 1, 1, 2, 4, 7, 9, 10, 11, 12, 13, 12, 11, 11, 12, 13, 14, 15, 14, 11, 8, 5], float)
_WEEKDAY_ROWS = np.array([1.0, 0.95, 0.95, 1.0, 1.2, 1.4, 1.1])
_PRODUCTS = np.array(
    [
        f"{kind} {name}"
        for kind in ("blender", "kettle", "lamp", "chair", "crème brûlée set", "müsli bowl")
        for name in ("Åsa", "Örjan", "Blue", "Classic", "Señor", "Tall", "Compact", "Deluxe", "Café", "Plain")
    ],
    dtype=object,
)
_CHANNELS = np.array(["web", "app", "store", "phone"], dtype=object)
_COUNTRIES = np.array(["NG", "SE", "KE", "DE", "GH", "FR"], dtype=object)
_CUSTOMERS = 5_000


@dataclass(frozen=True, slots=True)
class World:
    """A table in batches, in order.

    Attributes:
        name: of the data.
        batches: the rows of each.
        ends: the end of each.
        roles: by what a column is for (``number``, ``category``, ``label`` …) its name.
        time: whether batches are days, and times can be judged.
        keys: values of other tables by ``table.column``, and which column has to be among them.
    """

    name: str
    batches: Sequence[Rows]
    ends: Sequence[datetime]
    roles: Mapping[str, str]
    time: bool
    keys: Mapping[str, tuple[str, pa.Array]]


def table_of(rows: Rows) -> pa.Table:
    """Return a batch as an Arrow table; NaN is null, and columns that end in ``_at`` are times."""
    columns = {}
    for name, values in rows.items():
        if name.endswith("_at"):
            columns[name] = pa.array(values.astype(np.int64), pa.timestamp("us", "UTC"))
        else:
            columns[name] = pa.array(values, from_pandas=True)
    return pa.table(columns)


def generated_orders(days: int, *, rows: int = 4_000, seed: int = 0) -> World:
    """Return so many days of orders: hours and weekdays have seasons, prices, channels and fraud vary from day to day.

    Args:
        days: batches.
        rows: of an ordinary Monday.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    shares = rng.zipf(1.5, _CUSTOMERS).clip(max=50).astype(float)
    batches, ends, first = [], [], 1_000_000
    for day in range(days):
        at = START + timedelta(days=day)
        many = int(rows * _WEEKDAY_ROWS[at.weekday()] * np.exp(rng.normal(0, 0.04)))
        batches.append(_orders(rng, at, many, first, shares / shares.sum()))
        ends.append(at + timedelta(days=1))
        first += many
    roles = {
        **{"key": "order_id", "time": "placed_at", "foreign": "customer_id", "category": "channel"},
        **{"segment": "country", "code": "zip", "name": "product", "count": "quantity", "number": "price"},
        **{"total": "total", "decimal": "weight", "one": "age", "other": "income", "label": "fraud"},
    }
    keys = {"customers.customer_id": ("customer_id", pa.array(np.arange(_CUSTOMERS)))}
    return World("generated orders", batches, ends, roles, True, keys)


def _orders(rng: np.random.Generator, at: datetime, rows: int, first: int, shares: npt.NDArray[np.float64]) -> Rows:
    weekend = at.weekday() >= 5
    hours = _HOUR_WEIGHTS * np.exp(rng.normal(0, 0.03, 24))
    hour_N = rng.choice(24, rows, p=hours / hours.sum())
    begin = int(at.timestamp()) * 1_000_000
    placed_at = np.sort(begin + hour_N * 3_600_000_000 + rng.integers(0, 3_600_000_000, rows))
    mix = np.array([4.0, 3.5 + 0.5 * weekend, 1.5, 0.5]) * np.exp(rng.normal(0, 0.05, 4))
    channel = rng.choice(4, rows, p=mix / mix.sum())
    country = rng.choice(6, rows, p=[0.4, 0.2, 0.15, 0.1, 0.1, 0.05])
    product = rng.choice(len(_PRODUCTS), rows)
    price = np.round(np.exp(rng.normal(3 + 0.05 * weekend + rng.normal(0, 0.02), 0.8, rows) + 0.02 * (product % 10)), 2)
    quantity = 1 + rng.poisson(0.8, rows)
    age = np.round(rng.normal(40, 12, rows).clip(16, 95))
    income = np.round(1000 * np.exp(0.02 * (age - 40) + rng.normal(0.5, 0.3, rows)), 1)
    risk = 1 / (1 + np.exp(-(-4.4 + rng.normal(0, 0.08) + 0.5 * (np.log(price) - 3) + 0.6 * (channel == 3))))
    return {
        "order_id": np.arange(first, first + rows),
        "placed_at": placed_at,
        "customer_id": rng.choice(len(shares), rows, p=shares),
        "channel": _CHANNELS[channel],
        "country": _COUNTRIES[country],
        "zip": np.array([f"{code:05}" for code in (rng.integers(0, 300, rows) * 331) % 100_000], dtype=object),
        "product": _PRODUCTS[product],
        "quantity": quantity,
        "price": price,
        "total": np.round(quantity * price, 2),
        "weight": np.array([f"{weight:.2f}" for weight in rng.gamma(2, 1.5, rows)], dtype=object),
        "age": np.where(rng.random(rows) < 0.05, np.nan, age),
        "income": income,
        "fraud": (rng.random(rows) < risk).astype(np.int64),
    }


def card_payments(folder: Path, days: int) -> World | None:
    """Return the first days of the fraud handbook's payments; None where they are not there."""
    file = folder / "fraud-handbook" / "transactions.parquet"
    if not file.exists():
        return None
    names = {
        **{"TRANSACTION_ID": "transaction_id", "TX_DATETIME": "paid_at", "CUSTOMER_ID": "customer_id"},
        **{"TERMINAL_ID": "terminal_id", "TX_AMOUNT": "amount", "TX_FRAUD": "fraud"},
    }
    table = pq.read_table(file, columns=list(names)).rename_columns(list(names.values()))
    table = table.set_column(1, "paid_at", table["paid_at"].cast(pa.timestamp("us")).cast(pa.int64()))
    rows = {name: table[name].to_numpy() for name in table.column_names}
    day_N = rows["paid_at"] // _DAY
    batches, ends = [], []
    for day in np.unique(day_N)[:days].tolist():
        mask = day_N == day
        batches.append({name: values[mask] for name, values in rows.items()})
        ends.append(datetime.fromtimestamp((day + 1) * 86_400, UTC))
    roles = {"key": "transaction_id", "time": "paid_at", "number": "amount", "label": "fraud", "foreign": "customer_id"}
    keys = {"customers.customer_id": ("customer_id", pa.array(np.unique(rows["customer_id"])))}
    return World("card payments", batches, ends, roles, True, keys)


def film_ratings(folder: Path, rows: int = 1_000) -> World | None:
    """Return MovieLens-100K with its users, in the order of time, so many rows a batch; None where it is not there."""
    files = [folder / "movielens-100k" / f"ml-100k.{name}" for name in ("inter", "user")]
    if not all(file.exists() for file in files):
        return None
    as_text = pa_csv.ConvertOptions(column_types={"zip_code:token": pa.string()})
    inter, users = (
        pa_csv.read_csv(file, parse_options=pa_csv.ParseOptions(delimiter="\t"), convert_options=as_text)
        for file in files
    )
    inter, users = (t.rename_columns([name.partition(":")[0] for name in t.column_names]) for t in (inter, users))
    joined = inter.join(users, "user_id").sort_by([("timestamp", "ascending"), ("item_id", "ascending")])
    columns: Rows = {
        "user_id": joined["user_id"].to_numpy(),
        "item_id": joined["item_id"].to_numpy(),
        "rating": joined["rating"].to_numpy().astype(np.float64),
        "age": joined["age"].to_numpy().astype(np.float64),
        "liked": pc.greater_equal(joined["rating"], 4).cast(pa.int64()).to_numpy(),
    }
    for name in ("gender", "occupation", "zip_code"):
        columns[name] = np.array(joined[name].to_pylist(), dtype=object)
    many = joined.num_rows // rows
    batches = [{name: values[at * rows : (at + 1) * rows] for name, values in columns.items()} for at in range(many)]
    ends = [START + timedelta(days=at + 1) for at in range(many)]
    roles = {"number": "age", "other": "rating", "category": "occupation", "segment": "gender", "label": "liked"}
    keys = {"items.item_id": ("item_id", pa.array(np.unique(columns["item_id"])))}
    return World("film ratings", batches, ends, roles | {"code": "zip_code", "foreign": "item_id"}, False, keys)
