"""The 12 features of the fraud detection handbook on 1.75 M card payments, beside the same as DuckDB window functions.

Of a customer the number of payments and their mean amount over 1, 7 and 30 days; of a terminal the number of payments
and the share of frauds over 1, 7 and 30 days, as known 7 days later. ``make bench B=fraud_features DATA=file``; the
values of random rows are compared with plain Python, and the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Mapping
from math import isclose, isnan
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from benchmarks.history import fastest

from orita import Column, Entity, Source, System, TableSchema, system
from orita.core.errors import UserError
from orita.features.history import compute_history, feature_rows
from orita.features.plan import plan_of

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "fraud-handbook" / "transactions.parquet"
_DAY = 86_400_000_000
_DELAY = 7
_DAYS = (1, 7, 30)
_ROWS = 2_000
_TIMES = 3

PAYMENTS = TableSchema(
    "payments",
    key="TRANSACTION_ID",
    time="TX_DATETIME",
    columns=(
        Column("TRANSACTION_ID", "id", required=True),
        Column("TX_DATETIME", "time", required=True),
        Column("CUSTOMER_ID", "id", required=True),
        Column("TERMINAL_ID", "id", required=True),
        Column("TX_AMOUNT", "float"),
        Column("TX_FRAUD", "flag"),
    ),
)


def declare() -> System:
    """Declare the twelve features."""
    customer, terminal = Entity("customer", "CUSTOMER_ID"), Entity("terminal", "TERMINAL_ID")
    payments = Source("payments", PAYMENTS)
    fraud = system("fraud", label=payments.TX_FRAUD, rank=terminal, for_=customer)
    fraud.features(
        customer_count=payments.count().by(customer).over("1d", "7d", "30d"),
        customer_amount=payments.mean("TX_AMOUNT").by(customer).over("1d", "7d", "30d"),
        terminal_count=payments.count().by(terminal).over("1d", "7d", "30d").delayed("7d"),
        terminal_risk=payments.ratio("TX_FRAUD").by(terminal).over("1d", "7d", "30d").delayed("7d"),
    )
    return fraud


def by_orita(path: Path) -> pa.Table:
    """Return the features by the batch engine, from the file to the table."""
    plan = plan_of(declare())
    with duckdb.connect() as connection:
        history = compute_history(plan, connection, {"payments": f"read_parquet('{path}')"})
        return feature_rows(plan, history, plan.system.schema())


def by_windows(path: Path) -> pa.Table:
    """Return the same features by DuckDB's window functions."""
    parts = [
        f"{what} OVER (PARTITION BY {key} ORDER BY t RANGE BETWEEN {(days + late) * _DAY} PRECEDING "
        f"AND {late * _DAY + 1} PRECEDING) AS {name}_{days}d"
        for name, what, key, late in (
            ("customer_count", "count(*)", "CUSTOMER_ID", 0),
            ("customer_amount", "avg(TX_AMOUNT)", "CUSTOMER_ID", 0),
            ("terminal_count", "count(*)", "TERMINAL_ID", _DELAY),
            ("terminal_risk", "avg(TX_FRAUD)", "TERMINAL_ID", _DELAY),
        )
        for days in _DAYS
    ]
    events = f"SELECT *, epoch_us(TX_DATETIME) AS t FROM read_parquet('{path}')"
    query = f"SELECT TRANSACTION_ID, {', '.join(parts)} FROM ({events})"
    with duckdb.connect() as connection:
        return connection.sql(query).to_arrow_table()


def mismatches(path: Path, found: pa.Table) -> int:
    """Return how many of the values of random rows are not those of plain Python."""
    with duckdb.connect() as connection:
        query = "SELECT TRANSACTION_ID, epoch_us(TX_DATETIME), CUSTOMER_ID, TERMINAL_ID, TX_AMOUNT, TX_FRAUD"
        events = connection.sql(f"{query} FROM read_parquet('{path}')").fetchall()
    of_customer, of_terminal = defaultdict(list), defaultdict(list)
    for _, at, customer, terminal, amount, fraud in events:
        of_customer[customer].append((at, amount))
        of_terminal[terminal].append((at, fraud))
    place = {identity: row for row, identity in enumerate(found["event_id"].to_pylist())}
    wrong = 0
    for e in np.random.default_rng(3).choice(len(events), _ROWS, replace=False).tolist():
        identity, at, customer, terminal, *_ = events[e]
        expected: dict[str, float] = {}
        for days in _DAYS:
            begin = at - days * _DAY
            amounts = [amount for t, amount in of_customer[customer] if begin <= t < at]
            frauds = [fraud for t, fraud in of_terminal[terminal] if begin <= t + _DELAY * _DAY < at]
            expected |= {f"customer_count_{days}d": len(amounts), f"customer_amount_{days}d": _mean(amounts),
                         f"terminal_count_{days}d": len(frauds), f"terminal_risk_{days}d": _mean(frauds)}  # fmt: skip
        wrong += _differ({name: found[name][place[identity]].as_py() for name in expected}, expected)
    return wrong


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _differ(found: Mapping[str, float | None], expected: Mapping[str, float]) -> int:
    """Return how many values differ by more than float32 rounds."""
    alike = (
        isnan(value) if (given := found[name]) is None else isclose(given, value, rel_tol=1e-6)
        for name, value in expected.items()
    )
    return sum(not each for each in alike)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path(os.environ.get("DATA") or _DEFAULT))
    path = parser.parse_args().data
    if not path.is_file():
        raise UserError(f"{path} is not a file: give the handbook's transactions as one Parquet file.")
    found = by_orita(path)
    wrong = mismatches(path, found)
    seconds = fastest({"orita": lambda: by_orita(path), "windows": lambda: by_windows(path)}, _TIMES)
    print(f"{len(found)} payments, 12 features: {seconds['orita']:.2f} s, DuckDB {seconds['windows']:.2f} s")
    print(json.dumps({
        "seconds": round(seconds["orita"], 3), "ratio_duckdb_windows": round(seconds["windows"] / seconds["orita"], 2),
        "mismatches": wrong,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
