"""A home that lived for two days: events pushed into the log and taken by stream and lake, requests answered from the
online features between them, answers fed back, profiles of the stream kept, and monitoring run in the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tests.features.small_system import NOW
from tests.registry.small_registry import registered, trained_home

from orita.core.clock import ManualClock, to_micros
from orita.core.home import Home
from orita.events.prediction_files import convert_segment, segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame, encode_header
from orita.features.api.feature_store import FeatureStore
from orita.features.training_sets.training_set import latest_training_set
from orita.models.package import Package, load_package
from orita.models.reading import read_examples
from orita.monitoring.config import MonitoringConfig
from orita.monitoring.profiles.streamed import follow_stream
from orita.pipelines.etl import publish_online
from orita.pipelines.feature_stream import stream_features
from orita.pipelines.graph import run_graph
from orita.pipelines.monitoring import monitoring_graph
from orita.pipelines.references import keep_reference
from orita.pipelines.replaying.course import PARTS, replay_span
from orita.pipelines.replaying.findings import Part, ReplayReport
from orita.pipelines.replaying.span import Span
from orita.pipelines.workspace import Workspace

__all__ = ["ITEMS", "Life", "copied", "lived", "part_of", "replayed"]

ITEMS: tuple[int, ...] = (100, 101, 102, 103, 104)
_STEPS, _STEP = 12, timedelta(hours=4)
_REQUESTS = 4


@dataclass(frozen=True, slots=True)
class Life:
    """A home, its package, and the span that it lived."""

    workspace: Workspace
    package: Package
    span: Span


def lived(folder: Path) -> Life:
    """Return a home in which nothing went wrong."""
    workspace = _trained(folder)
    package = load_package(workspace.catalogue().champion("small").package)  # type: ignore[union-attr]
    clock = workspace.clock
    assert isinstance(clock, ManualClock)
    publish_online(workspace)
    shown: list[dict[str, Any]] = []
    for step in range(_STEPS):
        clock.advance(_STEP)
        _taken(workspace, [*shown, *_events(clock.now(), step)])
        clock.advance(timedelta(seconds=5))
        with _store(workspace) as store:
            shown = _answered(workspace, package, store, step)
    clock.advance(timedelta(minutes=3))
    _taken(workspace, shown)
    with closing(workspace.event_log()) as log:
        follow_stream(workspace.home, log, "interactions")
    clock.advance(timedelta(minutes=1))
    run_graph(monitoring_graph(), workspace)
    return Life(workspace, package, Span(NOW, clock.now()))


def replayed(life: Life, *parts: str, **more: Any) -> ReplayReport:
    """Replay the span of *life*, by default all parts."""
    return replay_span(life.workspace, life.span, lambda version: life.package, parts=parts or PARTS, **more)


def part_of(report: ReplayReport, name: str) -> Part:
    """Return a part of a report."""
    (found,) = (part for part in report.parts if part.name == name)
    return found


def copied(life: Life, folder: Path) -> Life:
    """Return a copy of a home, to be damaged."""
    shutil.copytree(life.workspace.home.root, folder)
    return replace(life, workspace=replace(life.workspace, home=Home(folder)))


def _trained(folder: Path) -> Workspace:
    workspace = trained_home(folder)
    entry = registered(workspace, "linear")
    workspace.catalogue().promote("small", entry.version, actor="ada", reason="the first")
    made = latest_training_set(workspace.home.training_sets, "small")
    keep_reference(workspace, entry, read_examples(made.file("test"), made.schema))
    told = {"performance_monitoring": {"min_labels": 20, "min_clicks": 5, "resamples": 200}}
    return replace(workspace, clock=ManualClock(NOW), monitoring=MonitoringConfig.model_validate(told))


def _taken(workspace: Workspace, events: list[dict[str, Any]]) -> None:
    """Push *events*; stream and lake take them."""
    with _store(workspace) as store:
        store.push_features(events)
    stream_features(workspace, until=lambda _: False, once=True)


@contextmanager
def _store(workspace: Workspace) -> Iterator[FeatureStore]:
    with closing(workspace.event_log()) as log:
        store = FeatureStore(workspace.home, workspace.system, log=log, clock=workspace.clock)
        with closing(store):
            yield store


def _events(now: datetime, step: int) -> list[dict[str, Any]]:
    """Return three events of the last minutes, and every third time one that is known hours late."""
    found = [
        {
            "interaction_id": f"p{step}-{n}",
            "user_id": (3 * step + n) % 7,
            "item_id": ITEMS[(step + n) % 5],
            "timestamp": now - timedelta(minutes=3 * n + 1),
            "ingested_at": None,
            "click": int((step + n) % 3 == 0),
            "device": ("mobile", "desktop", "tablet")[n],
        }
        for n in range(3)
    ]
    if step % 3 == 1:
        found[2] |= {"timestamp": now - timedelta(hours=5), "ingested_at": now}
    return found


def _answered(workspace: Workspace, package: Package, store: FeatureStore, step: int) -> list[dict[str, Any]]:
    """Log the answers to some requests, each a second after the one before; return what users did about them."""
    clock, names = workspace.clock, package.schema.names
    assert isinstance(clock, ManualClock)
    done, frames = [], []
    day = clock.now().date()
    header = SegmentHeader(f"{day}-step{step:02}", day, "small", package.version, tuple(names))
    for number in range(_REQUESTS):
        clock.advance(timedelta(seconds=1))
        user, request = (4 * step + number) % 13, f"r{step}-{number}"
        read = store.get_online_features(user, ITEMS, context={"device": "mobile"}, features=None)
        x_NF = np.column_stack([pc.fill_null(read[n].cast(pa.float32()), np.nan).to_numpy() for n in names])
        scores_N = package.score_user(user, list(ITEMS), x_NF).astype(np.float32)
        ranks_N = np.empty(len(ITEMS), np.int32)
        ranks_N[np.argsort(-scores_N, kind="stable")] = np.arange(1, len(ITEMS) + 1)
        frames.append(
            ScoredRequest(
                at_micros=to_micros(clock.now()),
                as_of_micros=to_micros(clock.now()),
                request_id=request,
                salt=step * 100 + number + 1,
                user_id=user,
                item_ids=list(ITEMS),
                latency_ms=1.0,
                scores=scores_N.tobytes(),
                ranks=ranks_N.tobytes(),
                features=np.ascontiguousarray(x_NF, np.float32).tobytes(),
            )
        )
        done += [
            {
                "interaction_id": f"f{step}-{number}-{item}",
                "user_id": user,
                "item_id": item,
                "timestamp": clock.now() + timedelta(minutes=2),
                "ingested_at": None,
                "click": int((step + number + item) % 3 == 0),
                "device": "mobile",
                "request_id": request,
            }
            for item in ITEMS[:2]
        ]
    path = segment_folder(workspace.home) / f"{header.name}.wal"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_header(header) + b"".join(map(encode_frame, frames)))
    convert_segment(workspace.home, path)
    return done
