"""The bench of the closed loop, without options, is the one whose figures the README shows."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.closed_loop import parsed

ROOT = Path(__file__).parents[2]


def test_the_bench_is_that_of_the_documents() -> None:
    """Users, days and the seed of the world are those that README and simulator.md tell of."""
    options = parsed([])
    (row,) = [line for line in (ROOT / "README.md").read_text().splitlines() if "B=closed_loop`" in line]
    assert row.startswith(f"| {options.panel:,} users for {options.days} days")
    (told,) = re.findall(r"world of seed (\d+): ([\d,]+) users and items, ([\d,]+) interactions",
                         (ROOT / "docs" / "simulator.md").read_text())  # fmt: skip
    assert tuple(int(each.replace(",", "")) for each in told) == (options.world, options.users, options.interactions)
    assert options.items == options.users == options.panel


def test_options_are_taken() -> None:
    """Each changes what it names and nothing else."""
    options = parsed(["--world", "7", "--no-checks", "--set", "training.epochs=1"])
    assert (options.world, options.no_checks, options.overrides) == (7, True, ["training.epochs=1"])
    assert options.seed == parsed([]).seed
