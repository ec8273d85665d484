"""Logged features against those that the log gives for the time of each request; every difference has a kind.

A difference is explained where an assumption about what was seen online gives all logged values of a row's side (its
user, its item, their pair, the request), those that are equal included. Legend: N rows, F features, D rows that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.events.lake import Lake
from orita.features.schema import FeatureSchema, Side
from orita.pipelines.replaying.findings import Part
from orita.pipelines.replaying.rebuilding import Assumption, Floats, Judged, Rebuilding, logged_values
from orita.pipelines.replaying.requests import days_of

__all__ = ["Compared", "compare_features"]

Flags = npt.NDArray[np.bool_]

ALLOWED = "logged values of a state that was behind by no more than --lag allows"

_MOST_EXPLAINED = 2_000
_SECOND = 1_000_000
_LAGS = {
    **{"30 ms": 0.03, "100 ms": 0.1, "300 ms": 0.3, "1 s": 1, "3 s": 3, "10 s": 10, "1 min": 60, "10 min": 600},
    **{"1 h": 3_600, "6 h": 21_600, "1 d": 86_400, "7 d": 604_800},
}
_SHIFTS = {"1 s": 1, "1 min": 60, "1 h": 3_600, "2 h": 7_200, "5 h": 18_000, "8 h": 28_800, "1 d": 86_400}


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows of one version, and what was found in them.

    Attributes:
        logged: the rows.
        judged: which features were compared.
        was: the logged values, by feature.
        rebuilt: those of history.
        wrong_N: by feature, in which rows they differ.
    """

    logged: pa.Table
    judged: Judged
    was: dict[str, Floats]
    rebuilt: dict[str, Floats]
    wrong_N: dict[str, Flags]

    @property
    def rows_D(self) -> npt.NDArray[np.intp]:  # noqa: N802 - an array's name carries its shape
        """Where the rows stand in which a feature differs."""
        wrong_N = np.zeros(len(self.logged), np.bool_)
        for each_N in self.wrong_N.values():
            wrong_N |= each_N
        return np.flatnonzero(wrong_N)


def compare_features(
    part: Part,
    rebuilding: Rebuilding,
    schema: FeatureSchema,
    logged: pa.Table,
    lake: Lake,
    altered: Callable[[Compared], Flags] | None = None,
    allowed_lag: int = 0,
) -> Compared:
    """Compare the features of *logged* rows of one version with history, and count what was found in *part*.

    Args:
        part: of features.
        rebuilding: computes them.
        schema: what the version reads.
        logged: rows of the prediction log.
        lake: tells when tables of attributes were changed.
        altered: given what differs, the rows whose logged score follows from the rebuilt features alone; None: unknown.
        allowed_lag: microseconds by which a state may have been behind; values that follow from that are left out.
    """
    judged = rebuilding.judged(schema, logged)
    for reason in judged.left_out.values():
        part.leave_out(reason, len(logged))
    was = {column.name: logged_values(logged, column.name) for column in judged.columns}
    rebuilt = rebuilding.values(judged, logged)
    wrong = {name: ~rebuilding.same(judged, name, was[name], rebuilt[name]) for name in was}
    found = Compared(logged, judged, was, rebuilt, wrong)
    days = np.array(days_of(logged))
    for name in was:
        for day in np.unique(days):
            of_day_N = days == day
            part.compared(name, str(day), int(of_day_N.sum()), int(wrong[name][of_day_N].sum()))
    if len(found.rows_D):
        _explain(part, rebuilding, found, lake, altered(found) if altered is not None else None, allowed_lag)
    return found


def _explain(
    part: Part, rebuilding: Rebuilding, found: Compared, lake: Lake, altered_N: Flags | None, allowed_lag: int
) -> None:
    """Count every difference of *found* by kind."""
    rows_D = found.rows_D
    for n in rows_D[_MOST_EXPLAINED:].tolist():
        part.differs("not_explained", sum(bool(wrong_N[n]) for wrong_N in found.wrong_N.values()))
    sides = {column.name: column.side for column in found.judged.columns}
    rows = rows_D[:_MOST_EXPLAINED].tolist()
    unexplained = {(n, sides[name]) for name, wrong_N in found.wrong_N.items() for n in rows if wrong_N[n]}
    for n, side in sorted(unexplained):
        if altered_N is not None and altered_N[n]:
            _told(part, found, n, side, "altered_value", "")
            unexplained.discard((n, side))
    if unexplained:
        explained = [
            (each, _explained(rebuilding, found, each, unexplained)) for each in _assumptions(rebuilding, allowed_lag)
        ]
        # What explains most comes first: a clock that is an hour off looks, for some rows, like one a minute off.
        for _ in range(len(explained)):
            assumed, by_it = max(explained, key=lambda each: len(each[1] & unexplained))
            for n, side in sorted(by_it & unexplained):
                if 0 < assumed.held <= allowed_lag:
                    _left_out(part, found, n, side)
                else:
                    _told(part, found, n, side, assumed.kind, assumed.note)
            unexplained -= by_it
    for n, side in sorted(unexplained):
        _told(part, found, n, side, _kind_of(rebuilding, found, n, side, lake), "")


