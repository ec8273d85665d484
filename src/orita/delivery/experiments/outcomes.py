"""What each unit did in a metric's window after its first exposure, joined by time in DuckDB.

Legend: U units whose window has closed, in the order of closing; N rows.

An outcome at the very time of the exposure counts, one at the end of the window does not. A unit's outcome is final
when its window has closed and what may come late has had its time; what becomes known only afterwards never counts, so
no later row of outcomes changes it. Exposures may: a unit that is later seen in a second variant leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from orita.delivery.experiments.declarations import FileSource, Metric, TableSource
from orita.delivery.experiments.exposures import UNITS
from orita.delivery.experiments.periods import closing_of, window_of
from orita.delivery.experiments.sources import Rows
from orita.features.declaring.windows import duration_micros

if TYPE_CHECKING:
    import duckdb

__all__ = ["OutcomeRows", "Outcomes", "outcomes_of", "row_outcomes_of"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """The numbers of units.

    Attributes:
        id_U: of the unit.
        arm_U: place among the variants.
        closed_U: when the outcome became final, in microseconds.
        value_U: the metric's number; of a ratio, its numerator.
        below_U: the denominator of a ratio, else 1.
        covariate_U: the same before the first exposure, None where none is declared.
        stratum_U: code of the stratum, None where none is declared.
        nulls: rows in the windows whose number is absent.
        late: rows in the windows that became known too late to count.
        absent: units without a number, which do not count: of quantiles of a mean or largest.
    """

    id_U: npt.NDArray[np.int64]
    arm_U: npt.NDArray[np.int8]
    closed_U: npt.NDArray[np.int64]
    value_U: Floats
    below_U: Floats
    covariate_U: Floats | None
    stratum_U: npt.NDArray[np.int64] | None
    nulls: int
    late: int
    absent: int

    def where(self, kept_U: npt.NDArray[np.bool_]) -> Outcomes:
        """Return those units only."""
        return replace(
            self,
            id_U=self.id_U[kept_U],
            arm_U=self.arm_U[kept_U],
            closed_U=self.closed_U[kept_U],
            value_U=self.value_U[kept_U],
            below_U=self.below_U[kept_U],
            covariate_U=None if self.covariate_U is None else self.covariate_U[kept_U],
            stratum_U=None if self.stratum_U is None else self.stratum_U[kept_U],
        )


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeRows:
    """Values by row, of a quantile of rows: whose, in which arm."""

    id_N: npt.NDArray[np.int64]
    arm_N: npt.NDArray[np.int8]
    value_N: Floats


def outcome_view(
    connection: duckdb.DuckDBPyConnection, rows: Rows, source: FileSource | TableSource, metric: Metric
) -> str:
    """Return SQL of a metric's rows: unit, at, known, value (1 where rows are counted), below.

    Raises:
        NotFound: a column is not there.
        UserError: a column is of a type that cannot be read, or has values that cannot.
    """
    times = {source.time: rows.time(source.time)}
    if source.known is not None:
        times[source.known] = rows.time(source.known)
    columns = [metric.numerator if metric.kind == "ratio" else metric.column, metric.denominator]
    numbers = {name: rows.number(name) for name in columns if name is not None}
    rows.check_readable(connection, {**times, **numbers})
    value, below = (numbers[name] if name is not None else "1.0" for name in columns)
    known = f"greatest({times[source.time]}, {times[source.known]})" if source.known else times[source.time]
    return (
        f"(SELECT {rows.unit(source.unit)} AS unit, {times[source.time]} AS at_us, {known} AS known, "
        f"{value} AS value, {below} AS below FROM {rows.sql})"
    )


def outcomes_of(
    connection: duckdb.DuckDBPyConnection,
    metric: Metric,
    view: str,
    *,
    until: int,
    units: int | None = None,
    stratum: str | None = None,
) -> Outcomes:
    """Return the outcomes of units whose window has closed by *until*.

    Args:
        connection: where the table of units is.
        metric: which.
        view: its rows: `outcome_view`.
        until: in microseconds.
        units: only the first so many; None: all.
        stratum: the column of the units' stratum.
    """
    after, before = window_of(metric)
    closing = closing_of(metric)
    final = f"u.first + {closing} <= {until}" + ("" if units is None else f" AND u.id < {units}")
    good = f"o.value IS NOT NULL AND o.below IS NOT NULL AND o.known <= u.first + {closing}"
    value = {
        "sum": f"coalesce(sum(o.value) FILTER ({good}), 0)",
        "any": f"CAST(coalesce(bool_or(o.value > 0) FILTER ({good}), false) AS DOUBLE)",
        "rows": f"count(*) FILTER ({good})",
        "mean": f"avg(o.value) FILTER ({good})",
        "max": f"max(o.value) FILTER ({good})",
    }[metric.aggregate]
    if metric.kind == "retention":
        value = f"CAST(count(*) FILTER ({good}) > 0 AS DOUBLE)"
    empty = "NULL" if metric.aggregate in ("mean", "max") else "0"
    inside = (
        f"SELECT u.id, {value} AS value, coalesce(sum(o.below) FILTER ({good}), 0) AS below, "
        f"count(*) FILTER (o.value IS NULL OR o.below IS NULL) AS nulls, "
        f"count(*) FILTER (o.known > u.first + {closing}) AS late FROM {view} o JOIN {UNITS} u USING (unit) "
        f"WHERE o.at_us >= u.first + {after} AND o.at_us < u.first + {before} "
        f"AND {final} GROUP BY u.id"
    )
    covariate, joined = "", ""
    if metric.covariate is not None:
        covariate = ", coalesce(c.value, 0) AS covariate"
        joined = f"LEFT JOIN ({_before(metric, view, final)}) c ON c.id = u.id"
    named = "" if stratum is None else f", dense_rank() OVER (ORDER BY u.{stratum} NULLS FIRST) AS stratum"
    found: dict[str, Any] = connection.execute(
        f"SELECT u.id, u.arm, u.first + {closing} AS closed, CAST(coalesce(v.value, {empty}) AS DOUBLE) AS value, "
        f"CAST(coalesce(v.below, 0) AS DOUBLE) AS below, coalesce(v.nulls, 0) AS nulls, coalesce(v.late, 0) AS late"
        f"{covariate}{named} FROM {UNITS} u LEFT JOIN ({inside}) v ON v.id = u.id {joined} "
        f"WHERE {final} ORDER BY u.first, u.id"
    ).fetchnumpy()
    values_U = np.ma.filled(found["value"].astype(np.float64), np.nan)
    there_U = ~np.isnan(values_U)
    told = Outcomes(
        id_U=np.asarray(found["id"], np.int64),
        arm_U=np.asarray(found["arm"], np.int8),
        closed_U=np.asarray(found["closed"], np.int64),
        value_U=values_U,
        below_U=np.asarray(found["below"], np.float64),
        covariate_U=np.asarray(found["covariate"], np.float64) if covariate else None,
        stratum_U=np.asarray(found["stratum"], np.int64) if named else None,
        nulls=int(np.sum(found["nulls"])),
        late=int(np.sum(found["late"])),
        absent=int((~there_U).sum()),
    )
    return told.where(there_U) if told.absent else told


def _before(metric: Metric, view: str, final: str) -> str:
    """Return SQL of the same metric in so long before the first exposure, as it was known then."""
    assert metric.covariate is not None
    span = duration_micros(metric.covariate, "covariate")
    value = "CAST(bool_or(o.value > 0) AS DOUBLE)" if metric.aggregate == "any" else "sum(o.value)"
    return (
        f"SELECT u.id, {value} AS value FROM {view} o JOIN {UNITS} u USING (unit) WHERE o.at_us >= u.first - {span} "
        f"AND o.at_us < u.first AND o.known <= u.first AND o.value IS NOT NULL AND {final} GROUP BY u.id"
    )


def row_outcomes_of(
    connection: duckdb.DuckDBPyConnection, metric: Metric, view: str, *, units: int, arms: tuple[int, int]
) -> OutcomeRows:
    """Return each row's value in the windows of the first *units* units, of two arms, which become 0 and 1."""
    after, before = window_of(metric)
    found: dict[str, Any] = connection.execute(
        f"SELECT u.id, u.arm = {arms[1]} AS arm, o.value FROM {view} o JOIN {UNITS} u USING (unit) "
        f"WHERE u.id < {units} AND u.arm IN ({arms[0]}, {arms[1]}) "
        f"AND o.at_us >= u.first + {after} AND o.at_us < u.first + {before} "
        f"AND o.known <= u.first + {closing_of(metric)} AND o.value IS NOT NULL ORDER BY u.id, o.at_us, o.value"
    ).fetchnumpy()
    return OutcomeRows(
        np.asarray(found["id"], np.int64), np.asarray(found["arm"], np.int8), np.asarray(found["value"], np.float64)
    )
