"""Scores of a table: begun, gone on with after a kill, finished, and never mixed with those of another making."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from orita.core.clock import to_micros
from orita.core.errors import NotFound, UserError
from orita.events.id_types import stored_id_types
from orita.events.lake import Lake, Snapshot
from orita.features.api.relations import system_tables
from orita.pipelines.scoring.best import best_of_all
from orita.pipelines.scoring.engines import HereEngine, ScoringEngine
from orita.pipelines.scoring.folder import WORK, alone, clear, lacking, refuse_foreign, sweep
from orita.pipelines.scoring.manifest import MANIFEST, Manifest, read_manifest
from orita.pipelines.scoring.options import ScoreOptions
from orita.pipelines.scoring.past import Past
from orita.pipelines.scoring.reading import RowReader
from orita.pipelines.scoring.rules import RowRules
from orita.pipelines.scoring.scored import output_schema
from orita.pipelines.scoring.settled import Settled, difference, settle
from orita.pipelines.scoring.source import refuse_changed
from orita.pipelines.scoring.staging import BESIDE, id_kinds, stage_text
from orita.pipelines.scoring.steps import Target, commit_best, commit_step
from orita.pipelines.workspace import Workspace

__all__ = ["Progressed", "ScoreReport", "score_table"]

_SORTING_MB = 512


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a scoring is: rows done of all rows, and of them those that this run did in so many seconds."""

    done: int
    total: int
    here: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows a second of this run."""
        return self.here / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float:
        """Seconds that are left at this rate."""
        return (self.total - self.done) / self.rate if self.rate else 0.0


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What is in the folder, and what of it this run did; ``new`` is false where all was done before."""

    out: Path
    manifest: Manifest
    new: bool
    rows: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        manifest, making = self.manifest, self.manifest.making
        return {
            "out": str(self.out),
            "manifest": str(self.out / MANIFEST),
            "new": self.new,
            **{name: making[name] for name in ("model", "feature_schema_version", "objective", "features", "engine")},
            "input": manifest.told["input"]["name"],
            "tables": manifest.told["tables"],
            "at": manifest.told["at"],
            "absent": manifest.told["absent"],
            **manifest.summary(),
            "parts": len(manifest.parts),
            "rows_this_run": self.rows,
            "seconds_this_run": round(self.seconds, 3),
            "rows_per_second": round(self.rows / self.seconds, 1) if self.seconds and self.rows else None,
        }


def score_table(
    workspace: Workspace, options: ScoreOptions, told: Callable[[Progressed], None] | None = None
) -> ScoreReport:
    """Score a table into a folder; what an earlier run of the same did already is not done again.

    Args:
        workspace: where everything is.
        options: what is scored, with what, into which folder.
        told: is called after each step.

    Raises:
        NotFound: there is no such model, file or table.
        UserError: an option does not go with model or input; the folder holds something else, or scores of another
            making; another process writes there; or the input is changed meanwhile.
    """
    with alone(options.out):
        previous = read_manifest(options.out)
        refuse_foreign(options.out, options.source)
        settled = settle(workspace, options, previous)
        manifest = None if previous is None else _taken_up(previous, settled)
        if manifest is not None and manifest.finished_at:
            return ScoreReport(options.out, manifest, new=False, rows=0, seconds=0.0)
        return _scored(workspace, settled, manifest, told)


def _taken_up(previous: Manifest, settled: Settled) -> Manifest | None:
    """Return the manifest to go on with, None where it is begun anew.

    Raises:
        UserError: the scores are of another making, or a file of them is gone.
    """
    options = settled.options
    if options.restart:
        return None
    state = "holds finished scores" if previous.finished_at else "holds scores that were begun"
    if (why := difference(previous.making, settled.making)) is not None:
        raise UserError(
            f"{options.out} {state}, of another making: {why}. Choose another --out, or begin anew with --restart."
        )
    if (name := lacking(options.out, previous)) is not None:
        raise UserError(f"{options.out} {state}, and its {name} is gone or changed: begin anew with --restart.")
    return previous


