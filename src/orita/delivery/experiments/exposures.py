"""Who was exposed to what, and when first: one row a unit, in the order of the first exposure.

Left out, and counted: rows that say no unit, variant or time; rows of before the start and after the end; units that
an override or a holdout concerns; units seen in two variants, whose outcome belongs to neither; variants that are not
declared; of a prediction log answers that were chosen by other shares of the rollout than the experiment is about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orita.core.clock import from_micros
from orita.core.home import Home
from orita.core.sql import literal
from orita.delivery.experiments.declarations import ExperimentPlan, FileSource, PredictionSource, TableSource
from orita.delivery.experiments.rollout_splits import RolloutSplit
from orita.delivery.experiments.sources import rows_of, unit_of_text
from orita.events.engine import one_row
from orita.events.prediction_files import prediction_parts

if TYPE_CHECKING:
    import duckdb

__all__ = ["UNITS", "Exposed", "Span", "find_units", "stratum_column"]

UNITS = "units"
"""The table of units: id (from 0, by first exposure), unit, arm (place among the variants), first (µs), strata."""

_BATCH = 100_000


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a report is about, in microseconds.

    Attributes:
        start: exposures count from then on,
        end: and before then: the end of the experiment, or of the report.
        until: as of when the report is: what became known later is not seen.
        final: whether nothing later will ever be seen, as the split that is measured ended then.
    """

    start: int
    end: int
    until: int
    final: bool = False


@dataclass(frozen=True, slots=True)
class Exposed:
    """How many rows and units there are, and why some are left out.

    Attributes:
        rows: of exposures in the source; of a prediction log, those of the rollout, and of challengers that its
            overrides gave.
        unreadable: rows without unit, variant or time.
        out_of_time: rows before the start, at or after the end, or not yet known.
        units: that are analysed, by variant.
        two_variants: units seen in two variants.
        overridden: units whose variant an override chose.
        held_out: units that a holdout keeps out, and that were exposed all the same.
        undeclared: units of variants that the experiment does not have.
        other_split: rows of a prediction log that other shares of the rollout chose, within the time.
    """

    rows: int
    unreadable: int
    out_of_time: int
    units: dict[str, int]
    two_variants: int
    overridden: int
    held_out: int
    undeclared: int
    other_split: int = 0

    @property
    def total(self) -> int:
        """Units that are analysed."""
        return sum(self.units.values())


def find_units(
    connection: duckdb.DuckDBPyConnection,
    plan: ExperimentPlan,
    home: Home,
    folder: Path,
    span: Span,
    split: RolloutSplit | None = None,
) -> Exposed:
    """Make the table `UNITS` and return what is in it; of a prediction log, what *split* of the rollout chose.

    Raises:
        NotFound: the source, or a column, is not there.
        UserError: it cannot be read.
    """
    strata = sorted({metric.strata for metric in plan.metrics if metric.strata is not None})
    columns = "".join(f", s{number} VARCHAR" for number in range(len(strata)))
    connection.execute(
        f"CREATE TEMP TABLE seen(unit VARCHAR, variant VARCHAR, first BIGINT, overridden BOOLEAN{columns})"
    )
    other = 0
    if isinstance(plan.exposures, PredictionSource):
        counted, other = _from_log(connection, plan.exposures, home, span, split)
    else:
        counted = _from_rows(connection, plan.exposures, strata, home, folder, span)
    return replace(_made_units(connection, plan, strata, *counted), other_split=other)


def stratum_column(plan: ExperimentPlan, strata: str) -> str:
    """Return the column of `UNITS` that holds *strata*."""
    return f"s{sorted({metric.strata for metric in plan.metrics if metric.strata is not None}).index(strata)}"


def _from_rows(
    connection: duckdb.DuckDBPyConnection,
    source: FileSource | TableSource,
    strata: list[str],
    home: Home,
    folder: Path,
    span: Span,
) -> tuple[int, int, int]:
    rows = rows_of(connection, source, home, folder)
    times = {source.time: rows.time(source.time)}
    if source.known is not None:
        times[source.known] = rows.time(source.known)
    rows.check_readable(connection, times)
    known = f"greatest({times[source.time]}, {times[source.known]})" if source.known else times[source.time]
    overridden = rows.truth(source.overridden) if source.overridden else "false"
    named = "".join(f", {rows.text(name)} AS s{number}" for number, name in enumerate(strata))
    told = (
        f"(SELECT {rows.unit(source.unit)} AS unit, nullif({rows.text(source.variant)}, '') AS variant, "
        f"{times[source.time]} AS at_us, {known} AS known, {overridden} AS overridden{named} FROM {rows.sql})"
    )
    return _gathered(connection, told, len(strata), span)


