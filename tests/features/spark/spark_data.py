"""Some hundred events with ties, gaps, late writes and unknown ids, of the two systems that parity is shown on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from tests.features.shapes import CHANNELS, FAMILIES, ITEM, SHOWN, USER, expressions_plan, window_plan

from orita.features.history import compute_history, feature_rows, offline_features
from orita.features.history.keyed import AsOf
from orita.features.plan import Plan, plan_of
from orita.features.schema import FeatureSchema
from orita.features.system import system

__all__ = [
    "differing",
    "every_window_plan",
    "history_features",
    "history_rows",
    "rows_of",
    "shown_tables",
    "transfer_tables",
]

START = 1_729_987_200_000_000
HOUR = 3_600_000_000
EVENTS = 300


def every_window_plan(*, in_turns: bool = False) -> Plan:
    """Return the plan of every function over every window, and of residuals, attributes and what requests bring.

    With *in_turns* each function has one window of each family, and all windows come up: a third of the features.
    """
    every = system("every", label=SHOWN.click, rank=ITEM, for_=USER)
    every.features(**expressions_plan().system.declared)
    for family, windows in FAMILIES.items():
        declared = list(window_plan(family).system.declared.items())  # all functions over a window, then the next one's
        functions = len(declared) // len(windows)
        every.features(**{
            name: feature
            for place, (name, feature) in enumerate(declared)
            if not in_turns or place % functions % len(windows) == place // functions
        })  # fmt: skip
    return plan_of(every)


def shown_tables() -> dict[str, pa.Table]:
    """Return events of `shapes.SHOWN` with ids that are numbers, and what is known of some users and items."""
    draw = _Draw(np.random.default_rng(7))
    at = START + draw.whole(0, 60) * HOUR // 2
    joined = pa.array([START, None, START - HOUR, START + HOUR], pa.int64()).cast(pa.timestamp("us"))
    return {
        "shown": pa.table({
            "event_id": [f"e{i}" for i in draw.rng.permutation(EVENTS)],
            **{name: pa.array(draw.gaps(draw.whole(0, 6)), pa.int64()) for name in ("user_id", "item_id")},
            **{name: pa.array(draw.gaps(draw.whole(0, 2)), pa.int64()) for name in ("shop_id", "till_id")},
            "at": _times(at.tolist()),
            "seen_at": _times(draw.gaps(at + draw.whole(-1, 5) * HOUR, 0.5)),
            "click": pa.array(draw.whole(0, 2), pa.int8()),
            "amount": pa.array(draw.gaps(draw.rng.normal(3, 9, EVENTS)), pa.float64()),
            "units": pa.array(draw.gaps(draw.whole(-3, 4)), pa.int64()),
            "big": pa.array(draw.gaps(2**62 + draw.whole(0, 3)), pa.int64()),
            "channel": draw.gaps(draw.rng.choice(CHANNELS, EVENTS)),
            "word": draw.gaps(draw.rng.choice(["", "é", "e", "word"], EVENTS)),
        }),
        "users": pa.table({
            "user_id": pa.array(range(4), pa.int64()), "group": ["red", "grün", None, "undeclared"],
            "joined": joined, "age": [1.0, None, 3.0, 4.0],
        }),
        "items": pa.table({
            "item_id": pa.array(range(4), pa.int64()), "tags": [["d", "a", "a"], None, ["b'c", "undeclared"], []],
            "made": joined,
        }),
    }  # fmt: skip


def transfer_tables() -> dict[str, pa.Table]:
    """Return events of `shapes_roles.TRANSFERS` and `LOGINS` with ids that are texts, and some accounts."""
    draw = _Draw(np.random.default_rng(11))
    names = np.array(["a", "b", "ẹ̀kọ́", "a|b", "a" * 60])
    moment, entered = (START + draw.whole(0, 60) * HOUR // 2 for _ in range(2))
    keys = {name: draw.gaps(draw.rng.choice(names, EVENTS)) for name in ("payer_id", "payee_id", "holder_id")}
    branch = [{name: draw.gaps(draw.rng.choice(names[:2], EVENTS)) for name in ("bank", "branch")} for _ in range(2)]
    return {
        "transfers": pa.table({
            "transfer_id": [f"t{i}" for i in draw.rng.permutation(EVENTS)],
            "payer_id": keys["payer_id"], "payee_id": keys["payee_id"], **branch[0],
            "moment": _times(moment.tolist()), "fraud": pa.array(draw.whole(0, 2), pa.int8()),
            "amount": pa.array(draw.gaps(draw.rng.normal(3, 9, EVENTS)), pa.float64()),
        }),
        "logins": pa.table({
            "login_id": [f"l{i}" for i in draw.rng.permutation(EVENTS)],
            "holder_id": keys["holder_id"], "bank_code": branch[1]["bank"], "branch": branch[1]["branch"],
            "entered": _times(entered.tolist()),
            "noted": _times(draw.gaps(entered + draw.whole(0, 5) * HOUR, 0.5)),
            "failed": pa.array(draw.gaps(draw.whole(0, 2)), pa.int8()),
            "device": draw.gaps(draw.rng.choice(["é", "e"], EVENTS)),
        }),
        "accounts": pa.table({
            "account_id": names[:3].tolist(), "risk": ["low", None, "hàut"],
            "opened": _times([START, None, START + HOUR]),
        }),
    }  # fmt: skip


def rows_of(events: pa.Table, columns: Sequence[str], time: str) -> pa.Table:
    """Return rows that ask, numbered as ``no``: those of *events*, a few twice, and one long before."""
    rows = events.select([*columns, time])
    early = rows.slice(0, 1).set_column(len(columns), time, _times([START - 400 * 24 * HOUR]).cast(rows[time].type))
    rows = pa.concat_tables([rows, rows.slice(0, 5), early])
    return rows.append_column("no", pa.array(range(len(rows)), pa.int64()))


def history_features(
    plan: Plan, tables: dict[str, pa.Table], rows: pa.Table, schema: FeatureSchema, as_of: AsOf
) -> pa.Table:
    """Return what the batch engine makes of *rows*."""
    with _connection(tables) as connection:
        return offline_features(plan, connection, {name: name for name in tables}, rows, schema, as_of)


def history_rows(plan: Plan, tables: dict[str, pa.Table], schema: FeatureSchema) -> pa.Table:
    """Return what the batch engine makes of every event."""
    with _connection(tables) as connection:
        history = compute_history(plan, connection, {name: name for name in tables})
        return feature_rows(plan, history, schema)


def differing(found: pa.Table, expected: pa.Table, key: str) -> list[str]:
    """Return the columns that are not in both or, in the order of *key*, do not hold the same to the last bit."""
    found, expected = found.sort_by(key), expected.sort_by(key)
    if found.column_names != expected.column_names or len(found) != len(expected):
        return sorted({key} | set(found.column_names) ^ set(expected.column_names))
    return [n for n in found.column_names if found[n].cast(expected[n].type).to_pylist() != expected[n].to_pylist()]


def _connection(tables: dict[str, pa.Table]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name, table in tables.items():
        connection.register(name, table)
    return connection


def _times(micros: list[Any]) -> pa.Array:
    return pa.array(micros, pa.int64()).cast(pa.timestamp("us"))


class _Draw:
    """Columns of chance."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def whole(self, low: int, high: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return whole numbers, *high* not among them."""
        return self.rng.integers(low, high, EVENTS)

    def gaps(self, values: np.ndarray[Any, np.dtype[Any]], share: float = 0.15) -> list[Any]:
        """Return the values, some of them missing."""
        return [
            None if missing else v for v, missing in zip(values.tolist(), self.rng.random(EVENTS) < share, strict=True)
        ]
