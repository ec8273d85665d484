"""Makes looks of users that come, one a second, and asks the analysis what it says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from msgspec.structs import replace

from orita.delivery.assignment.split import Split
from orita.delivery.rollouts import Rollout, RolloutPlan, Step
from orita.delivery.rollouts.analysis import Analysis
from orita.delivery.rollouts.findings import Finding
from orita.delivery.rollouts.looks import FirstItems, GuardCounts, Look, MetricBatch, MetricCounts, Stage

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
STEPS = (Step(10, 0, 100), Step(100, 0, 100))


class Trial:
    """A rollout that is looked at once a second."""

    def __init__(self, plan: RolloutPlan, *, seed: int = 0) -> None:
        weights = plan.first_weights
        self.random = np.random.default_rng(seed)
        self.rollout = Rollout(
            id="r",
            system="feed",
            plan=plan,
            champion="a",
            state="running",
            step=0,
            split=Split.of({**weights, "a": 100 - sum(weights.values())}),
            started_at=AT,
            since=AT,
        )
        self.analysis, self.now = Analysis(plan, "a"), AT
        self.number, self.period = 0, 0
        self.metric_known = True
        self.users = Counter[str]()

    def moved(self, step: int, **weights: float) -> None:
        """Set the shares."""
        self.number += 1
        self.rollout = replace(self.rollout, step=step, split=self.rollout.split.reweighted(weights), since=self.now)

    def seconds(
        self, seconds: int, users: int = 200, *, click: float = 0.2, lift: float = 0.0, **behaviour: Any
    ) -> Finding:
        """Let seconds pass in which *users* come; return what is said then."""
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            stage = Stage(self.number, self.rollout.step, self.rollout.since, self.rollout.shares)
            guards, metric, revenue = {}, {}, {}
            for version, share in stage.shares.items():
                new = version != "a"
                silent = behaviour.get("silent", 0.0) if new else 0.0
                n = self.random.binomial(users, share / 100 * (1 - silent))
                failing, score = (behaviour.get("failing", 0.0), behaviour.get("score", 0.0)) if new else (0.0, 0.0)
                latencies = self.random.lognormal(2.5, 0.2, n) + (behaviour.get("slower", 0.0) if new else 0.0)
                age_UF = self.random.normal(behaviour.get("older", 0.0) if new else 0.0, 1, (n, 1))
                guards[version] = GuardCounts(
                    self.random.random(n) < failing,
                    latencies,
                    self.random.normal(score, 1, n),
                    FirstItems(("age",), age_UF.astype(np.float32), np.zeros(1, bool), np.zeros(n), np.ones(n)),
                )
                rate = click * (1 + lift) if new else click
                metric[version] = MetricCounts.of(np.full(n, 10), self.random.binomial(10, rate, n))
                spent = self.random.gamma(0.5, 1, n) * (behaviour.get("spending", 1.0) if new else 1.0)
                revenue[version] = MetricCounts.of(np.full(n, 10), spent)
                self.users[version] += n
            answered = {version: int((~counts.failed_U).sum()) for version, counts in guards.items()}
            newcomers = {version: len(counts.failed_U) for version, counts in guards.items()}
            batches = (MetricBatch(stage.number, True, metric),) if self.metric_known else ()
            guardrails = {"revenue": (MetricBatch(stage.number, True, revenue),)}
            self.analysis.take(
                Look(
                    self.now,
                    stage,
                    stage.number + self.period,
                    answered,
                    guards,
                    newcomers,
                    batches,
                    guardrails=guardrails,
                )
            )
        return self.analysis.judge(self.rollout, self.now)


def canary(steps: Sequence[Step] = STEPS, **options: Any) -> RolloutPlan:
    """Return a canary of two steps, by default without a soak."""
    return RolloutPlan(strategy="canary", versions=("b",), steps=tuple(steps), **{"soak_seconds": 0.0, **options})
