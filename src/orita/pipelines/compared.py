"""Which traffic is compared with which? The reference of the drift report, as `drift_detection.reference` says.

All but ``training`` are rows of the prediction log: drawn as serving draws them, which a training set is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from orita.events.predictions import prediction_log
from orita.features.declarations import Attribute
from orita.features.declaring.parts import shared_by
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.monitoring.config import DriftDetectionConfig
from orita.monitoring.reference import Reference
from orita.monitoring.sample import RequestSample, sample_predictions
from orita.pipelines.graph import Result
from orita.pipelines.references import reference_path
from orita.pipelines.workspace import Workspace
from orita.stats.drift.slices import LEAST_SLICES

__all__ = ["compared", "reference_spans", "shared_features"]

_COLUMNS = ("request_id", "user_id", "item_id", "score", "features", "timestamp")
_DAY, _WEEK = timedelta(days=1), timedelta(days=7)
_SPANS = TypeAdapter(list[tuple[datetime, datetime]])
_SOURCES: dict[str, str] = {
    "first": "the version's first requests",
    "half": "the first half of these requests: there are no earlier ones yet",
    "sliding": "the requests before",
    "seasonal": "the same hours of earlier weeks",
    "training": "test split",
}

Spans = list[tuple[datetime, datetime]]


def reference_spans(
    kind: Literal["training", "served", "sliding", "seasonal"],
    stamps: pa.ChunkedArray,
    start: datetime,
    end: datetime,
    *,
    windows: int,
    min_requests: int,
) -> Result:
    """Return which times make the reference, where recent requests begin, and what to call it.

    Where the first requests before the window do not cover as many hours as it does, of a window of whole days only the
    same hours are recent: a night held against a day differs by nature.

    Args:
        kind: as configured.
        stamps: time of every row that the version answered, up to *end*.
        start, end: the window that is looked at.
        windows: windows before this one (sliding), or weeks (seasonal), at most.
        min_requests: fewer requests before *start* are no reference; then the first half of the window is.
    """
    if kind == "training":
        return {"name": "training", "spans": [], "recent": start.isoformat()}
    first, length = pc.min(stamps).as_py(), end - start
    if kind == "seasonal":
        weeks = [(start - i * _WEEK, end - i * _WEEK) for i in range(windows, 0, -1)]
        found = [span for span in weeks if _requests(stamps, *span) >= min_requests]
        if len(found) >= LEAST_SLICES:
            return _told("seasonal", found, start)
    before = (max(first, start - windows * length), start) if kind == "sliding" else (first, min(first + length, start))
    if before[0] < before[1] and _requests(stamps, *before) >= min_requests:
        # The window ends a microsecond after its last request.
        days = timedelta(days=length // _DAY)
        recent = max(start, before[0] + days) if length - days < timedelta(seconds=1) else start
        return _told("sliding" if kind == "sliding" else "first", [before], recent)
    inside = stamps.filter(pc.and_(pc.greater_equal(stamps, start), pc.less(stamps, end)))
    middle = inside.sort()[len(inside) // 2].as_py()
    return _told("half", [(start, middle)], middle)


def _told(name: str, spans: Spans, recent: datetime) -> Result:
    return {"name": name, "spans": [[a.isoformat(), b.isoformat()] for a, b in spans], "recent": recent.isoformat()}


def _requests(stamps: pa.ChunkedArray, start: datetime, end: datetime) -> int:
    inside = pc.and_(pc.greater_equal(stamps, start), pc.less(stamps, end))
    # Rows of one request share their time.
    return int(pc.count_distinct(stamps.filter(inside)).as_py())


def compared(workspace: Workspace, results: Mapping[str, Result]) -> tuple[Reference, RequestSample]:
    """Return the reference and the recent requests of a monitoring run, from what its first two tasks found."""
    config, version = workspace.monitoring.drift_detection, results["load_reference_data"]["version"]
    window = results["load_recent_predictions"]
    trained = Reference.load(reference_path(workspace, version))
    schema, chosen = trained.sample.schema, window["reference"]
    recent = _sample(workspace, version, schema, config, datetime.fromisoformat(chosen["recent"]), _at(window["end"]))
    if chosen["name"] == "training":
        return trained, recent
    spans: Sequence[tuple[datetime, datetime]] = _SPANS.validate_python(chosen["spans"])
    limit = max(1, config.max_requests // len(spans))
    samples = [_sample(workspace, version, schema, config, *span, limit=limit) for span in spans]
    source = _SOURCES[chosen["name"]]
    made_at = workspace.clock.now()
    reference = Reference.of_slices(
        samples, model_version=version, source=source, made_at=made_at, other_hours=chosen["name"] == "half"
    )
    return reference, recent


def shared_features(system: System, schema: FeatureSchema) -> dict[str, str]:
    """Return, by feature, the category among the features whose members share its value.

    A feature that events are grouped for by an attribute that is no feature itself is not among them: nothing that was
    logged says which rows share it.
    """
    kept = {name: expression for name, expression in system.kept.items() if name in schema.names}
    categories = {expression: name for name, expression in kept.items() if isinstance(expression, Attribute)}
    shared = {name: shared_by(expression) for name, expression in kept.items()}
    return {name: categories[by] for name, by in shared.items() if by is not None and by in categories}


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _sample(
    workspace: Workspace,
    version: str,
    schema: FeatureSchema,
    config: DriftDetectionConfig,
    start: datetime,
    end: datetime,
    *,
    limit: int | None = None,
) -> RequestSample:
    predictions = prediction_log(
        workspace.home,
        start=start,
        end=end,
        system=workspace.system.name,
        model_version=version,
        levels=(1,),  # what stood in for the model says nothing of it
        columns=_COLUMNS,
    )
    return sample_predictions(schema, predictions, max_requests=limit or config.max_requests, seed=config.seed)
