"""What is unusual about a batch beside the profile of earlier data: warnings, one sentence each."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from orita.events.config import ValidationConfig
from orita.events.profile import QUANTILES, ColumnProfile, TableProfile
from orita.events.schema import TableSchema

__all__ = ["surprises"]

_LOWER, _MEDIAN, _UPPER = (QUANTILES.index(q) for q in (0.25, 0.5, 0.75))


def surprises(
    before: TableProfile | None, batch: TableProfile, schema: TableSchema, config: ValidationConfig
) -> tuple[str, ...]:
    """Return what is unusual in *batch*: nulls, unseen categories, shifted medians, volume.

    Nothing is said where either side has fewer than ``profile_min_rows`` rows.
    """
    if before is None or min(before.rows, batch.rows) < config.profile_min_rows:
        return ()
    found = list(_volume(before, batch, config))
    for column in schema.columns:
        old, new = before.columns.get(column.name), batch.columns.get(column.name)
        if old is None or new is None or column.name == schema.key:
            continue
        found += _nulls(column.name, old.nulls / before.rows, new.nulls / batch.rows, config)
        found += _unseen(column.name, old, new, config)
        if column.type in ("int", "float") and not column.agrees:
            found += _median(column.name, old, new, config)
    return tuple(found)


def _volume(before: TableProfile, batch: TableProfile, config: ValidationConfig) -> Iterator[str]:
    if not before.batches:
        return
    usual = statistics.median(before.batches)
    if not usual / config.volume_factor <= batch.rows <= usual * config.volume_factor:
        yield (
            f"the batch has {batch.rows:,} rows, earlier batches had about {usual:,.0f}: "
            "check that it is complete and no copy of others."
        )


def _nulls(name: str, old: float, new: float, config: ValidationConfig) -> Iterator[str]:
    if new - old > config.null_share_rise:
        yield f"column {name!r} is null in {new:.1%} of the rows, earlier in {old:.1%}: check its source."


def _unseen(name: str, old: ColumnProfile, new: ColumnProfile, config: ValidationConfig) -> Iterator[str]:
    known = sum(new.categories.values())
    if not old.categories or not old.complete or not known:
        return
    unseen = {value: n for value, n in new.categories.items() if value not in old.categories}
    share = sum(unseen.values()) / known
    if share > config.unseen_share:
        most = max(unseen, key=lambda value: (unseen[value], value))
        yield f"column {name!r} has values never seen before in {share:.1%} of the rows, most often {most!r}."


def _median(name: str, old: ColumnProfile, new: ColumnProfile, config: ValidationConfig) -> Iterator[str]:
    if not old.quantiles or not new.quantiles:
        return
    spread = old.quantiles[_UPPER] - old.quantiles[_LOWER]
    moved = abs(new.quantiles[_MEDIAN] - old.quantiles[_MEDIAN])
    if spread > 0 and moved > config.median_shift * spread:
        yield (
            f"the median of column {name!r} is {new.quantiles[_MEDIAN]:g}, earlier {old.quantiles[_MEDIAN]:g}: "
            f"it moved by {moved / spread:.1f} interquartile ranges."
        )
