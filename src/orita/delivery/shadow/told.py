"""What a shadow tells, as plain values."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from orita.delivery.shadow.kept import Counts

__all__ = [
    "CandidateSummary",
    "Distribution",
    "ErrorKind",
    "Figure",
    "FurthestItem",
    "FurthestRequest",
    "Quantiles",
    "ShadowSummary",
    "Verdict",
    "VerdictState",
]

VerdictState = Literal["nothing_scored", "too_few", "fails", "slow", "differs", "fits"]


class Figure(Struct, frozen=True):
    """A mean over requests with its 95 % interval; one user's requests count as dependent. NaN ends: of one user."""

    mean: float
    low: float | None
    high: float | None
    requests: int


class Quantiles(Struct, frozen=True):
    """Milliseconds that half, 95 % and 99 % of requests did not exceed."""

    p50: float
    p95: float
    p99: float


class Distribution(Struct, frozen=True):
    """Shares of values by bin, of the champion and of the candidate, between the same edges."""

    edges: tuple[float, ...]
    champion: tuple[float, ...]
    candidate: tuple[float, ...]


class ErrorKind(Struct, frozen=True):
    """A kind of failure: how many requests, and the last of them."""

    kind: str
    count: int
    message: str
    request_id: str
    timestamp: datetime


class FurthestRequest(Struct, frozen=True):
    """A request on which both differ, and the item of it whose scores are furthest apart."""

    request_id: str
    timestamp: datetime
    items: int
    tau: float | None
    rbo: float | None
    largest_shift: float
    item: str
    champion_score: float
    candidate_score: float
    champion_rank: int
    candidate_rank: int


class FurthestItem(Struct, frozen=True):
    """An item: in how many requests no other's scores were further apart, and by how much the candidate's was more."""

    item: str
    requests: int
    mean_shift: float


class Verdict(Struct, frozen=True):
    """What is to be said of a candidate: one word for programs, a sentence, and what it rests on."""

    state: VerdictState
    sentence: str
    findings: tuple[str, ...] = ()


class CandidateSummary(Struct, frozen=True, kw_only=True):
    """How a candidate differs from the champion.

    Attributes:
        version: which.
        counts: what became of the champion's answers.
        rows: requests that the figures rest on, the latest.
        users: how many asked them.
        figures: by the names of `orita.delivery.shadow.comparison.MEASURES`.
        errors: by kind, the most frequent first.
        failed: share of requests that it failed to score, features that could not be read not counted.
        candidate_ms: of scoring alone, one thread, at low priority.
        candidate_cpu_ms: processor time of the same.
        champion_ms: of the whole answers.
        timings: the 1st, 2nd … 99th percentiles of these three, by name.
        distance: greatest difference of the distribution functions of scores (Kolmogorov and Smirnov).
        scores: the distributions.
        taus: shares of requests by τ, of the candidate; the champion's are empty.
        features_from: requests by where features came from.
        furthest, items: what differs most.
        starts: how often its process was started.
        trouble: why it is not loaded, None where it is.
        verdict: the same in words.
    """

    version: str
    counts: Counts
    rows: int
    users: int
    figures: dict[str, Figure]
    errors: tuple[ErrorKind, ...]
    failed: Figure | None
    candidate_ms: Quantiles | None
    candidate_cpu_ms: Quantiles | None
    champion_ms: Quantiles | None
    timings: dict[str, tuple[float, ...]]
    distance: float | None
    scores: Distribution | None
    taus: Distribution | None
    features_from: dict[str, int]
    furthest: tuple[FurthestRequest, ...]
    items: tuple[FurthestItem, ...]
    starts: int
    trouble: str | None
    verdict: Verdict


class ShadowSummary(Struct, frozen=True, kw_only=True):
    """What a shadow has found.

    Attributes:
        rollout, system, champion, state: of the rollout.
        mirrored_percent: share of requests that it is to take.
        first, last: times of the answers behind the figures; None without any.
        cpu_percent: of one processor, that was spent while it was followed.
        most_cpu_percent: that it may spend.
        followed_seconds: how long it was followed.
        candidates: by version.
    """

    rollout: str
    system: str
    champion: str
    state: str
    mirrored_percent: float
    first: datetime | None
    last: datetime | None
    cpu_percent: float
    most_cpu_percent: float
    followed_seconds: float
    candidates: tuple[CandidateSummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told
