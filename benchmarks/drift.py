"""Do drift reports alarm as rarely as they say, and find what a test that knows the kind of change would find?

A report looks at 20 columns, at their correlations and at all of them together, at a level of 1 % (worlds, kinds of
change and oracles: `benchmarks.drift_worlds`). No smallest effect is asked for. Both samples have n rows.

    false_alarms      reports on unchanged data with any finding, over all sizes; worst_size: the share of the worst
    level_used        the same on 20 continuous columns, where nothing makes a test conservative
    seasonal          reports on days that swing by weekday and differ at random, against that weekday of 12 weeks
    detected          of changes that the oracle finds with a power of 99.9 % or more, found: kinds × intensities ×
                      sizes. The oracle knows the kind and not the column: its level is 1 % over the places of the kind
    shift_005         power on + 0.05 σ at 20,000 rows in one column at the level 0.01; shift_005_ks: the KS test's
    outlier           p-values of a 1 σ shift at 500 rows, with a single value of 1e6 and without: both found
    ks_01, psi_02     false alarms and findings of the thresholds KS > 0.1 and PSI > 0.2 in the same worlds

    python -m benchmarks.drift [--short] [--runs 20] [--reports 300] [--largest 1000000] [--seed 0] [--peers PYTHON]
                                                                                    # last line: one JSON object
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.drift_worlds import COLUMNS, INTENSITIES, KINDS, Kind, day, draw, seasonal_day
from scipy.stats import hypergeom, ks_2samp, norm, ttest_ind

from orita.stats.contingency import homogeneity_test
from orita.stats.drift.cells import Cells, category_cells, value_cells
from orita.stats.drift.column import column_test
from orita.stats.drift.correlation import correlation_test
from orita.stats.drift.family import decide
from orita.stats.drift.joint import joint_test
from orita.stats.drift.null import relabelled_p
from orita.stats.drift.slices import slice_test
from orita.stats.psi import psi
from orita.stats.two_sample import ks_statistic

LEVEL, TESTS, SEGMENT_TESTS, PAIRS = 0.01, 22, 80, 190
SIZES = (50, 200, 1_000, 5_000, 20_000, 100_000, 1_000_000)
WEEKS = 12
SURE = 0.999
CATEGORICAL = {"share of a flag", "rare flag", "label rate"}

Floats = npt.NDArray[np.float64]


def cells_of(name: str, before: Floats, now: Floats) -> Cells:
    """Return the counts of a column as a feature schema would have them made: its kind is known by name."""
    categorical = name in CATEGORICAL or name.startswith(("mix", "one of", "new", "50 new"))
    return category_cells(before, now) if categorical else value_cells(before, now)


def report_alarms(before: dict[str, Floats], now: dict[str, Floats], seed: int) -> bool:
    """Tell whether a whole report has any finding."""
    names = list(before)
    p_values = [
        column_test(cells_of(name.rsplit(" ", 1)[0], before[name], now[name]), seed=seed).p_value for name in names
    ]
    both = [np.column_stack([sample[name] for name in names]) for sample in (before, now)]
    p_values += [correlation_test(*both, seed=seed).p_value, joint_test(*both, seed=seed).p_value]
    return bool(decide(np.array(p_values), np.ones(len(p_values)), level=LEVEL).reported_K.any())


def fixed_alarms(before: dict[str, Floats], now: dict[str, Floats]) -> tuple[bool, bool]:
    """Tell whether KS > 0.1, and whether PSI > 0.2, finds anything in any column."""
    return (
        any(ks_statistic(before[name], now[name]) > 0.1 for name in before),
        any(psi(before[name], now[name]) > 0.2 for name in before),
    )


def false_alarms(sizes: list[int], reports: int, seed: int) -> dict[str, Any]:
    """Count reports on unchanged data that find something."""
    found: dict[str, Any] = {"by_size": {}}
    for world in ("mixed", "continuous"):
        for n in sizes:
            rng = np.random.default_rng((seed, n, len(world)))
            runs = max(4, round(reports * min(1.0, 20_000 / n)))
            ours, fixed = 0, np.zeros(2, dtype=np.int64)
            for i in range(runs):
                before, now = (
                    draw(rng, n) if world == "mixed" else dict(zip(COLUMNS, day(rng, n).T, strict=True))
                    for _ in range(2)
                )
                if world == "continuous":
                    before, now = ({f"mean {k}": v for k, v in enumerate(s.values())} for s in (before, now))
                ours += report_alarms(before, now, i)
                fixed += fixed_alarms(before, now)
            found["by_size"][f"{world} {n}"] = (ours, runs, *fixed.tolist())
            print(
                f"unchanged, {world:10} n {n:>9,}: {ours} of {runs} reports ({ours / runs:.2%}); "
                f"KS > 0.1 {fixed[0] / runs:.0%}, PSI > 0.2 {fixed[1] / runs:.0%}",
                flush=True,
            )
    return found


def seasonal_alarms(reports: int, seed: int, rows: int = 1000) -> tuple[int, int, int]:
    """Return reports, those against the same weekday that alarm, and those against all days pooled that do."""
    rng, ours, pooled = np.random.default_rng((seed, 7)), 0, 0
    edges = np.linspace(-2.5, 2.5, 39)
    for i in range(reports):
        weekday = i % 7
        days = np.array([seasonal_day(rng, rows, weekday) for _ in range(WEEKS + 1)])
        others = np.concatenate([seasonal_day(rng, rows, w) for w in range(7)])
        p_values, plain = [], []
        for d in range(days.shape[2]):
            counts = np.array([np.bincount(np.searchsorted(edges, x), minlength=40) for x in days[:, :, d]])
            p_values.append(slice_test(counts[:-1], counts[-1]).p_value)
            plain.append(column_test(value_cells(others[:, d], days[-1, :, d]), draws=2000).p_value)
        ours += bool(decide(np.array(p_values), np.ones(20), level=LEVEL).reported_K.any())
        pooled += bool(decide(np.array(plain), np.ones(20), level=LEVEL).reported_K.any())
    return reports, ours, pooled


def oracle_p(kind: Kind, before: Floats, now: Floats) -> float:
    """Return the p-value of the best test that knows the kind, in its place."""
    if kind.how == "segment":
        before, now = before[before[:, 1] == 2], now[now[:, 1] == 2]
    if kind.score is not None:
        first, second = kind.score(before), kind.score(now)
        if set(np.unique(first)) <= {0.0, 1.0} and set(np.unique(second)) <= {0.0, 1.0}:
            return _exact(int(second.sum()), int(first.sum() + second.sum()), len(first), len(second))
        return float(ttest_ind(first, second, equal_var=False).pvalue)
    cells = category_cells(before, now)
    total_C = cells.reference_C + cells.current_C
    if kind.how == "shares":
        return homogeneity_test(cells.reference_C, cells.current_C, permutations=4000).p_value
    if kind.how == "cell":
        pairs = zip(cells.current_C.tolist(), total_C.tolist(), strict=True)
        return min(_exact(x, t, cells.n, cells.m) for x, t in pairs)
    alone = float(cells.current_C[cells.reference_C == 0].sum())

    def unseen(x_RC: Floats) -> Floats:
        return np.asarray(np.where(x_RC == total_C, total_C, 0).sum(axis=1))

    return relabelled_p(alone, unseen, total_C, cells.m, tail=False, draws=4000).p_value


def _exact(x: int, t: int, n: int, m: int) -> float:
    null = hypergeom(n + m, t, m)
    return float(min(1.0, 2 * min(null.cdf(x), null.sf(x - 1))))


def our_p(kind: Kind, before: Floats, now: Floats, seed: int) -> float:
    """Return the p-value that the report has for the change, times the tests of the report."""
    if kind.how == "segment":
        before, now = (x[x[:, 1] == 2, 0] for x in (before, now))
        return column_test(value_cells(before, now), seed=seed).p_value * (TESTS + SEGMENT_TESTS)
    if kind.how == "pair":
        return correlation_test(before, now, seed=seed).p_value * PAIRS * TESTS
    return column_test(cells_of(kind.name, before, now), seed=seed).p_value * TESTS


def oracle_level(kind: Kind) -> float:
    """Return the oracle's level in one place: 1 % over the places that its kind may be in."""
    return LEVEL / {"pair": PAIRS, "segment": SEGMENT_TESTS}.get(
        kind.how, 20 * (kind.tries if kind.how == "cell" else 1)
    )