def _from_log(
    connection: duckdb.DuckDBPyConnection, source: PredictionSource, home: Home, span: Span, split: RolloutSplit | None
) -> tuple[tuple[int, int, int], int]:
    """Gather the log segment by segment, a row a unit and variant, so that it need not fit into memory.

    Returns:
        Rows, unreadable ones and those out of time; and rows of other splits.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    start, end = from_micros(span.start), from_micros(span.end)
    wanted, measured = pc.field("rollout") == source.rollout, pc.scalar(True)
    if split is not None:
        overriding = pa.array(split.overriding, pa.string())
        by_override = (pc.field("system") == split.system) & pc.field("variant").isin(overriding)
        wanted |= pc.field("rollout").is_null() & by_override
        since = pc.field("split_since")
        in_time = (pc.field("timestamp") >= start) & (pc.field("timestamp") < end)
        measured = pc.field("rollout").is_null() | since.is_null() | (since == split.since) | ~in_time
    counted, other = [0, 0, 0], 0
    for part in prediction_parts(home, start, end):
        found = part.read(("user_id", "variant", "timestamp", "rollout", "split_since"), wanted)
        rows = found.filter(measured)
        other += len(found) - len(rows)
        if not len(rows):
            continue
        connection.register("part", rows)
        told = (
            f"(SELECT {unit_of_text('user_id')} AS unit, variant, epoch_us(timestamp) AS at_us, "
            "epoch_us(timestamp) AS known, rollout IS NULL AS overridden FROM part)"
        )
        counted = [a + b for a, b in zip(counted, _gathered(connection, told, 0, span), strict=True)]
        connection.unregister("part")
    return (counted[0] + other, counted[1], counted[2]), other


def _gathered(connection: duckdb.DuckDBPyConnection, told: str, strata: int, span: Span) -> tuple[int, int, int]:
    """Add to ``seen`` what a source tells, a row a unit and variant; return rows, unreadable and those out of time."""
    whole = "unit IS NOT NULL AND variant IS NOT NULL AND at_us IS NOT NULL"
    in_time = f"at_us >= {span.start} AND at_us < {span.end} AND known <= {span.until}"
    named = "".join(f", arg_min(s{number}, at_us)" for number in range(strata))
    connection.execute(
        f"INSERT INTO seen SELECT unit, variant, min(at_us), bool_or(overridden){named} FROM {told} "
        f"WHERE {whole} AND {in_time} GROUP BY unit, variant"
    )
    counts = one_row(
        connection,
        f"SELECT count(*), count(*) FILTER (NOT ({whole})), count(*) FILTER ({whole} AND NOT ({in_time})) FROM {told}",
    )
    return int(counts[0]), int(counts[1]), int(counts[2])


def _made_units(
    connection: duckdb.DuckDBPyConnection, plan: ExperimentPlan, strata: list[str], *counted: int
) -> Exposed:
    by = {plan.by} if isinstance(plan.by, str) else set(plan.by)
    chosen = [str(value) for each in plan.overrides if each.attribute in by for value in each.values]
    by_override = f"unit IN ({', '.join(unit_of_text(literal(each)) for each in chosen)})" if chosen else "false"
    names = "".join(f", s{number}" for number in range(len(strata)))
    firsts = "".join(f", arg_min(s{number}, first) AS s{number}" for number in range(len(strata)))
    connection.execute(
        f"CREATE TEMP TABLE each_unit AS SELECT unit, min(first) AS first, arg_min(variant, first) AS variant, "
        f"count(DISTINCT variant) > 1 AS two, bool_or(overridden) OR {by_override} AS overridden, "
        f"false AS held{firsts} FROM seen GROUP BY unit"
    )
    _mark_held(connection, plan)
    arms = [variant.name for variant in plan.variants]
    places = " ".join(f"WHEN {literal(name)} THEN {place}" for place, name in enumerate(arms))
    arm = f"CASE variant {places} END"
    good = f"NOT overridden AND NOT held AND NOT two AND {arm} IS NOT NULL"
    connection.execute(
        f"CREATE TEMP TABLE {UNITS} AS SELECT row_number() OVER (ORDER BY first, unit) - 1 AS id, unit, "
        f"CAST({arm} AS TINYINT) AS arm, first{names} FROM each_unit WHERE {good}"
    )
    left_out = one_row(
        connection,
        "SELECT count(*) FILTER (two AND NOT overridden AND NOT held), count(*) FILTER (overridden), "
        f"count(*) FILTER (held AND NOT overridden), "
        f"count(*) FILTER (NOT overridden AND NOT held AND NOT two AND {arm} IS NULL) FROM each_unit",
    )
    found = dict(connection.execute(f"SELECT arm, count(*) FROM {UNITS} GROUP BY arm").fetchall())
    connection.execute("DROP TABLE seen; DROP TABLE each_unit")
    rows, unreadable, out_of_time = counted
    units = {name: int(found.get(place, 0)) for place, name in enumerate(arms)}
    return Exposed(rows, unreadable, out_of_time, units, *(int(count) for count in left_out))


def _mark_held(connection: duckdb.DuckDBPyConnection, plan: ExperimentPlan) -> None:
    """Mark units that a holdout keeps out, which the hash alone can tell."""
    if not plan.holdouts:
        return
    found, held = connection.execute("SELECT unit FROM each_unit"), list[str]()
    while batch := found.fetchmany(_BATCH):
        held += [unit for (unit,) in batch if any(holdout.holds(unit) for holdout in plan.holdouts)]
    connection.execute("UPDATE each_unit SET held = true WHERE unit IN (SELECT unnest(?::VARCHAR[]))", [held])
