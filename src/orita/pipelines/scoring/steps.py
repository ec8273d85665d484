"""What is scored becomes files: parts of a bounded size, and the rows that could not be scored beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from orita.pipelines.scoring.best import best_of_step
from orita.pipelines.scoring.folder import QUARANTINE, WORK, write_part
from orita.pipelines.scoring.manifest import Manifest, Part, Step
from orita.pipelines.scoring.reading import RowReader
from orita.pipelines.scoring.rules import BAD, NUMBER
from orita.pipelines.scoring.scored import Scored
from orita.pipelines.scoring.source import Source

__all__ = ["Target", "commit_best", "commit_step"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where scores go.

    Attributes:
        folder: of the output.
        schema: the columns of scores, without a rank.
        user: the columns of a user's id.
        part_rows: how many rows a file holds at most.
        top: how many rows of each user are kept; None: all.
        reader: tells where a row of the input is.
        source: the input.
    """

    folder: Path
    schema: pa.Schema
    user: tuple[str, ...]
    part_rows: int
    top: int | None
    reader: RowReader
    source: Source

    def empty(self, schema: pa.Schema, manifest: Manifest) -> None:
        """Write a file without rows, as there are none; a step without rows names it."""
        part = write_part(self.folder, "part-00000.parquet", [], schema)
        if self.top is not None:
            manifest.best.append(part)
        else:
            manifest.steps.append(Step(manifest.done, 0, (part,), (), {}, {}))


def commit_step(target: Target, blocks: Iterable[Scored], start: int, stop: int, manifest: Manifest) -> Step:
    """Write the files of a range of the input, and return the step that names them.

    Args:
        target: where they go.
        blocks: what was scored, in the order of the input.
        start, stop: the numbers of the first row and of the one after the last.
        manifest: what is done already.
    """
    bad: list[pa.Table] = []
    cold: Counter[str] = Counter()

    def rows() -> Iterator[pa.Table]:
        for block in blocks:
            bad.append(block.bad)
            cold.update(block.cold)
            yield block.rows

    before = sum(len(step.parts) for step in manifest.steps)
    parts: list[Part] = []
    for table in _of_size(rows(), target.part_rows):
        name, schema = f"part-{before + len(parts):05d}.parquet", target.schema
        if target.top is None:
            parts.append(write_part(target.folder, name, [table], schema))
            continue
        best, schema = best_of_step(table, target.user, target.top), pa.schema([(NUMBER, pa.int64()), *schema])
        parts.append(write_part(target.folder, f"{WORK}/{name}", [best], schema))
    broken = pa.concat_tables(bad) if bad else BAD.empty_table()
    rules = Counter(
        f"{c}: {r}" if c else r for c, r in zip(*(broken[n].to_pylist() for n in ("column", "rule")), strict=True)
    )
    quarantine = _quarantined(target, broken, len(manifest.steps))
    return Step(start, stop - start, tuple(parts), quarantine, dict(sorted(rules.items())), dict(cold))


def commit_best(target: Target, best: Iterator[pa.Table], schema: pa.Schema, manifest: Manifest) -> None:
    """Write the best rows of all users, and after each file the manifest that names it.

    Args:
        target: where they go.
        best: all of them, also those that a killed run wrote already; they come in the same order again.
        schema: their columns.
        manifest: what is done.
    """
    done = len(manifest.best)
    for number, table in enumerate(_of_size(best, target.part_rows)):
        if number >= done:
            manifest.best.append(write_part(target.folder, f"part-{number:05d}.parquet", [table], schema))
            manifest.write(target.folder)


def _of_size(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the rows of *tables* again, *rows* at a time; the last may be fewer."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += len(table)
        while count >= rows:
            whole = pa.concat_tables(held)
            yield whole.slice(0, rows)
            held, count = [whole.slice(rows)], count - rows
    if count:
        yield pa.concat_tables(held)


def _quarantined(target: Target, broken: pa.Table, step: int) -> tuple[Part, ...]:
    """Keep rows that could not be scored, with the file that each is in and its number there."""
    if not len(broken):
        return ()
    broken = broken.sort_by(NUMBER)
    files, row_B = target.reader.places(broken[NUMBER].to_numpy())
    if target.source.kind == "text":  # what was staged is of no interest; broken rows have the numbers of the text
        files = [target.source.files[0].path] * len(broken)
        told = broken["row"].to_numpy(zero_copy_only=False)
        row_B = np.where(np.isnan(told.astype(np.float64)), row_B, told)
    placed = broken.set_column(1, "source", pa.array(files, pa.string()))
    placed = placed.set_column(2, "row", pa.array(row_B, pa.int64()))
    schema = pa.schema(list(BAD)[1:])
    return (write_part(target.folder, f"{QUARANTINE}/part-{step:05d}.parquet", [placed.select(schema.names)], schema),)