def changes(sizes: list[int], runs: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield, by kind, intensity and size, the oracle's power and, where it is sure, how often the report finds it."""
    for k, kind in enumerate(KINDS):
        for n in sizes:
            tries = max(2, round(runs * min(1.0, 20_000 / n)))
            for d, intensity in enumerate(INTENSITIES):
                rng = np.random.default_rng((seed, k, n, d))
                pairs = [(kind.draw(rng, n, 0.0), kind.draw(rng, n, intensity)) for _ in range(max(3, min(tries, 8)))]
                p_values = np.array([oracle_p(kind, *pair) for pair in pairs])
                power = _power(p_values, oracle_level(kind))
                row: dict[str, Any] = {"kind": kind.name, "n": n, "intensity": intensity, "oracle": power}
                row |= {"found": 0, "runs": 0}
                if power >= SURE:
                    for i in range(tries):
                        pair = pairs[i] if i < len(pairs) else (kind.draw(rng, n, 0.0), kind.draw(rng, n, intensity))
                        row["found"] += our_p(kind, *pair, seed=i) <= LEVEL
                        row["runs"] += 1
                        row["ks"] = row.get("ks", 0) + (pair[0].ndim == 1 and ks_statistic(*pair) > 0.1)
                        row["psi"] = row.get("psi", 0) + (pair[0].ndim == 1 and psi(*pair) > 0.2)
                yield row


def _power(p_values: Floats, level: float) -> float:
    """Return the power of a test from a few of its p-values, its statistic being about normal."""
    floor = 1 / 4001  # a p-value that was counted says no more than this
    if (p_values <= floor * 1.001).all() and len(set(p_values.tolist())) == 1 and level >= floor:
        return 1.0
    z = norm.isf(np.clip(p_values, 1e-300, 1.0) / 2)
    return float(norm.cdf((z.mean() - norm.isf(level / 2)) / max(z.std(ddof=1), 1.0)))


def shift_power(runs: int, seed: int, n: int = 20_000) -> tuple[float, float]:
    """Return the power on + 0.05 σ of one column's test, and of KS, at the level 0.01."""
    rng, ours, ks = np.random.default_rng((seed, 5)), 0, 0
    for i in range(runs):
        before, now = rng.normal(size=n), rng.normal(0.05, 1, n)
        ours += column_test(value_cells(before, now), draws=2500, seed=i).p_value <= LEVEL
        ks += ks_2samp(before, now, method="asymp").pvalue <= LEVEL
    return ours / runs, ks / runs


def outlier(seed: int) -> tuple[float, float]:
    """Return the p-values of a shift of 1 σ at 500 rows without and with one value of 1e6."""
    rng = np.random.default_rng((seed, 6))
    before, now = rng.normal(size=500), rng.normal(1, 1, 500)
    spoiled = now.copy()
    spoiled[0] = 1e6
    return column_test(value_cells(before, now)).p_value, column_test(value_cells(before, spoiled)).p_value


def peers(python: str, sizes: list[int], seed: int) -> dict[str, Any]:
    """Return what other libraries' defaults say of the same unchanged and changed columns, run by *python*."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for n in sizes:
            if n > 20_000:
                continue
            rng = np.random.default_rng((seed, n, 99))
            path = Path(folder) / f"unchanged_{n}.npz"
            columns: dict[str, Any] = {f"{i}|{k}": v for i in range(2) for k, v in draw(rng, n).items()}
            np.savez(path, **columns)
            jobs.append(str(path))
        script = Path(__file__).parent / "peers" / "drift_columns.py"
        ran = subprocess.run([python, str(script), *jobs], capture_output=True, text=True, check=True)
    return dict(json.loads(ran.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="under three minutes: few runs, sizes 50 and 1,000")
    parser.add_argument("--runs", type=int, default=20, help="runs of each change")
    parser.add_argument("--reports", type=int, default=300, help="reports on unchanged data at each size")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="largest sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter that has evidently (and pandas below 3)")
    options = parser.parse_args()
    if options.short:
        options.runs, options.reports, options.largest = 2, 10, 5_000
    sizes = [n for n in SIZES if n <= options.largest][:: 2 if options.short else 1]
    began = time.monotonic()
    alarms = false_alarms(sizes, options.reports, options.seed)["by_size"]
    reports, seasonal, pooled = seasonal_alarms(options.reports, options.seed)
    print(f"seasonal days: {seasonal} of {reports} reports against the same weekday; {pooled} against all days pooled")
    rows = []
    for row in changes(sizes, options.runs, options.seed):
        rows.append(row)
        if row["runs"] and row["found"] < 0.99 * row["runs"]:
            where = f"{row['kind']}, intensity {row['intensity']:g}, n {row['n']:,}"
            print(f"missed: {where}: {row['found']} of {row['runs']}", flush=True)
    _table(rows, sizes)
    ours, ks = shift_power(max(20, options.runs * 10), options.seed)
    clean, spoiled = outlier(options.seed)
    if options.peers:
        print(json.dumps(peers(options.peers, sizes, options.seed)))
    mixed = {key: value for key, value in alarms.items() if key.startswith("mixed")}
    even = [value for key, value in alarms.items() if key.startswith("continuous")]
    runs = sum(row["runs"] for row in rows)
    print(
        json.dumps(
            {
                "detected": round(sum(row["found"] for row in rows) / max(runs, 1), 4),
                "false_alarms": round(sum(v[0] for v in alarms.values()) / sum(v[1] for v in alarms.values()), 4),
                "worst_size": round(max(v[0] / v[1] for v in alarms.values()), 4),
                "level_used": round(sum(v[0] for v in even) / sum(v[1] for v in even), 4),
                "seasonal": round(seasonal / reports, 4),
                "seasonal_pooled": round(pooled / reports, 4),
                "shift_005": ours,
                "shift_005_ks": ks,
                "outlier": [clean, spoiled],
                "ks_01": [
                    round(sum(v[2] for v in mixed.values()) / sum(v[1] for v in mixed.values()), 4),
                    round(sum(row.get("ks", 0) for row in rows) / max(runs, 1), 4),
                ],
                "psi_02": [
                    round(sum(v[3] for v in mixed.values()) / sum(v[1] for v in mixed.values()), 4),
                    round(sum(row.get("psi", 0) for row in rows) / max(runs, 1), 4),
                ],
                "cells": sum(1 for row in rows if row["runs"]),
                "runs": runs,
                "reports": sum(v[1] for v in alarms.values()),
                "seconds": round(time.monotonic() - began, 1),
            }
        )
    )


def _table(rows: list[dict[str, Any]], sizes: list[int]) -> None:
    print("\nsmallest intensity that the oracle is sure of → share found there; –: sure of none")
    print(f"{'kind':26}" + "".join(f"{n:>16,}" for n in sizes))
    first: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for row in rows:
        if row["runs"]:
            first.setdefault((row["kind"], row["n"]), row)
    for kind in KINDS:
        shown = []
        for n in sizes:
            at = first.get((kind.name, n))
            shown.append(f"{at['intensity']:g} → {at['found'] / at['runs']:.0%}" if at else "–")
        print(f"{kind.name:26}" + "".join(f"{cell:>16}" for cell in shown))


if __name__ == "__main__":
    main()