def _explained(
    rebuilding: Rebuilding, found: Compared, assumed: Assumption, unexplained: set[tuple[int, Side]]
) -> set[tuple[int, Side]]:
    """Return the rows and sides all of whose logged values follow from what is *assumed*."""
    places = np.array(sorted({n for n, _ in unexplained}))
    sides = {column.name: column.side for column in found.judged.columns}
    values = rebuilding.values(found.judged, found.logged.take(pa.array(places)), assumed)
    fits = {name: rebuilding.same(found.judged, name, found.was[name][places], values[name]) for name in values}
    row_of = {n: d for d, n in enumerate(places.tolist())}
    return {(n, side) for n, side in unexplained if all(fits[name][row_of[n]] for name in fits if sides[name] == side)}


def _assumptions(rebuilding: Rebuilding, allowed_lag: int) -> Iterator[Assumption]:
    replayed = rebuilding.replayed
    if replayed.with_lost is not None:
        yield Assumption("not_in_lake", "", replayed.with_lost)
    if replayed.without_unlogged is not None:
        yield Assumption("not_in_log", "", replayed.without_unlogged)
    yield Assumption("late_event", "", replayed.relations, as_of="event")
    if allowed_lag:
        yield Assumption("behind", "as allowed", replayed.relations, held=allowed_lag)
    for name, seconds in _LAGS.items():
        yield Assumption("behind", f"by at most {name}", replayed.relations, held=round(seconds * _SECOND))
    for name, seconds in _SHIFTS.items():
        yield Assumption("after_as_of", f"by {name}", replayed.relations, later=seconds * _SECOND)
        yield Assumption("before_as_of", f"by {name}", replayed.relations, later=-seconds * _SECOND)


def _kind_of(rebuilding: Rebuilding, found: Compared, n: int, side: Side, lake: Lake) -> str:
    """Return the kind of a side's differences that no assumption explains."""
    columns = [c for c in found.judged.columns if c.side == side and found.wrong_N[c.name][n]]
    was = np.array([found.was[c.name][n] for c in columns])
    rebuilt = np.array([found.rebuilt[c.name][n] for c in columns])
    if (np.isnan(was) != np.isnan(rebuilt)).all():
        return "missing"
    asked: datetime = found.logged["as_of"][n].as_py()
    read = set().union(*(rebuilding.tables_of(found.judged, c.name) for c in columns))
    if any(_changed_since(lake, table, asked) for table in read):
        return "changed_attribute"
    counts = np.array([c.kind == "count" for c in columns])
    if counts.any() and (was[counts] > rebuilt[counts]).all():
        return "unknown_event"
    if counts.any() and (was[counts] < rebuilt[counts]).all():
        return "uncounted_event"
    return "other_value"


def _changed_since(lake: Lake, table: str, at: datetime) -> bool:
    if not lake.exists(table):
        return False
    return any(each.rows and each.at > at - timedelta(seconds=1) for each in lake.history(table))


def _told(part: Part, found: Compared, n: int, side: Side, kind: str, note: str) -> None:
    """Count the differences of one side of a row, each with its values."""
    for column in found.judged.columns:
        if column.side != side or not found.wrong_N[column.name][n]:
            continue
        row = found.logged.slice(n, 1)
        example = {
            "feature": column.name,
            "request_id": row["request_id"][0].as_py(),
            "user_id": row["user_id"][0].as_py(),
            "item_id": row["item_id"][0].as_py(),
            "as_of": row["as_of"][0].as_py().isoformat(),
            "logged": _plain(found.was[column.name][n]),
            "rebuilt": _plain(found.rebuilt[column.name][n]),
        }
        part.differs(kind, 1, {**example, "note": note} if note else example)


def _left_out(part: Part, found: Compared, n: int, side: Side) -> None:
    """Take the differences of one side of a row back, as they are allowed."""
    (day,) = days_of(found.logged.slice(n, 1))
    for column in found.judged.columns:
        if column.side == side and found.wrong_N[column.name][n]:
            part.compared(column.name, day, -1, -1)
            part.leave_out(ALLOWED, 1)


def _plain(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
