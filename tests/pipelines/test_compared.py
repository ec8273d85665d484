"""The reference of the drift report is the traffic that was asked for, and never the window itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from systems.feed.implementation.data_models import feed

from orita.features.schema import FeatureSchema
from orita.pipelines.compared import reference_spans, shared_features

_END = datetime(2024, 11, 15, tzinfo=UTC)
_DAY = timedelta(days=1)


def _stamps(days: int, per_day: int = 40, rows: int = 3) -> pa.ChunkedArray:
    """Return the times of *days* days of requests before the end, each of some rows."""
    times = [
        _END - d * _DAY - i * _DAY / per_day for d in range(days) for i in range(1, per_day + 1) for _ in range(rows)
    ]
    return pa.chunked_array([pa.array(times, pa.timestamp("us", tz="UTC"))])


def _spans(kind: str, days: int, **more: int) -> tuple[str, list[tuple[timedelta, timedelta]], datetime]:
    chosen = reference_spans(kind, _stamps(days, **more), _END - _DAY, _END, windows=8, min_requests=30)  # type: ignore[arg-type]
    spans = [tuple(_END - datetime.fromisoformat(at) for at in span) for span in chosen["spans"]]
    return chosen["name"], spans, datetime.fromisoformat(chosen["recent"])  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("kind", "days", "name", "spans"),
    [
        ("served", 30, "first", [(30, 29)]),
        ("sliding", 30, "sliding", [(9, 1)]),
        ("sliding", 3, "sliding", [(3, 1)]),
        ("seasonal", 40, "seasonal", [(36, 35), (29, 28), (22, 21), (15, 14), (8, 7)]),
        ("seasonal", 20, "first", [(20, 19)]),
    ],
)
def test_the_reference_lies_before_the_window(kind: str, days: int, name: str, spans: list[tuple[int, int]]) -> None:
    """First requests, the windows before, and the same hours of earlier weeks, where there are enough."""
    found, at, recent = _spans(kind, days)
    assert found == name
    assert at == [(a * _DAY, b * _DAY) for a, b in spans]
    assert recent == _END - _DAY


@pytest.mark.parametrize(("window", "recent"), [(timedelta(hours=24, microseconds=1), 6), (timedelta(hours=15), 15)])
def test_a_reference_of_some_hours_is_held_against_the_same_hours(window: timedelta, recent: int) -> None:
    """After 30 hours the first six are compared with the last six, not with a whole day; a window that is no whole day
    has no such hours."""
    times = [_END - timedelta(minutes=10 * i) for i in range(1, 6 * 30 + 1)]
    stamps = pa.chunked_array([pa.array(times, pa.timestamp("us", tz="UTC"))])
    chosen = reference_spans("served", stamps, _END - window, _END, windows=8, min_requests=30)
    assert chosen["name"] == "first"
    assert (
        timedelta() <= _END - datetime.fromisoformat(chosen["recent"]) - timedelta(hours=recent) < timedelta(seconds=1)
    )


def test_without_earlier_requests_the_window_is_halved() -> None:
    """On the first day, or after fewer requests than can be judged, its first half is the reference of the second."""
    for days, per_day in ((1, 40), (2, 20)):
        found, [(start, middle)], recent = _spans("served", days, per_day=per_day)
        assert found == "half"
        assert start == _DAY
        assert recent == _END - middle
        assert timedelta(hours=10) < middle < timedelta(hours=14)


def test_the_training_reference_needs_no_traffic() -> None:
    """The test split is compared with the whole window."""
    assert _spans("training", 1) == ("training", [], _END - _DAY)


def test_features_by_topic_are_shared_by_the_topic() -> None:
    """Only what groups events by the topic alone is; a feature of user and topic is the user's."""
    schema = feed.schema()
    assert shared_features(feed, schema) == {"topic_ctr": "item_topic", "topic_ctr_lately": "item_topic"}
    without = FeatureSchema(tuple(column for column in schema.columns if column.name != "item_topic"))
    assert shared_features(feed, without) == {}
