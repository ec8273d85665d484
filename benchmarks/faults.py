"""Are faults of data seen, and is a clean batch left alone? Kinds of faults × intensities × tables, beside an oracle.

``make bench B=faults``; the last line is one JSON object. Each table is cut into batches: of the first ones
expectations and envelope are inferred, without a word by hand (but for the keys of other tables); the next ones stay as
they are or get a fault (`benchmarks.fault_kinds`) in 0.1, 0.5, 1, 5 or 20 % of their rows.

The oracle knows the fault, its column and its intensity: it sums the log-likelihood ratio of each row's trait (Neyman
and Pearson), with densities taken from clean rows and from rows that all have the fault, or takes the fault's own
figure of a batch. Its threshold is that of the report's false-alarm rate among clean batches, its power what batches
with the fault reach, both by a normal tail.

``caught``: share of the cells (table, kind, intensity) where the oracle has a power of 99.9 % in which 99 % of the
batches with the fault have a finding; faults are put into batches that have none without. ``false_alarms``: share of
the clean generated batches that have one. ``rows_lost``: rows that are neither passed nor in quarantine, over all.
``declared_seconds``: eight declared checks on a million rows.

    python -m benchmarks.faults [DATA] [--runs 10] [--clean 500] [--worlds 5] [--tables …] [--short]

Peers on the same faults: ``python -m benchmarks.fault_peers``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from benchmarks.fault_kinds import FAULTS, Fault, Figure, inject
from benchmarks.fault_worlds import Rows, World, card_payments, film_ratings, generated_orders, table_of
from scipy.stats import norm
from scipy.stats import t as student

from orita.monitoring.expectations.check import check
from orita.monitoring.expectations.declaration import ColumnExpectation, TableExpectation
from orita.monitoring.expectations.envelope import Envelope
from orita.monitoring.expectations.findings import Checked
from orita.monitoring.expectations.frame import Frame
from orita.monitoring.expectations.history import Batch, envelope_of, inferred
from orita.monitoring.expectations.quarantine import parted

SHARES = (0.001, 0.005, 0.01, 0.05, 0.2)
_HISTORY, _CLEAN_FOR_ORACLE = 60, 60
_POWER, _CAUGHT = 0.999, 0.99
_BINS = 100


@dataclass(slots=True)
class Guard:
    """What history of a world expects, and what checking by it has cost."""

    world: World
    table: TableExpectation
    envelope: Envelope
    rows_lost: int = 0
    seconds: list[float] = field(default_factory=list)

    @classmethod
    def learnt(cls, world: World, batches: int = _HISTORY) -> Guard:
        """Return the guard that the first batches give."""
        history = [
            Batch(Frame.of(table_of(rows)), end)
            for rows, end in zip(world.batches[:batches], world.ends[:batches], strict=True)
        ]
        time_column = world.roles.get("time", "")
        table = inferred(history, time=time_column, label=world.roles.get("label", ""))
        columns = dict(table.columns)
        for key_of, (name, _) in world.keys.items():
            columns[name] = msgspec.structs.replace(columns[name], key_of=key_of)
        table = msgspec.structs.replace(table, columns=columns)
        return cls(world, table, envelope_of(history, table))

    def checked(self, rows: Rows, at: int) -> Checked:
        """Return the check of a batch that came in place of the world's batch *at*."""
        batch = table_of(rows)
        begun = time.perf_counter()
        keys = {key_of: values for key_of, (_, values) in self.world.keys.items()}
        found = check(batch, self.table, at=self.world.ends[at], envelope=self.envelope, keys=keys.__getitem__)
        self.seconds.append(time.perf_counter() - begun)
        passed, quarantined = parted(batch, found)
        self.rows_lost += batch.num_rows - passed.num_rows - quarantined.num_rows
        return found


