"""Declared texts and embeddings are read for the requests of both samples, and compared by the monitoring run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.monitoring.watched_system import draw, reference_of, sample_of

from orita import INTERACTION, Column, Entity, Source, system
from orita.core.clock import SystemClock
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.events.lake import Lake
from orita.monitoring.config import DriftDetectionConfig, MonitoringConfig
from orita.monitoring.drift.contents import Texts, Vectors
from orita.monitoring.reference import Reference
from orita.monitoring.sample import RequestSample
from orita.pipelines import monitoring
from orita.pipelines.drift_contents import drift_contents
from orita.pipelines.workspace import Workspace

_ITEMS = 2000


def _workspace(folder: Path, **declared: Any) -> Workspace:
    """Return surroundings of a system whose items have a title and a style of three numbers."""
    user = Entity("user", key="user_id", table="users", attributes=[Column("age", "float")])
    style = [Column(f"style_{d}", "float") for d in range(3)]
    attributes = [Column("title", "str"), *style, Column("made", "time")]
    item = Entity("item", key="item_id", table="items", attributes=attributes)
    shop = system("shop", label=Source("interactions", INTERACTION).click, rank=item, for_=user)
    drift = DriftDetectionConfig.model_validate(declared)
    return replace(Workspace(Home(folder), shop), monitoring=MonitoringConfig(drift_detection=drift))


def _store(workspace: Workspace, titles: list[str], first: float = 0.0) -> None:
    """Make a table of items the whole content, the last item not among them."""
    rng = np.random.default_rng(3)
    style = rng.normal(size=(_ITEMS - 1, 3))
    style[:, 0] += first
    columns = {f"style_{d}": style[:, d] for d in range(3)}
    table = pa.table({"item_id": np.arange(_ITEMS - 1), "title": titles[: _ITEMS - 1], **columns})
    Lake(workspace.home).replace("items", table.to_reader())


@pytest.fixture
def samples() -> tuple[Reference, RequestSample, dict[str, np.ndarray]]:
    """Requests before and now."""
    rng = np.random.default_rng(1)
    before, now = draw(rng, 600), draw(rng, 600)
    now["items_N"][0] = _ITEMS - 1
    return reference_of(before), sample_of(now), now


def _results(spans: list[list[str]], end: str) -> dict[str, Any]:
    return {"load_recent_predictions": {"end": end, "reference": {"spans": spans}}}


def test_attributes_are_those_of_the_time_of_the_requests(
    tmp_path: Path, samples: tuple[Reference, RequestSample, dict[str, np.ndarray]]
) -> None:
    """Requests of before see the table of before, an item that it does not have has nothing; features are no table."""
    reference, recent, now = samples
    declared = {"texts": ["item.title"], "embeddings": {"style": ["item.style_*"], "ctr": ["user_*_ctr", "item_ctr"]}}
    workspace = _workspace(tmp_path, **declared)
    _store(workspace, [f"old {i}" for i in range(_ITEMS)])
    between = SystemClock().now()
    _store(workspace, [f"new {i}" for i in range(_ITEMS)], first=5.0)
    end = SystemClock().now() + timedelta(hours=1)
    results = _results([["2024-01-01T00:00:00+00:00", between.isoformat()]], end.isoformat())
    words, length, style, ctr = drift_contents(workspace, results, reference, recent)
    assert [each.name for each in (words, length, style, ctr)] == ["item.title", "item.title length", "style", "ctr"]
    assert [each.side for each in (words, style, ctr)] == ["item", "item", "user"]
    assert isinstance(words.content, Texts)
    assert all(text.startswith("old ") for text in words.content.reference if text)
    assert words.content.recent == (None, *(f"new {i}" for i in now["items_N"][1:]))
    assert length.recent_M[1] == 2
    assert isinstance(style.content, Vectors)
    assert style.content.recent_MD.shape == (600, 3)
    assert np.isnan(style.content.recent_MD[0]).all()
    assert np.nanmean(style.content.recent_MD[:, 0]) > np.nanmean(style.content.reference_ND[:, 0]) + 4
    assert isinstance(ctr.content, Vectors)
    np.testing.assert_array_equal(ctr.content.recent_MD, recent.x_RF[:, [0, 2]])


def test_a_time_that_the_lake_does_not_know_is_now(
    tmp_path: Path, samples: tuple[Reference, RequestSample, dict[str, np.ndarray]]
) -> None:
    """Requests from before the first commit see the attributes as they are."""
    reference, recent, now = samples
    workspace = _workspace(tmp_path, texts=["item.title"])
    _store(workspace, [f"new {i}" for i in range(_ITEMS)])
    words, _ = drift_contents(workspace, _results([], "2024-01-01T00:00:00+00:00"), reference, recent)
    assert isinstance(words.content, Texts)
    assert words.content.recent[1] == f"new {now['items_N'][1]}"


def test_the_monitoring_run_compares_them(
    tmp_path: Path,
    samples: tuple[Reference, RequestSample, dict[str, np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The task of the pipeline reports a title that changed for the items that are served."""
    reference, recent, _ = samples
    workspace = _workspace(tmp_path, texts=["item.title"])
    _store(workspace, ["a good thing" for _ in range(_ITEMS)])
    between = SystemClock().now()
    _store(workspace, ["a bad thing" if i % 3 else "a good thing" for i in range(_ITEMS)])
    end = SystemClock().now() + timedelta(hours=1)
    results = _results([["2024-01-01T00:00:00+00:00", between.isoformat()]], end.isoformat())
    monkeypatch.setattr(monitoring, "compared", lambda *_: (reference, recent))
    told = monitoring.compute_feature_drift(workspace, results)
    drifted = [finding["name"] for finding in told["findings"] if finding["drifted"]]
    assert drifted == ["item.title"]


@pytest.mark.parametrize(
    ("declared", "error", "sentence"),
    [
        ({"texts": ["shop.title"]}, UserError, "name attributes of one of user and item, such as item.title"),
        ({"texts": ["item.titel"]}, NotFound, "has titel, which is not among the attributes of item. .*title"),
        ({"texts": ["item.made"]}, UserError, "has item.made, which is of type time: choose columns of type str"),
        ({"embeddings": {"s": ["item.style_0", "user.age"]}}, UserError, "embeddings.s has item.style_0, user.age"),
        ({"embeddings": {"s": ["user_taste_*"]}}, NotFound, "is not among the features of the model"),
    ],
)
def test_what_is_not_there_is_said(
    tmp_path: Path,
    samples: tuple[Reference, RequestSample, dict[str, np.ndarray]],
    declared: dict[str, Any],
    error: type[Exception],
    sentence: str,
) -> None:
    """A declaration that names nothing, or something else, is one sentence."""
    reference, recent, _ = samples
    workspace = _workspace(tmp_path, **declared)
    with pytest.raises(error, match=sentence):
        drift_contents(workspace, _results([], "2024-01-01T00:00:00+00:00"), reference, recent)
