"""What a server answers, typed. Fields that a newer server adds are passed over."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

__all__ = [
    "Configuration",
    "FeatureConfiguration",
    "FeatureRows",
    "FeedPage",
    "Health",
    "Job",
    "Metrics",
    "OutlierReason",
    "Outliers",
    "Pushed",
    "RankedItem",
    "Ranking",
]


class RankedItem(msgspec.Struct, frozen=True, gc=False):
    """One item of a ranking.

    Attributes:
        item_id: as asked.
        score: how good it is, a click probability unless the model has another objective.
        rank: from 1, the best.
    """

    item_id: int | str
    score: float
    rank: int


class OutlierReason(msgspec.Struct, frozen=True):
    """Why a request is unlike what the model was trained on.

    Attributes:
        check: ``statistics`` or ``confidence``.
        message: one sentence.
        items: how many items of the request.
        feature: which feature, of ``statistics``.
    """

    check: str
    message: str
    items: int
    feature: str = ""


class Outliers(msgspec.Struct, frozen=True):
    """What is unlike the training rows in a request.

    Attributes:
        label: ``out`` where the request as a whole is, else ``in``.
        share: of the items, by their statistics.
        reasons: in sentences.
    """

    label: str
    share: float
    reasons: tuple[OutlierReason, ...] = ()


class Ranking(msgspec.Struct, frozen=True):
    """The items of a request, best first.

    Attributes:
        user_id: as asked.
        predictions: every item that was asked, best first.
        model_version: which version answered.
        latency_ms: how long the server took, in milliseconds.
        level: how good the answer is: 1 the model's, 2 and more what stood in for it.
        reason: why it is not of level 1, None where it is.
        cached: whether its scores were computed for an earlier request.
        outliers: what in the request is unlike the rows that the model was trained on, None where nothing is.
        request_id: joins feedback to this answer.
    """

    user_id: int | str
    predictions: tuple[RankedItem, ...]
    model_version: str
    latency_ms: float
    level: int = 1
    reason: str | None = None
    cached: bool = False
    outliers: Outliers | None = None
    request_id: str = ""

    @property
    def item_ids(self) -> list[int | str]:
        """The items, best first."""
        return [item.item_id for item in self.predictions]


class FeedPage(msgspec.Struct, frozen=True):
    """A page of a feed.

    Attributes:
        user_id: as asked.
        predictions: the items to show, in order, ranked from 1 in the whole feed; scores need not fall.
        model_version: which version answered.
        latency_ms: how long the server took, in milliseconds.
        level: how good the scores are: 1 the model's, 2 and more what stood in for it.
        cursor: asks for the next page; None: this was the last.
        reason: why it is not of level 1, None where it is, or where the server does not say.
        outliers: what in the request is unlike the rows that the model was trained on, None where nothing is.
        request_id: joins feedback to this page.
    """

    user_id: int | str
    predictions: tuple[RankedItem, ...]
    model_version: str
    latency_ms: float
    level: int
    cursor: str | None
    reason: str | None = None
    outliers: Outliers | None = None
    request_id: str = ""

    @property
    def item_ids(self) -> list[int | str]:
        """The items, in the order to show them."""
        return [item.item_id for item in self.predictions]


class Health(msgspec.Struct, frozen=True):
    """How a server is.

    Attributes:
        status: ``ok``; ``degraded``, another version answers than the deployed; ``no_model``.
        model_version: which version answers, None without one.
        model_loaded_at: since when.
        uptime_seconds: since the server started.
        last_prediction: when it last answered, None before the first.
        detail: why the deployed version does not answer, None if it does.
    """

    status: str
    model_version: str | None
    model_loaded_at: datetime | None
    uptime_seconds: float
    last_prediction: datetime | None
    detail: str | None = None


class Metrics(msgspec.Struct, frozen=True):
    """What a server counted.

    Attributes:
        requests_total: predict requests since the start, however they ended.
        requests_per_second: of the last minute.
        latency_p50_ms, latency_p99_ms: of the latest answers, None before the first.
        error_rate: share of the last minute's requests that the server failed.
        predictions_total: items scored since the start.
    """

    requests_total: int
    requests_per_second: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    error_rate: float
    predictions_total: int


class FeatureConfiguration(msgspec.Struct, frozen=True):
    """Which features the model reads, in order, and the version of their schema."""

    version: str
    features: tuple[str, ...]


class Configuration(msgspec.Struct, frozen=True):
    """What the model that answers is made of.

    Attributes:
        model_config: its type, its version, and what its writer kept beside its card.
        feature_config: what it reads.
    """

    model_config: dict[str, Any]
    feature_config: FeatureConfiguration


class FeatureRows(msgspec.Struct, frozen=True):
    """A row for each that was asked, in the same order: its columns and its features, None where missing."""

    rows: tuple[dict[str, Any], ...]


class Pushed(msgspec.Struct, frozen=True):
    """Events that are in the log, durably.

    Attributes:
        taken: how many.
        offsets: by partition of the log, the offset after the last of them.
    """

    taken: int
    offsets: dict[str, int]


class Job(msgspec.Struct, frozen=True):
    """Work of the feature store that goes on after the answer.

    Attributes:
        job: its id, for ``features.job``.
        state: ``running``.
        url: its path on the server.
    """

    job: str
    state: str
    url: str
