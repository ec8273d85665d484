"""What a rollout must not do, as declared: errors, latency, scores, and what users do.

Every comparison is between the challenger and the champion, of requests that the dice gave to either in the same time,
by tests that stay valid however often they are looked at.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Checks", "ErrorCheck", "LatencyCheck", "MetricCheck", "ScoreCheck"]

Share = Annotated[float, Meta(gt=0, lt=1)]


class ErrorCheck(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much more often the challenger may fail: answers below level 1, where something stands in for the model.

    Attributes:
        most_more: share of requests beyond the champion's.
    """

    most_more: Annotated[float, Meta(ge=0, lt=1)] = 0.005


class LatencyCheck(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much slower its answers may be.

    Attributes:
        quantile: of the latencies of requests.
        most_more_ms: milliseconds beyond the champion's.
    """

    quantile: Share = 0.95
    most_more_ms: Annotated[float, Meta(ge=0, le=3_600_000)] = 20.0


class ScoreCheck(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How differently its scores may be distributed.

    Attributes:
        most_distance: the greatest difference of the distribution functions (Kolmogorov and Smirnov), in (0, 1).
        action: what happens beyond it: ``hold`` waits for somebody to look, ``roll_back`` goes back.
    """

    most_distance: Share = 0.3
    action: Literal["hold", "roll_back"] = "hold"


class MetricCheck(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What users do: a rate of outcomes by shown item.

    Attributes:
        name: the column of interactions that counts, such as ``click``.
        most_loss: relative loss that must be excluded before most users get the version; smaller shares need less.
        window_seconds: outcomes count until so long after the answer; only answers older than that are judged.
        top: only items shown at this position or above count; 0: all.
    """

    name: str = "click"
    most_loss: Share = 0.025
    window_seconds: Annotated[float, Meta(ge=0, le=90 * 86_400)] = 1800.0
    top: Annotated[int, Meta(ge=0)] = 0


class Checks(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is looked at; null: it is not.

    Attributes:
        alpha: chance, over all looks of the whole rollout, that a version is rolled back that does no harm.
        errors, latency, scores, metric: see each.
    """

    alpha: Share = 0.01
    errors: ErrorCheck | None = ErrorCheck()
    latency: LatencyCheck | None = LatencyCheck()
    scores: ScoreCheck | None = ScoreCheck()
    metric: MetricCheck | None = MetricCheck()
