"""What the analysis says, check by check and as a whole, and how the chance of a false alarm is shared out."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from orita.delivery.rollouts.plan import RolloutPlan
from orita.delivery.rollouts.rollout import Verdict

__all__ = ["CheckFinding", "Finding", "Levels", "Says", "period_level"]

Says = Literal["harm", "beyond", "fine", "waiting"]

_METRIC_PART = 0.5


class CheckFinding(Struct, frozen=True, kw_only=True):
    """What one check says of one version.

    Attributes:
        check: ``errors``, ``latency``, ``scores``, ``metric``, or ``split`` of all versions.
        version: the challenger.
        says: ``harm`` is proven; ``beyond`` its limit, which holds the rollout and takes nothing back; ``fine``;
            ``waiting`` for users.
        why: the same in words.
        evidence: the figures.
    """

    check: str
    version: str
    says: Says
    why: str
    evidence: dict[str, Any] = {}


class Finding(Struct, frozen=True, kw_only=True):
    """What is said of a rollout.

    Attributes:
        verdict: what to do.
        why: in words.
        checks: what it rests on.
        left_out: users whom the metric could not count.
    """

    verdict: Verdict
    why: str
    checks: tuple[CheckFinding, ...] = ()
    left_out: int = 0

    @property
    def evidence(self) -> dict[str, Any]:
        """The figures by check and version, for control state."""
        told = {f"{each.check} {each.version}": {"says": each.says, **each.evidence} for each in self.checks}
        left_out = {"left_out": self.left_out} if self.left_out else {}
        return {"verdict": self.verdict, **left_out, "checks": told}


class Levels(Struct, frozen=True, kw_only=True):
    """The chance of a false alarm that each check of each challenger has, over all its looks.

    Checks that can take a version back share ``checks.alpha``, so that all of them together are wrong at most that
    often: the metric has one half, as its harm is the hardest to see, the others have equal parts of the rest; without
    a metric they have all. Several challengers share each part equally. Scores that only hold have an alpha of their
    own: they take nothing back.

    Attributes:
        errors, latency, scores, metric: of each; None: not looked at. That of a metric that takes nothing back, as in
            an A/B test, is that of its interval.
    """

    errors: float | None
    latency: float | None
    scores: float | None
    metric: float | None

    @classmethod
    def of(cls, plan: RolloutPlan) -> Levels:
        """Return the levels of the checks of *plan*."""
        checks, versions = plan.checks, len(plan.versions)
        metric = checks.metric is not None and plan.strategy in ("canary", "segment")
        going_back = checks.scores is not None and checks.scores.action == "roll_back"
        guards = (checks.errors is not None) + (checks.latency is not None) + going_back
        rest = checks.alpha * (_METRIC_PART if metric else 1.0)
        each = rest / max(guards, 1) / versions
        of_metric = checks.alpha * ((_METRIC_PART if guards else 1.0) if metric else 1.0) / versions
        return cls(
            errors=each if checks.errors is not None else None,
            latency=each if checks.latency is not None else None,
            scores=None if checks.scores is None else each if going_back else checks.alpha / versions,
            metric=of_metric if checks.metric is not None else None,
        )


def period_level(level: float, period: int) -> float:
    """Return what of *level* a period of the guards has: all periods together have it once, however many come."""
    return level / ((period + 1) * (period + 2))
