"""Quality as monitoring reported it against what the logs give: answers joined to predictions again, as known then."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import to_micros
from orita.core.errors import NotFound
from orita.core.sql import quoted
from orita.events.lake import Lake
from orita.events.predictions import prediction_log
from orita.monitoring.feedback import Attribution
from orita.monitoring.model_quality.slices import model_quality
from orita.monitoring.performance import PerformanceReport, online_performance
from orita.pipelines.replaying.events import Replayed
from orita.pipelines.replaying.findings import Part
from orita.pipelines.replaying.span import Span
from orita.pipelines.workspace import Workspace

__all__ = ["quality_of_day", "replay_metrics", "stored_reports"]

_COLUMNS = ["timestamp", "request_id", "item_id", "score", "model_version", "latency_ms", "user_id"]
_OF_VERSION = ("rows", "clicks", "ctr", "auc", "log_loss", "mean_score", "calibration_error")
_OF_DAY = ("rows", "clicks", "ctr", "auc")
_RELATIVE = 1e-9
_MICROS = pa.timestamp("us", tz="UTC")
NO_PREDICTIONS = "figures of reports whose predictions the log has let go of"

Figures = dict[tuple[str, str], float | None]
"""By version, and by version and day, each figure."""


def stored_reports(workspace: Workspace, span: Span) -> list[dict[str, Any]]:
    """Return the monitoring reports about predictions that end in *span*, as plain values, the oldest first."""
    found = []
    for path in sorted((workspace.home.reports / "monitoring").glob(f"monitoring-{workspace.system.name}-*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        if report["end"] is not None and span.start < datetime.fromisoformat(report["end"]) <= span.end:
            found.append({**report, "file": path.name})
    return found


def replay_metrics(
    workspace: Workspace, replayed: Replayed, connection: duckdb.DuckDBPyConnection, reports: list[dict[str, Any]]
) -> Part:
    """Join answers to predictions again for each of *reports*, and compare every figure of quality.

    Args:
        workspace: whose prediction log, lake and configuration.
        replayed: the events, of which some are answers.
        connection: where they can be read.
        reports: as `stored_reports` returns them.
    """
    part = Part("metrics", "figures of monitoring reports")
    with workspace.progress.bar("Join answers again", total=len(reports)) as bar:
        for report in reports:
            _compare(part, workspace, replayed, connection, report)
            bar.advance()
    return part


def quality_of_day(
    workspace: Workspace, replayed: Replayed, connection: duckdb.DuckDBPyConnection, day: Span
) -> list[dict[str, Any]]:
    """Return CTR, AUC and log loss of each version that answered on *day*, from all answers that are known now."""
    predictions = prediction_log(
        workspace.home,
        start=day.start,
        end=day.end,
        system=workspace.system.name,
        levels=(1,),
        columns=[name for name in _COLUMNS if name != "latency_ms"],
    )
    if not len(predictions):
        return []
    answers = _answers(workspace, replayed.relations, connection, predictions)
    config = workspace.monitoring.performance_monitoring
    rule = Attribution.configured(config, workspace.clock.now())
    found = model_quality(predictions, answers, config, attribution=rule)
    return [
        {
            "day": day.day.isoformat(),
            "model_version": each.model_version,
            "rows": each.figures.rows,
            "clicks": each.figures.clicks,
            **{
                name: None if (value := getattr(each.figures, name)) is None else value.value
                for name in ("ctr", "auc", "log_loss")
            },
        }
        for each in found.parts
    ]


def _compare(
    part: Part,
    workspace: Workspace,
    replayed: Replayed,
    connection: duckdb.DuckDBPyConnection,
    report: Mapping[str, Any],
) -> None:
    stored = report["performance"]
    was = _stored_figures(stored)
    predictions = prediction_log(
        workspace.home,
        start=datetime.fromisoformat(report["start"]),
        end=datetime.fromisoformat(report["end"]),
        system=workspace.system.name,
        model_version=report["model_version"],
        levels=(1,),
        columns=_COLUMNS,
    )
    if not len(predictions) and stored["joined"]["predictions"]:
        part.leave_out(NO_PREDICTIONS, len(was))
        return
    at, day = datetime.fromisoformat(report["at"]), report["end"][:10]
    ways = _ways(workspace, replayed, connection, predictions, at)
    _, again = next(ways)
    now = _rebuilt_figures(again)
    wrong = [key for key in was.keys() | now.keys() if not _same(was.get(key, math.nan), now.get(key, math.nan))]
    for version in sorted({key[0].partition(" ")[0] for key in was.keys() | now.keys()}):
        mine = [key for key in was.keys() | now.keys() if key[0].partition(" ")[0] == version]
        part.compared(version, day, len(mine), len(set(mine) & set(wrong)))
    if not wrong:
        return
    kind = _kind(was, ways, stored, again)
    for key in sorted(wrong):
        about, figure = key
        example = {"report": report["file"], "about": about, "figure": figure}
        part.differs(kind, 1, {**example, "stored": was.get(key), "rebuilt": now.get(key)})


def _kind(
    was: Figures,
    ways: Iterator[tuple[str, PerformanceReport]],
    stored: Mapping[str, Any],
    again: PerformanceReport,
) -> str:
    """Return why figures differ: another way to count gives the stored ones, or other rows were counted."""
    for kind, report in ways:
        now = _rebuilt_figures(report)
        if was.keys() == now.keys() and all(_same(was[key], now[key]) for key in was):
            return kind
    joined = stored["joined"]
    if joined["predictions"] != again.joined.predictions:
        return "other_predictions"
    return "other_answers" if joined["joined"] != again.joined.joined else "other_figure"


def _ways(
    workspace: Workspace,
    replayed: Replayed,
    connection: duckdb.DuckDBPyConnection,
    predictions: pa.Table,
    at: datetime,
) -> Iterator[tuple[str, PerformanceReport]]:
    """Yield what the report may have counted: what was known at its time; what the lake had then; all there is."""
    config = workspace.monitoring.performance_monitoring
    answers = _answers(workspace, replayed.relations, connection, predictions)
    yield "", online_performance(predictions, _known(answers, at), config, test_auc={}, as_of=at)
    source = workspace.system.source.name
    try:
        then = Lake(workspace.home).snapshot(source, at=at).sql
        had = _answers(workspace, {**replayed.relations, source: then}, connection, predictions)
        yield "lake_behind", online_performance(predictions, had, config, test_auc={}, as_of=at)
    except NotFound:  # that version was vacuumed, or there was none yet
        pass
    yield "late_answer", online_performance(predictions, answers, config, test_auc={}, as_of=at)
    if replayed.with_lost is not None:
        lost = _answers(workspace, replayed.with_lost, connection, predictions)
        yield "not_in_lake", online_performance(predictions, _known(lost, at), config, test_auc={}, as_of=at)


def _answers(
    workspace: Workspace,
    relations: Mapping[str, str],
    connection: duckdb.DuckDBPyConnection,
    predictions: pa.Table,
) -> pa.Table:
    """Return the events of *relations* that answer one of *predictions*, as `orita.pipelines.answers` does."""
    source = workspace.system.source
    relation = relations[source.name]
    item = quoted(source.key_columns(workspace.system.item)[0])
    there = connection.sql(f"SELECT * FROM {relation} LIMIT 0").columns
    known = ", CAST(ingested_at AS TIMESTAMPTZ) AS ingested_at" if "ingested_at" in there else ""
    if "request_id" not in there:
        return pa.table({name: pa.nulls(0, kind) for name, kind in _NO_ANSWERS.items()})
    connection.register("answered", predictions.select(["request_id"]))
    found = connection.sql(
        f"SELECT request_id, CAST({item} AS VARCHAR) AS item_id, click, timestamp{known} "
        f"FROM {relation} WHERE request_id IN (SELECT request_id FROM answered)"
    ).to_arrow_table()
    connection.unregister("answered")
    return found


_NO_ANSWERS = {
    "request_id": pa.string(),
    "item_id": pa.string(),
    "click": pa.int8(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def _known(answers: pa.Table, at: datetime) -> pa.Table:
    """Return the answers that were known at a time: by their ingestion, else by their own time."""
    since = answers["timestamp"].cast(_MICROS)
    if "ingested_at" in answers.column_names:
        since = pc.coalesce(answers["ingested_at"].cast(_MICROS), since)
    return answers.filter(pc.less_equal(since, pa.scalar(to_micros(at), _MICROS)))


def _stored_figures(performance: Mapping[str, Any]) -> Figures:
    found: Figures = {}
    for version in performance["versions"]:
        for name in _OF_VERSION:
            found[version["model_version"], name] = _value(version[name])
    for day in performance["days"]:
        for name in _OF_DAY:
            found[f"{day['model_version']} {day['day']}", name] = _value(day[name])
    return found


def _rebuilt_figures(report: PerformanceReport) -> Figures:
    found: Figures = {}
    for version in report.versions:
        for name in _OF_VERSION:
            found[version.model_version, name] = _value(getattr(version, name))
    for day in report.days:
        for name in _OF_DAY:
            found[f"{day.model_version} {day.day.isoformat()}", name] = _value(getattr(day, name))
    return found


def _value(figure: Any) -> float | None:
    """Return a figure's value, whether or not it has an interval; None where there is none."""
    if isinstance(figure, Mapping):
        figure = figure["value"]
    value = getattr(figure, "value", figure)
    return None if value is None or not math.isfinite(value) else float(value)


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=1e-12)
