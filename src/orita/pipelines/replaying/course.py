"""A span of time replayed, part after part and day after day; a run that was ended goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from orita.core.errors import OritaError, UserError
from orita.core.files import atomic_file
from orita.core.version import VERSION
from orita.events.engine import open_engine
from orita.events.lake import Lake
from orita.events.log.log import EventLog
from orita.events.prediction_files import prediction_parts
from orita.events.staging import work_folder
from orita.features.api.relations import Tables
from orita.models.package import Package
from orita.pipelines.replaying.events import Replayed, replay_events
from orita.pipelines.replaying.features import compare_features
from orita.pipelines.replaying.findings import Part, ReplayReport
from orita.pipelines.replaying.metrics import quality_of_day, replay_metrics, stored_reports
from orita.pipelines.replaying.profiles import replay_profiles
from orita.pipelines.replaying.rebuilding import Rebuilding
from orita.pipelines.replaying.requests import answered_rows
from orita.pipelines.replaying.scores import Scored, score_again
from orita.pipelines.replaying.span import Span
from orita.pipelines.workspace import Workspace

__all__ = ["PARTS", "replay_span"]

PARTS = ("events", "features", "profiles", "metrics", "scores")
"""What can be replayed, in the order in which it is told."""

_UNITS = {"features": "logged values", "scores": "logged scores"}
NO_PACKAGE = "rows of versions whose package is gone"

LoadPackage = Callable[[str], Package]


def replay_span(
    workspace: Workspace,
    span: Span,
    load: LoadPackage,
    *,
    parts: Collection[str] = PARTS,
    sample: int | None = None,
    lag: timedelta = timedelta(),
) -> ReplayReport:
    """Compute again from the logs what was online in a span of time, and compare.

    A day's rows are in memory at a time. What is done is kept below the home's checkpoints until the whole is done, so
    that the same replay goes on after it was ended, as long as log, lake and declarations are the same.

    Args:
        workspace: whose logs.
        span: the time.
        load: opens the package of a version.
        parts: which of `PARTS`.
        sample: features and scores of so many requests a day; None: of all.
        lag: by how much online features may have been behind; a stream always is, a little.

    Raises:
        UserError: a part is none, there is nothing to replay in the span, or another replay is at work.
    """
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise UserError(f"{unknown[0]!r} cannot be replayed: allowed are {', '.join(PARTS)}.")
    tables = workspace.tables()
    with (
        workspace.alone("replay"),
        closing(workspace.event_log()) as log,
        work_folder(workspace.home) as folder,
        open_engine(folder, workspace.data.validation.memory_mb) as connection,
    ):
        done = _Done.open(workspace, _question(workspace, log, tables, span, parts, (sample, lag)))
        course = _Course(workspace, log, tables, connection, folder, span, load, parts, sample, lag, done)
        report = course.report()
        if not report.looked_at and not any(part.left_out for part in report.parts):
            raise UserError(
                f"there is nothing to replay from {report.start} to {report.end}: no event, no answer of a model, no "
                "kept profile and no monitoring report. 'orita predictions days' lists the days that were logged."
            )
        done.forget()
    return report


@dataclass(slots=True)
class _Done:
    """What is done of a replay, in a file.

    Attributes:
        path: that file.
        pieces: by name, what was found.
        found_there: how many an earlier run had done.
    """

    path: Path
    pieces: dict[str, Any] = field(default_factory=dict)
    found_there: int = 0

    @classmethod
    def open(cls, workspace: Workspace, question: str) -> _Done:
        """Return what an earlier run of the same question left."""
        folder = workspace.home.checkpoints / "replay"
        path = folder / f"{workspace.system.name}-{question}.json"
        for old in folder.glob(f"{workspace.system.name}-*.json"):
            if old != path:
                old.unlink(missing_ok=True)
        if not path.exists():
            return cls(path)
        pieces = json.loads(path.read_text(encoding="utf-8"))
        return cls(path, pieces, len(pieces))

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the piece *name*, made now where it is not done yet."""
        if name not in self.pieces:
            self.pieces[name] = make()
            with atomic_file(self.path) as partial:
                partial.write_text(json.dumps(self.pieces, allow_nan=False), encoding="utf-8")
        return self.pieces[name]

    def forget(self) -> None:
        """Delete the file: all is done."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Course:
    """One replay under way."""

    workspace: Workspace
    log: EventLog
    tables: Tables
    connection: duckdb.DuckDBPyConnection
    folder: Path
    span: Span
    load: LoadPackage
    parts: Collection[str]
    sample: int | None
    lag: timedelta
    done: _Done

    def report(self) -> ReplayReport:
        """Carry it out."""
        events, replayed = replay_events(self.workspace, self.log, self.tables, self.connection, self.folder, self.span)
        found = {"events": events}
        if "profiles" in self.parts:
            found["profiles"] = self._once("profiles", self._profiles)
        if "metrics" in self.parts:
            found["metrics"] = self._once("metrics", lambda: self._metrics(replayed))
        figures: list[dict[str, Any]] = []
        if {"features", "scores", "metrics"} & set(self.parts):
            found |= self._days(replayed, figures)
        return ReplayReport(
            system=self.workspace.system.name,
            start=self.span.start.isoformat(),
            end=self.span.end.isoformat(),
            parts=tuple(found[name] for name in PARTS if name in self.parts),
            figures=tuple(figures),
            went_on=self.done.found_there,
        )

    def _once(self, name: str, make: Callable[[], Part]) -> Part:
        return Part.from_dict(self.done.once(name, lambda: make().to_dict()))

    def _profiles(self) -> Part:
        return replay_profiles(self.workspace.home, self.log, self.span, self.workspace.progress)

    def _metrics(self, replayed: Replayed) -> Part:
        reports = stored_reports(self.workspace, self.span)
        return replay_metrics(self.workspace, replayed, self.connection, reports)

    def _days(self, replayed: Replayed, figures: list[dict[str, Any]]) -> dict[str, Part]:
        """Replay day after day; *figures* get the quality of each."""
        wholes = {name: Part(name, unit) for name, unit in _UNITS.items() if name in self.parts}
        rebuilding = Rebuilding(self.workspace.system, self.workspace.plan, self.tables, replayed, self.connection)
        days = self.span.days
        with self.workspace.progress.bar("Replay days", total=len(days)) as bar:
            for day in days:
                bar.describe(day.day.isoformat())
                if wholes:
                    of_day = self.done.once(f"day/{day.day}", lambda day=day: self._day(rebuilding, day))  # type: ignore[misc]
                    for name, whole in wholes.items():
                        whole.add(Part.from_dict(of_day[name]))
                if "metrics" in self.parts:
                    figures += self.done.once(f"figures/{day.day}", lambda day=day: self._figures(replayed, day))  # type: ignore[misc]
                bar.advance()
        return wholes

    def _figures(self, replayed: Replayed, day: Span) -> list[dict[str, Any]]:
        return quality_of_day(self.workspace, replayed, self.connection, day)

    def _day(self, rebuilding: Rebuilding, day: Span) -> Mapping[str, Any]:
        """Return the parts of one day, as plain values."""
        found = {name: Part(name, unit) for name, unit in _UNITS.items()}
        lake = Lake(self.workspace.home)
        for logged in answered_rows(self.workspace, day, self.sample):
            package = self._package(logged["model_version"][0].as_py())
            if package is None:
                for part in found.values():
                    part.leave_out(NO_PACKAGE, len(logged))
                continue
            scored = Scored(package, logged) if "scores" in self.parts else None
            altered_N = None
            if "features" in self.parts:
                altered = scored.altered if scored is not None and scored.possible else None
                compared = compare_features(
                    found["features"],
                    rebuilding,
                    package.schema,
                    logged,
                    lake,
                    altered,
                    self.lag // timedelta(microseconds=1),
                )
                altered_N = altered(compared) if altered is not None else None
            if scored is not None:
                score_again(found["scores"], scored, altered_N)
        return {name: part.to_dict() for name, part in found.items()}

    def _package(self, version: str) -> Package | None:
        try:
            return self.load(version)
        except (OritaError, OSError):
            return None


def _question(
    workspace: Workspace, log: EventLog, tables: Tables, span: Span, parts: Collection[str], bounds: object
) -> str:
    """Return a digest of what a replay is of: while it is the same, what was found before holds."""
    ends = {name: [log.end(name, each) for each in range(log.partitions(name))] for name in log.streams()}
    predictions = {
        part.name: part.source.stat().st_size if isinstance(part.source, Path) else len(part.source)
        for part in prediction_parts(workspace.home, span.start, span.end)
    }
    told = {
        "orita": VERSION,
        "plan": workspace.plan.version,
        "code": workspace.code,
        "monitoring": workspace.monitoring.model_dump(mode="json"),
        "span": span.micros,
        "parts": sorted(parts),
        "bounds": str(bounds),
        "tables": tables.versions,
        "log": ends,
        "predictions": predictions,
        "reports": sorted(path.name for path in (workspace.home.reports / "monitoring").glob("*.json")),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
