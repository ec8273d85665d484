"""What the analysis says, check by check and as a whole, and how the chance of a false alarm is shared out."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from orita.delivery.rollouts.plan import RolloutPlan
from orita.delivery.rollouts.rollout import Verdict

__all__ = ["CheckFinding", "Finding", "Levels", "Says", "period_level"]

Says = Literal["harm", "beyond", "acknowledged", "fine", "waiting"]

_OUTCOMES_PART = 0.5


class CheckFinding(Struct, frozen=True, kw_only=True):
    """What one check says of one version.

    Attributes:
        check: ``errors``, ``answers``, ``latency`` (``latency p99`` where several quantiles are looked at), ``scores``,
            ``drift``, ``metric``, ``guardrail`` and its name, or ``split`` of all versions.
        version: the challenger.
        says: ``harm`` is proven; ``beyond`` its limit, which holds the rollout and takes nothing back;
            ``acknowledged``: beyond it, and somebody said that it is meant; ``fine``; ``waiting`` for users.
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
        behind: answers that were routed by a split of before, when servers should have heard of the present one.
    """

    verdict: Verdict
    why: str
    checks: tuple[CheckFinding, ...] = ()
    left_out: int = 0
    behind: int = 0

    @property
    def evidence(self) -> dict[str, Any]:
        """The figures by check and version, for control state."""
        told = {
            f"{each.check} {each.version}": {"says": each.says, "why": each.why, **each.evidence}
            for each in self.checks
        }
        counts = {name: count for name, count in (("left_out", self.left_out), ("behind", self.behind)) if count}
        return {"verdict": self.verdict, **counts, "checks": told}


class Levels(Struct, frozen=True, kw_only=True):
    """The chance of a false alarm that each check of each challenger has, over all its looks.

    Checks that can take a version back share ``checks.alpha``, so that all of them together are wrong at most that
    often: what users do (the metric and the guardrails, in equal parts) has one half, as its harm is the hardest to
    see, the others have equal parts of the rest, that of errors divided among answers that failed and answers that are
    missing, latency's among its quantiles; where one of both is not looked at, the other has all. Several challengers
    share each part equally. Scores and drift that only hold have an alpha of their own: they take nothing back.

    Attributes:
        errors, answers, latency, scores, drift, metric, guardrail: of each, of each quantile, of each guardrail; None:
            not looked at. Of a metric or guardrail that takes nothing back, as in an A/B test, that of its interval.
    """

    errors: float | None
    answers: float | None
    latency: float | None
    scores: float | None
    drift: float | None
    metric: float | None
    guardrail: float | None

    @classmethod
    def of(cls, plan: RolloutPlan) -> Levels:
        """Return the levels of the checks of *plan*."""
        checks, versions = plan.checks, len(plan.versions)
        quantiles, outcomes = len(checks.latencies), (checks.metric is not None) + len(checks.guardrails)
        back = {each for each in (checks.scores, checks.drift) if each is not None and each.action == "roll_back"}
        guards = (checks.errors is not None) + bool(quantiles) + len(back)
        judged = bool(outcomes) and plan.strategy in ("canary", "segment")
        guard = checks.alpha * (1 - _OUTCOMES_PART if judged else 1.0) / max(guards, 1) / versions
        errors = None if checks.errors is None else guard / 2 if plan.splits_users else guard
        outcome = checks.alpha * (_OUTCOMES_PART if judged and guards else 1.0) / max(outcomes, 1) / versions
        own = checks.alpha / versions
        return cls(
            errors=errors,
            answers=errors if plan.splits_users else None,
            latency=guard / quantiles if quantiles else None,
            scores=None if checks.scores is None else guard if checks.scores in back else own,
            drift=None if checks.drift is None else guard if checks.drift in back else own,
            metric=outcome if checks.metric is not None else None,
            guardrail=outcome if checks.guardrails else None,
        )


def period_level(level: float, period: int) -> float:
    """Return what of *level* a period of the guards has: all periods together have it once, however many come."""
    return level / ((period + 1) * (period + 2))
