"""How many rows of outcomes are of units that are analysed? None, where ids of two sources do not mean the same."""

from __future__ import annotations

from orita.delivery.experiments.exposures import UNITS
from orita.delivery.experiments.measuring import Data
from orita.delivery.experiments.results import OutcomeRowCount
from orita.events.engine import one_row

__all__ = ["row_counts", "warnings_of"]


def row_counts(data: Data) -> tuple[OutcomeRowCount, ...]:
    """Return, of each source of outcomes, its rows since the start and how many of them are of no analysed unit."""
    span, counts = data.span, list[OutcomeRowCount]()
    (analysed,) = one_row(data.connection, f"SELECT min(unit) FROM {UNITS}")
    for source, metric in {metric.source: metric for metric in data.plan.metrics}.items():
        rows, unmatched, other = one_row(
            data.connection,
            f"SELECT count(*), count(*) FILTER (NOT here), min(unit) FILTER (NOT here) FROM (SELECT o.unit, "
            f"o.unit IS NOT NULL AND o.unit IN (SELECT unit FROM {UNITS}) AS here FROM {data.view(metric)} o "
            f"WHERE o.at_us >= {span.start} AND o.at_us < {span.until} AND o.known <= {span.until})",
        )
        counts.append(OutcomeRowCount(source, int(rows), int(unmatched), analysed, other))
    return tuple(counts)


def warnings_of(counts: tuple[OutcomeRowCount, ...]) -> tuple[str, ...]:
    """Return a sentence for each source of which no row is of an analysed unit, though there are both."""
    return tuple(
        f"Look first: of {each.rows:,} rows of {each.source} since the start none is of a unit that is analysed "
        f"({each.other_unit!r} there, {each.analysed_unit!r} in exposures), so all its outcomes are 0 or absent: are "
        "units in both named by the same ids?"
        for each in counts
        if each.rows and each.unmatched == each.rows and each.analysed_unit is not None
    )