def _scored(
    workspace: Workspace, settled: Settled, manifest: Manifest | None, told: Callable[[Progressed], None] | None
) -> ScoreReport:
    out, options, clock = settled.options.out, settled.options, workspace.clock
    (out / WORK).mkdir(exist_ok=True)
    reader = _reader(workspace, settled)
    if manifest is None:
        manifest = _begun(workspace, settled, len(reader))
        manifest.write(out)
    sweep(out, manifest)
    kinds = _kinds(workspace, settled, reader)
    schema = output_schema(settled.wanted, kinds, settled.source.schema, ranked=False)
    target = Target(out, schema, settled.wanted.user, options.part_rows, options.top, reader, settled.source)
    rules = RowRules(settled.wanted, kinds, to_micros(datetime.fromisoformat(manifest.told["at"])))
    begun, first = clock.monotonic(), manifest.done
    title = f"Score ({first:,} rows were done before)" if first else "Score"
    with (
        workspace.progress.bar(title, total=manifest.total - first) as bar,
        _engine(workspace, settled, manifest, reader, rules) as engine,
    ):
        while manifest.done < manifest.total:
            start, at = manifest.done, clock.monotonic()
            stop = min(start + engine.step_rows, manifest.total)
            step = commit_step(target, engine.scored(start, stop), start, stop, manifest)
            refuse_changed(settled.source)
            manifest.steps.append(step)
            manifest.seconds += clock.monotonic() - at
            manifest.write(out)
            pa.default_memory_pool().release_unused()  # else what steps leave free grows by a tenth over many of them
            bar.advance(stop - start)
            progressed = Progressed(stop, manifest.total, stop - first, clock.monotonic() - begun)
            bar.describe(f"{progressed.rate:,.0f} rows/s")
            if told is not None:
                told(progressed)
    rows = manifest.done - first
    _finish(workspace, settled, manifest, target, kinds)
    return ScoreReport(out, manifest, new=True, rows=rows, seconds=clock.monotonic() - begun)


def _finish(
    workspace: Workspace, settled: Settled, manifest: Manifest, target: Target, kinds: Mapping[str, pa.DataType]
) -> None:
    out, options = settled.options.out, settled.options
    ranked = options.top is not None
    schema = output_schema(settled.wanted, kinds, settled.source.schema, ranked=ranked)
    if options.top is not None:
        files = [out / part.file for step in manifest.steps for part in step.parts]
        with workspace.progress.bar(f"Keep the best {options.top}") as bar:
            memory = min(workspace.data.validation.memory_mb, _SORTING_MB)
            best = best_of_all(files, schema, settled.wanted.user, options.top, out / WORK, memory)
            commit_best(target, best, schema, manifest)
            bar.advance()
    if not manifest.parts:  # readers of a folder need a file that says which columns there are
        target.empty(schema, manifest)
    manifest.finished_at = workspace.clock.now().isoformat()
    manifest.write(out)
    clear(out)


def _begun(workspace: Workspace, settled: Settled, total: int) -> Manifest:
    now = workspace.clock.now()
    tables: dict[str, int] = {}
    if settled.plan is not None:
        begun = bool(settled.plan.aggregates)
        tables = system_tables(Lake(workspace.home), settled.plan.system, begun=begun).versions
    return Manifest(
        making=settled.making,
        told={
            "input": settled.source.to_dict(),
            "tables": tables,
            "at": (settled.options.at or now).isoformat(),
            "absent": list(settled.wanted.absent),
        },
        total=total,
        begun_at=now.isoformat(),
    )


def _reader(workspace: Workspace, settled: Settled) -> RowReader:
    """Return a reader of the columns that are needed; text is staged first, and its broken rows are told."""
    source, wanted = settled.source, settled.wanted
    names = [column.name for column in wanted.columns if column.name in source.schema.names]
    fields = [source.schema.field(name) for name in dict.fromkeys((*names, *wanted.keep))]
    if source.kind != "text":
        return RowReader([file.path for file in source.files], pa.schema(fields))
    staged = stage_text(source, settled.options.out / WORK, workspace.data.validation, workspace.progress)
    return RowReader([staged], pa.schema([*fields, *BESIDE]))


def _kinds(workspace: Workspace, settled: Settled, reader: RowReader) -> dict[str, pa.DataType]:
    source, wanted = settled.source, settled.wanted
    ids = {column.name for column in wanted.columns if column.type == "id"}
    stored: dict[str, pa.DataType] = {}
    if settled.plan is not None:
        stored = stored_id_types(Lake(workspace.home), ids, first=settled.plan.system.source.name)
    return id_kinds(wanted, source.schema, stored, reader.files if source.kind == "text" else ())


@contextmanager
def _engine(
    workspace: Workspace, settled: Settled, manifest: Manifest, reader: RowReader, rules: RowRules
) -> Iterator[ScoringEngine]:
    options = settled.options
    snapshots = _snapshots(workspace, manifest)
    if options.engine == "spark":
        from orita.features.spark import session_at_work  # an optional part
        from orita.pipelines.scoring.spark import SparkEngine

        with session_at_work(workspace.data.feature_engineering.spark) as session:
            yield SparkEngine(session, settled, rules, reader, snapshots, options.out / WORK, _SORTING_MB)
        return
    past = None
    if settled.plan is not None:
        folder, memory = options.out / WORK, workspace.data.validation.memory_mb
        past = Past(settled.plan, settled.schema, snapshots, folder, memory, options.as_of)
    yield HereEngine(settled.package, rules, reader, past, options.objective, options.part_rows)


def _snapshots(workspace: Workspace, manifest: Manifest) -> dict[str, Snapshot]:
    """Return the tables as they were when the scoring was begun: what came since would make other rows."""
    lake = Lake(workspace.home)
    try:
        return {name: lake.snapshot(name, version) for name, version in manifest.told["tables"].items()}
    except NotFound as error:
        raise NotFound(f"the scoring cannot go on: {error} Begin anew with --restart.") from None