@dataclass(frozen=True, slots=True)
class Cell:
    """A table, a kind of fault and an intensity: the oracle's power, and the share of batches with a finding."""

    world: str
    fault: str
    share: float
    power: float
    caught: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=int, default=10, help="batches of each cell")
    parser.add_argument("--clean", type=int, default=500, help="clean generated batches")
    parser.add_argument("--worlds", type=int, default=5, help="histories that these follow")
    parser.add_argument("--tables", nargs="+", default=["orders", "payments", "ratings"])
    parser.add_argument("--short", action="store_true", help="generated orders alone, 4 runs, 100 clean batches of 2")
    parser.add_argument("--verbose", action="store_true", help="print what clean batches are told")
    options = parser.parse_args()
    if options.short:
        options.runs, options.clean, options.worlds, options.tables = 4, 100, 2, ["orders"]
    tables: dict[str, Callable[[], World | None]] = {
        "orders": lambda: generated_orders(_HISTORY + _CLEAN_FOR_ORACLE + options.runs, seed=1),
        "payments": lambda: card_payments(options.data, 160),
        "ratings": lambda: film_ratings(options.data),
    }
    false_alarms, lost = _clean(options.clean, options.worlds, verbose=options.verbose) if options.clean else (None, 0)
    cells: list[Cell] = []
    for name in options.tables:
        world = tables[name]()
        if world is None:
            print(f"  {name}: not there below {options.data}", flush=True)
            continue
        guard = Guard.learnt(world)
        cells += _cells(guard, options.runs, verbose=options.verbose)
        lost += guard.rows_lost
        print(f"  {world.name}: a batch is checked in {1e3 * statistics.median(guard.seconds):.0f} ms", flush=True)
    _tell(cells)
    sure = [cell for cell in cells if cell.power >= _POWER]
    found = {
        "caught": round(sum(cell.caught >= _CAUGHT for cell in sure) / len(sure), 4),
        "cells": len(sure),
        "kinds": len({cell.fault for cell in cells}),
        "false_alarms": false_alarms,
        "rows_lost": lost,
        "declared_seconds": round(_declared_seconds(), 3),
    }
    print(json.dumps(found))


def _clean(batches: int, worlds: int, *, verbose: bool) -> tuple[float, int]:
    """Return the share of clean generated batches with a finding, and the rows that were lost."""
    each, alarms, lost = batches // worlds, 0, 0
    for seed in range(worlds):
        world = generated_orders(_HISTORY + each, seed=100 + seed)
        guard = Guard.learnt(world)
        for at in range(_HISTORY, len(world.batches)):
            found = guard.checked(world.batches[at], at).findings
            alarms += bool(found)
            if found and verbose:
                print(f"  clean batch {at} of world {seed}: {found[0].sentence}", flush=True)
        lost += guard.rows_lost
    print(f"  {alarms} of {each * worlds} clean generated batches have a finding", flush=True)
    return round(alarms / (each * worlds), 4), lost


def _cells(guard: Guard, runs: int, *, verbose: bool) -> list[Cell]:
    world = guard.world
    kinds = [fault for fault in FAULTS if set(fault.needs) <= set(world.roles)]
    clean = range(_HISTORY, min(_HISTORY + _CLEAN_FOR_ORACLE, len(world.batches) - min(runs, 10)))
    held = range(clean.stop, len(world.batches))
    sound = []
    for at in held:
        found = guard.checked(world.batches[at], at).findings
        if not found:
            sound.append(at)
        elif verbose:
            print(f"  {world.name}, clean batch {at}: {found[0].sentence}", flush=True)
    alarms = len(held) - len(sound)
    print(
        f"  {world.name}: {len(kinds)} kinds; {alarms} of {len(held)} clean batches held out have a finding", flush=True
    )
    cells = []
    for number, fault in enumerate(kinds):
        rng = np.random.default_rng(number)
        oracle = Oracle.of(fault, world, clean, rng)
        for share in (1.0,) if fault.whole else SHARES:
            changed = []
            for run in range(runs):
                at = sound[run % len(sound)]
                changed.append((inject(fault, world.batches[at], world.roles, share, rng), at))
            caught = sum(bool(guard.checked(rows, at).findings) for rows, at in changed) / runs
            power = oracle.power([rows for rows, _ in changed], share, guard.table.false_alarm_rate)
            cells.append(Cell(world.name, fault.name, share, power, caught))
    return cells


