"""Do drift reports alarm as rarely as they say, and find what a test that knows the kind of change would find?

A report looks at 20 columns, at their correlations and at all of them together, at a level of 1 % (worlds and kinds of
change: `drift_worlds`; the report: `drift_report`). No smallest effect is asked for. Both samples have n rows.

    unchanged   reports on unchanged data with any finding: false_alarms (over all sizes), worst_size (the share of the
                worst), level_used (20 continuous columns, where nothing makes a test conservative), repeated (users
                who ask often), and ks_01, psi_02: the thresholds KS > 0.1 and PSI > 0.2 in the same reports
    seasonal    days that swing by weekday and differ at random, against that weekday of 12 weeks, and all days pooled
    changes     of the kinds × intensities × sizes that an oracle finds with a power of 99.9 % or more: detected, the
                share that the report finds in 99 % of runs; found, the share of all runs. The oracle knows the kind
                and not the column: its level is 1 % over the places of the kind
    shift       power on + 0.05 σ at 20,000 rows in one column at the level 0.01, and the KS test's; p-values of a shift
                of 1 σ at 500 rows without and with a value of 1e6, and of that value alone
    streams     false alarms of the online detectors in 100,000 steps, and their delay when 10 % become 15 %

    python -m benchmarks.drift [--short] [--parts PART …] [--sizes N …] [--runs 20] [--reports 2000] [--seed 0]
                               [--peers PYTHON]                                     # last line: one JSON object

PYTHON is that of an environment which has Evidently, such as ``peer/bin/python`` after

    python -m venv peer && peer/bin/pip install -r benchmarks/peers/requirements/evidently.txt
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.drift_changes import Change, changes, outlier, shift_power
from benchmarks.drift_unchanged import WORLDS, repeated_alarms, seasonal_alarms, streams, unchanged_reports
from benchmarks.drift_worlds import KINDS, draw

PARTS = ("unchanged", "seasonal", "changes", "shift", "streams")
SIZES = (50, 200, 1_000, 5_000, 20_000, 100_000, 1_000_000)
SHORT_SIZES = (50, 1_000, 5_000)


def unchanged_part(sizes: list[int], reports: int, seed: int) -> dict[str, Any]:
    """Count reports on unchanged data that find something."""
    told = []
    for world in (*WORLDS, "repeated"):
        for n in sizes:
            runs = max(3, round(reports * min(1.0, 20_000 / n)))
            if world == "repeated":
                if n > 20_000:  # more requests than a monitoring run compares
                    continue
                told.append(repeated_alarms(n, max(3, runs // 4), seed))
            else:
                told.append(unchanged_reports(world, n, runs, seed))
            print(told[-1], flush=True)

    def share(*worlds: str, what: str = "alarms", of: str = "reports") -> float:
        some = [each for each in told if each.world in worlds]
        counted = sum(int(getattr(x, what)) for x in some), sum(int(getattr(x, of)) for x in some)
        return round(counted[0] / max(1, counted[1]), 4)

    return {
        "false_alarms": share(*WORLDS),
        "worst_size": round(max(x.alarms / x.reports for x in told if x.world in WORLDS), 4),
        "level_used": share("continuous"),
        "repeated": share("repeated"),
        "ks_01": share("mixed", what="ks", of="fixed"),
        "psi_02": share("mixed", what="psi", of="fixed"),
        "reports": sum(x.reports for x in told),
    }


def seasonal_part(reports: int, seed: int) -> dict[str, Any]:
    """Count seasonal days that find something."""
    same, pooled = seasonal_alarms(reports, seed)
    print(f"{same}\n{pooled}", flush=True)
    return {
        "seasonal": round(same.alarms / same.reports, 4),
        "seasonal_reports": same.reports,
        "seasonal_pooled": round(pooled.alarms / pooled.reports, 4),
    }


def changes_part(sizes: list[int], runs: int, seed: int) -> dict[str, Any]:
    """Look for every change that the oracle is sure of."""
    rows = []
    for row in changes(sizes, runs, seed):
        rows.append(row)
        if row.runs and not row.detected:
            where = f"{row.kind}, intensity {row.intensity:g}, n {row.n:,} (oracle's power {row.oracle:.5f})"
            print(f"missed: {where}: {row.found} of {row.runs}", flush=True)
    _table(rows, sizes)
    sure = [row for row in rows if row.runs]
    tried = max(1, sum(row.runs for row in sure))
    return {
        "detected": round(sum(row.detected for row in sure) / max(1, len(sure)), 4),
        "found": round(sum(row.found for row in sure) / tried, 4),
        "cells": len(sure),
        "runs": tried,
        "ks_01_found": round(sum(row.ks for row in sure) / tried, 4),
        "psi_02_found": round(sum(row.psi for row in sure) / tried, 4),
    }


def _table(rows: list[Change], sizes: list[int]) -> None:
    print("\nsmallest intensity that the oracle is sure of → share found there; –: sure of none")
    print(f"{'kind':26}" + "".join(f"{n:>16,}" for n in sizes))
    first: dict[tuple[str, int], Change] = {}
    for row in rows:
        if row.runs:
            first.setdefault((row.kind, row.n), row)
    for kind in KINDS:
        at = [first.get((kind.name, n)) for n in sizes]
        shown = [f"{row.intensity:g} → {row.found / row.runs:.0%}" if row else "–" for row in at]
        print(f"{kind.name:26}" + "".join(f"{cell:>16}" for cell in shown))


def shift_part(runs: int, seed: int) -> dict[str, Any]:
    """Measure the power on a small shift beside KS, and what one wild value does."""
    ours, ks = shift_power(runs, seed)
    return {"shift_005": ours, "shift_005_ks": ks, "outlier": [float(f"{p:.2g}") for p in outlier(seed)]}


def streams_part(changed: int, unchanged: int, seed: int) -> dict[str, Any]:
    """Measure the online detectors."""
    told: dict[str, Any] = {}
    for name, alarms, delay, missed in streams(changed, unchanged, seed):
        print(
            f"{name}: {alarms:.2f} false alarms in 100,000 steps, mean delay {delay:.0f}, {missed} missed", flush=True
        )
        told[name] = {"false_alarms_100k": round(alarms, 3), "delay": round(delay, 1), "missed": missed}
    return told


def peers(python: str, sizes: list[int], seed: int) -> dict[str, Any]:
    """Return what other libraries' defaults say of the same unchanged columns, run by *python*."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for n in (n for n in sizes if n <= 20_000):
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
    parser.add_argument("--short", action="store_true", help="under four minutes: few runs of 50 to 5,000 rows")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", nargs="+", type=int, help=f"rows of each sample; else {', '.join(map(str, SIZES))}")
    parser.add_argument("--runs", type=int, help="runs of each change, fewer above 20,000 rows (20; short: 2)")
    parser.add_argument("--reports", type=int, help="unchanged reports of each size, likewise (2000; short: 40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", metavar="PYTHON", help="an interpreter that has evidently (and pandas below 3)")
    options = parser.parse_args()
    sizes = options.sizes or list(SHORT_SIZES if options.short else SIZES)
    runs = options.runs or (2 if options.short else 20)
    reports = options.reports or (40 if options.short else 2000)
    began = time.monotonic()
    told: dict[str, Any] = {}
    for part in options.parts:
        match part:
            case "unchanged":
                told |= unchanged_part(sizes, reports, options.seed)
            case "seasonal":
                told |= seasonal_part(reports, options.seed)
            case "changes":
                told |= changes_part(sizes, runs, options.seed)
            case "shift":
                told |= shift_part(10 * runs, options.seed)
            case "streams":
                told |= streams_part(5 * runs, runs, options.seed)
    if options.peers:
        print(json.dumps(peers(options.peers, sizes, options.seed)))
    print(json.dumps(told | {"seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
