"""What a rollout must not do, as declared: errors, latency, scores, features, and what users do.

Every comparison is between the challenger and the champion, of requests that the dice gave to either in the same time,
by tests that stay valid however often they are looked at.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Checks", "DriftCheck", "ErrorCheck", "GuardrailCheck", "LatencyCheck", "MetricCheck", "ScoreCheck"]

Share = Annotated[float, Meta(gt=0, lt=1)]
Seconds = Annotated[float, Meta(ge=0, le=90 * 86_400)]


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
    window_seconds: Seconds = 1800.0
    top: Annotated[int, Meta(ge=0)] = 0


class GuardrailCheck(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What users do besides: a rate or a mean value by shown item that must not get worse. It moves no step.

    Attributes:
        name: the column of interactions that counts, such as ``dwell_time``; values above 0 count, others are none.
        kind: ``rate`` counts shown items that had an outcome, ``mean`` adds up its values: revenue, seconds.
        direction: which way is better; ``down`` for complaints and hides.
        most_loss: relative loss that is tolerated, below 1 where more is better: the version is taken back when it is
            proven that it is worse by more than this; 0: when it is proven that it is worse.
        window_seconds: outcomes count until so long after the answer; only answers older than that are judged.
        top: only items shown at this position or above count; 0: all.
    """

    name: str
    kind: Literal["rate", "mean"] = "rate"
    direction: Literal["up", "down"] = "up"
    most_loss: Annotated[float, Meta(ge=0, le=10)] = 0.0
    window_seconds: Seconds = 1800.0
    top: Annotated[int, Meta(ge=0)] = 0

    @property
    def null(self) -> float:
        """Challenger ÷ champion at which it is as bad as is tolerated."""
        return 1 - self.most_loss if self.direction == "up" else 1 + self.most_loss


class DriftCheck(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How differently the features that the challenger was given may be distributed, feature by feature.

    Attributes:
        most_distance: the greatest difference of the distribution functions (Kolmogorov and Smirnov), in (0, 1); a
            missing value is one of its own, beyond all others, so that the share missing counts too.
        action: what happens beyond it: ``hold`` waits for somebody to look, ``roll_back`` goes back.
        items: whether features that differ between the items of an answer count, by the item ranked first. A model
            that ranks otherwise has other items there, without any fault; so they are told, and not judged.
    """

    most_distance: Share = 0.2
    action: Literal["hold", "roll_back"] = "hold"
    items: bool = False


class Checks(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is looked at; null: it is not.

    Attributes:
        alpha: chance, over all looks of the whole rollout, that a version is rolled back that does no harm.
        latency: one quantile, or several.
        guardrails: beside the metric, which alone says when a step may be left.
        errors, scores, drift, metric: see each.
    """

    alpha: Share = 0.01
    errors: ErrorCheck | None = ErrorCheck()
    latency: LatencyCheck | tuple[LatencyCheck, ...] | None = LatencyCheck()
    scores: ScoreCheck | None = ScoreCheck()
    drift: DriftCheck | None = DriftCheck()
    metric: MetricCheck | None = MetricCheck()
    guardrails: tuple[GuardrailCheck, ...] = ()

    @property
    def latencies(self) -> tuple[LatencyCheck, ...]:
        """The quantiles of latency that are looked at."""
        if self.latency is None:
            return ()
        return (self.latency,) if isinstance(self.latency, LatencyCheck) else self.latency

    @property
    def columns(self) -> dict[str, str]:
        """The columns of interactions that count, by the field of the plan that names each."""
        metric = {} if self.metric is None else {"checks.metric.name": self.metric.name}
        return metric | {f"checks.guardrails[{n}].name": each.name for n, each in enumerate(self.guardrails)}