@dataclass(frozen=True, slots=True)
class Oracle:
    """A test that knows the fault.

    Attributes:
        fault, roles: what it knows.
        clean: batches without it.
        edges_B: of the bins of the trait.
        ratio_B: how much more frequent each bin is among rows with the fault than among clean ones.
    """

    fault: Fault
    roles: Mapping[str, str]
    clean: Sequence[Rows]
    edges_B: npt.NDArray[np.float64]
    ratio_B: npt.NDArray[np.float64]

    @classmethod
    def of(cls, fault: Fault, world: World, clean: range, rng: np.random.Generator) -> Oracle:
        """Return the oracle that has seen the history of *world* with and without the fault in all rows."""
        batches = [world.batches[at] for at in clean]
        if fault.trait is None:
            return cls(fault, world.roles, batches, np.empty(0), np.empty(0))
        before = world.batches[:20]
        after = [inject(fault, rows, world.roles, 0.5, rng) for rows in before]
        plain_N, mixed_N = (
            np.concatenate([_trait(fault, rows, world.roles) for rows in each]) for each in (before, after)
        )
        pooled = np.concatenate([plain_N, mixed_N])
        edges_B = np.unique(pooled)
        if len(edges_B) > _BINS:
            edges_B = np.unique(np.quantile(pooled, np.linspace(0, 1, _BINS)))
        plain_B, mixed_B = (
            (np.bincount(np.searchsorted(edges_B, x), minlength=len(edges_B)) + 0.5) / len(x)
            for x in (plain_N, mixed_N)
        )
        part = 0.5
        if fault.where is not None:
            part = min(part, float(np.mean([fault.where(rows, world.roles).mean() for rows in before])))
        return cls(fault, world.roles, batches, edges_B, np.maximum(mixed_B / plain_B - (1 - part), 1e-9) / part)

    def power(self, changed: Sequence[Rows], share: float, level: float) -> float:
        """Return the chance that a batch with the fault is above the threshold of clean ones."""
        clean, faulty = (np.array([self._figure(rows, share) for rows in each]) for each in (self.clean, changed))
        many = len(clean)
        threshold = clean.mean() + student.isf(level, many - 1) * clean.std(ddof=1) * np.sqrt(1 + 1 / many)
        spread = faulty.std(ddof=1)
        if spread == 0:
            return float(faulty.mean() > threshold + 1e-9)
        return float(norm.cdf((faulty.mean() - threshold) / spread))

    def _figure(self, rows: Rows, share: float) -> float:
        figure: Figure | None = self.fault.figure
        if figure is not None:
            return figure(rows, self.roles)
        bins = np.minimum(np.searchsorted(self.edges_B, _trait(self.fault, rows, self.roles)), len(self.ratio_B) - 1)
        share = min(share, 0.99)
        return float(np.log(1 - share + share * self.ratio_B[bins]).sum())


def _trait(fault: Fault, rows: Rows, roles: Mapping[str, str]) -> npt.NDArray[np.float64]:
    assert fault.trait is not None
    return np.nan_to_num(np.asarray(fault.trait(rows, roles), dtype=np.float64), nan=-1e12)


def _tell(cells: Sequence[Cell]) -> None:
    for world in dict.fromkeys(cell.world for cell in cells):
        print(f"  {world}: caught (power of the oracle) at {', '.join(f'{share:.1%}' for share in SHARES)}")
        for fault in dict.fromkeys(cell.fault for cell in cells if cell.world == world):
            several = [cell for cell in cells if (cell.world, cell.fault) == (world, fault)]
            print(f"    {fault:32} {'  '.join(_cell_words(cell) for cell in several)}", flush=True)


def _cell_words(cell: Cell) -> str:
    missed = cell.power >= _POWER and cell.caught < _CAUGHT
    return f"{cell.caught:4.0%} ({cell.power:4.0%}){'!' if missed else ' '}"


def _declared_seconds(rows: int = 1_000_000) -> float:
    """Return how long eight declared checks of a million rows take, the shortest of three."""
    rng = np.random.default_rng(0)
    batch = pa.table(
        {
            "id": np.arange(rows),
            "amount": rng.exponential(50, rows),
            "age": rng.integers(18, 90, rows),
            "country": pa.array(["SE", "NG", "KE", "DE"]).take(pa.array(rng.integers(0, 4, rows))),
            "code": pa.array([f"{code:05}" for code in range(1000)]).take(pa.array(rng.integers(0, 1000, rows))),
        }
    )
    table = TableExpectation(
        columns={
            "id": ColumnExpectation(most_missing=0, unique=True),
            "amount": ColumnExpectation(type="number", minimum=0, most_missing=0),
            "age": ColumnExpectation(minimum=18, maximum=100),
            "country": ColumnExpectation(choices=("SE", "NG", "KE", "DE")),
            "code": ColumnExpectation(pattern=r"\d{5}"),
        }
    )
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        assert not check(batch, table, at=generated_orders(1, rows=1).ends[0]).failed
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


if __name__ == "__main__":
    main()
