"""How many ordinary rows are called unlike the training rows, and how far out are the bounds that say so?

Each world is one of the feed with the features that it ships, split by time. Bounds of its training rows are held
against those rows, against the rows of the weeks after them (``val``, ``test``: ages and counts have grown), and bounds
of half of the users (five draws) against the training rows of the other half. Reach is how far a bound lies beyond the
training rows, in distances from the least to the greatest of them, of the feature where that is most; counts, which
are bounded by a factor, apart. Probes are values that cannot be, each put into 1,000 test rows.

    python -m benchmarks.outliers [--seeds 931 … 936] [--interactions 300000]     # last line: one JSON object
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks.cold_start import read

from orita.models.examples import Examples
from orita.models.training_bounds import TrainingBounds

PROBES = (
    *(("item_ctr", 1.7), ("item_ctr", -0.5), ("user_historical_ctr", 17.0), ("item_age_days", -1e6)),
    *(("item_age_days", 2.9e6), ("item_avg_dwell_time", 13_000.0), ("user_avg_dwell_time", 13_000.0)),
    *(("recency_score", 3.0), ("topic_ctr", 17.0), ("user_interaction_count", 1e6), ("item_popularity", 1e6)),
)
"""Features and values: probes, rates in percent, dwell times in milliseconds, clocks, counts that ran over."""
_DRAWS = 5
_ROWS = 1000


def main() -> None:
    """Measure and print."""
    options = parsed()
    found = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            parts, _ = read(Path(folder), "feed", None, seed, options)
        found.append(measure(parts))
        told = ", ".join(f"{name} {value:.6g}" for name, value in found[-1].items())
        print(f"seed {seed}, {len(parts['train']):,} training rows: {told}", flush=True)
    print(json.dumps({name: round(float(np.mean([each[name] for each in found])), 6) for name in found[0]}))


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options; without any they are those of the figures in the documentation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[931, 932, 933, 934, 935, 936], help="of the worlds")
    parser.add_argument("--interactions", type=int, default=300_000, help="a hundred a user, twenty an item")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    return parser.parse_args(arguments)


def measure(parts: Mapping[str, Examples]) -> dict[str, float]:
    """Return the shares of rows that are beyond the bounds, the reach of these, and the share of probes found."""
    train = parts["train"]
    bounds = TrainingBounds.of(train.schema, train.x_NF)
    shares = {part: share_beyond(bounds, rows.x_NF) for part, rows in parts.items()}
    users = np.unique(train.users_N)
    halves = []
    for draw in range(_DRAWS):
        drawn = np.random.default_rng(draw).choice(users, len(users) // 2, replace=False)
        seen_N = np.isin(train.users_N, drawn)
        halves.append(share_beyond(TrainingBounds.of(train.schema, train.x_NF[seen_N]), train.x_NF[~seen_N]))
    rows_NF = parts["test"].x_NF[:_ROWS]
    return {
        **shares,
        "other_users": float(np.mean(halves)),
        "reach": reach(bounds, train, counts=False),
        "reach_of_counts": reach(bounds, train, counts=True),
        "probes_found": float(np.mean([_found(bounds, rows_NF, *probe) for probe in PROBES])),
    }


def share_beyond(bounds: TrainingBounds, x_NF: npt.NDArray[np.float32]) -> float:
    """Return the share of rows with a feature beyond its bounds."""
    outside_NF = bounds.outside(x_NF)
    return 0.0 if outside_NF is None else float(outside_NF.any(axis=1).mean())


def reach(bounds: TrainingBounds, rows: Examples, *, counts: bool) -> float:
    """Return how far the farthest bound lies beyond the rows, in distances from their least to their greatest."""
    least_F, greatest_F = np.nanmin(rows.x_NF, axis=0), np.nanmax(rows.x_NF, axis=0)
    beyond_F = np.maximum(least_F - bounds.least_F, bounds.greatest_F - greatest_F)
    varies_F = np.array([(column.kind == "count") == counts for column in rows.schema.columns])
    varies_F &= greatest_F > least_F
    return float((beyond_F[varies_F] / (greatest_F - least_F)[varies_F]).max())


def _found(bounds: TrainingBounds, rows_NF: npt.NDArray[np.float32], feature: str, value: float) -> float:
    f = bounds.names.index(feature)
    probed_NF = rows_NF.copy()
    probed_NF[:, f] = value
    outside_NF = bounds.outside(probed_NF)
    return 0.0 if outside_NF is None else float(outside_NF[:, f].mean())


if __name__ == "__main__":
    main()
