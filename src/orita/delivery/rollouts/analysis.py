"""What a rollout's evidence says: go on, wait, or go back. Pure: it is given looks, and knows no files and no clock.

    analysis = Analysis(rollout.plan, rollout.champion)
    for look in looks:
        analysis.take(look)
    analysis.judge(rollout, now).verdict        # not_enough_traffic, hold, advance, roll_back

The same looks in the same order give the same verdict, so a controller that died replays them. Every test holds at
every look, and tests of different checks share the chance of a false alarm (`orita.delivery.rollouts.findings`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from orita.delivery.bandits.shares import ArmRewards, arm_shares
from orita.delivery.rollouts.acknowledgements import how_to_acknowledge, with_acknowledgements
from orita.delivery.rollouts.champion_counts import LEAST_BEFORE
from orita.delivery.rollouts.checks import Checks, MetricCheck
from orita.delivery.rollouts.drift import DriftGuard
from orita.delivery.rollouts.findings import CheckFinding, Finding, Levels
from orita.delivery.rollouts.flow import AnswerFlow
from orita.delivery.rollouts.guardrails import Guardrail
from orita.delivery.rollouts.guards import ErrorGuard, Guard, LatencyGuard
from orita.delivery.rollouts.leaving import AnswersExcluded, ErrorsExcluded, Excluding, LatencyExcluded
from orita.delivery.rollouts.looks import SPLIT_SETTLES, Look, Stage
from orita.delivery.rollouts.metric import MetricTest, margin
from orita.delivery.rollouts.missing_answers import MissingAnswers
from orita.delivery.rollouts.plan import RolloutPlan
from orita.delivery.rollouts.rewards import ArmTotals
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.scores import ScoreGuard
from orita.delivery.rollouts.split_check import SplitCheck
from orita.delivery.rollouts.thinning import Thinning

__all__ = ["Analysis"]

_SETTLED = 60.0  # seconds after the window by which the first outcomes of a step are counted
_LEAST_REWARDS = 100.0  # shown items of each version, as if independent, before shares follow
_DEFAULT_LEAST = 500  # answers of a version that has no steps, before it is promoted


class Analysis:
    """What is known of one rollout.

    Args:
        plan: of the rollout.
        champion: the version that others are compared with.
    """

    def __init__(self, plan: RolloutPlan, champion: str) -> None:
        self._plan, self._champion = plan, champion
        levels = Levels.of(plan)
        checks, versions = plan.checks, plan.versions
        self._guards = tuple(guard for version in versions for guard in _guards(checks, version, levels))
        self._thinned = {version: Thinning(champion, version) for version in versions}
        self._metric = [self._metric_of(checks.metric, v, levels) for v in versions if checks.metric]
        self._guardrails = [
            Guardrail(each, champion, v, level=levels.guardrail, takes_back=self._takes_back)
            for v in versions
            for each in checks.guardrails
            if levels.guardrail is not None
        ]
        self._split = SplitCheck(plan)
        self._flow = AnswerFlow(champion)
        self._missing = [MissingAnswers(champion, v, levels.answers) for v in versions if levels.answers is not None]
        self._excluding = [each for version in versions for each in self._excluding_of(version)]
        self._rewards = {version: ArmTotals() for version in (champion, *versions)}
        self._shares: dict[int, dict[str, float]] = {}
        self._stage: Stage | None = None
        self._period = -1
        self._answered = dict.fromkeys(versions, 0)
        self._before = self._left_out = self._behind = 0

    def take(self, look: Look) -> None:
        """Add what a look has found."""
        beside = look.stage.shares.get(self._champion, 0.0) > 0
        if self._stage is None or look.stage.number != self._stage.number:
            self._enter(look.stage)
        if look.period != self._period:
            self._begin_period(look, beside=beside)
        self._take_users(look, beside=beside)
        self._left_out = look.left_out
        self._behind += look.behind if look.at - look.stage.since >= SPLIT_SETTLES else 0
        for version in self._answered:
            self._answered[version] += look.answered.get(version, 0)
        for guardrail in self._guardrails:
            for batch in look.guardrails.get(guardrail.name, ()):
                guardrail.take(batch)
        for batch in look.metric:
            for metric in self._metric:
                metric.take(batch)
            for version, counts in batch.counts.items():
                self._rewards[version] += ArmTotals.of(counts, self._shares[batch.stage].get(version, 0.0))

    def _take_users(self, look: Look, *, beside: bool) -> None:
        """Count the users of a look; *beside*: somebody has the champion."""
        self._split.take(look)
        self._flow.take(look)
        for missing in self._missing:
            missing.take(look)
        control = look.guards.get(self._champion)
        pooled = {version: each.kept(look.guards, look.stage.shares) for version, each in self._thinned.items()}
        for guard in self._guards:
            guard.take(*(pooled[guard.version] if guard.pools else (control, look.guards.get(guard.version))))
        if not beside:
            return
        for excluding in self._excluding:
            excluding.take(look)
        if control is not None:
            self._before += len(control.failed_U)

    @property
    def checks(self) -> tuple[CheckFinding, ...]:
        """What each check says of each challenger."""
        of_outcomes = [*(each.finding for each in self._guardrails), *(each.finding for each in self._metric)]
        split = self._split.finding
        of_users = [*(each.finding for each in self._missing), *([] if split is None else [split])]
        return (*(guard.finding for guard in self._guards), *of_users, *of_outcomes)

    def judge(self, rollout: Rollout, now: datetime) -> Finding:
        """Return what is to be done with *rollout*, as it is *now*."""
        return msgspec.structs.replace(self._judged(rollout, now), left_out=self._left_out, behind=self._behind)

    def _judged(self, rollout: Rollout, now: datetime) -> Finding:
        checks = with_acknowledgements(self.checks, rollout)
        harm = [each.why for each in checks if each.says == "harm"]
        if harm:
            return Finding(verdict="roll_back", why="; ".join(harm) + ".", checks=checks)
        if self._stage is None or self._stage.step != rollout.step:
            why = "Nothing is counted yet in this step."
            return Finding(verdict="not_enough_traffic", why=why, checks=checks)
        for finding in self._reasons(rollout, now, checks):
            return finding
        return Finding(verdict="advance", why=self._good(rollout), checks=checks)

    def wanted_shares(self, least_share: float) -> dict[str, float] | None:
        """Return percent by version, as likely as each is to have the best metric, and *least_share* at least.

        None until each has outcomes to go by: a version of which nothing is known is as likely the best as any.
        """
        effect = max(self._effects(), default=1.0)
        rewards = {version: self._rewards[version].rewards(effect) for version in self._rewards}
        if min(count for count, _ in rewards.values()) < _LEAST_REWARDS:
            return None
        known = {version: ArmRewards(count, mean) for version, (count, mean) in rewards.items()}
        return arm_shares(known, floor=least_share)

    def _reasons(self, rollout: Rollout, now: datetime, checks: tuple[CheckFinding, ...]) -> Iterator[Finding]:
        """Yield what keeps the rollout from going on, the first first."""

        def finding(verdict: str, why: str) -> Finding:
            return Finding(verdict="hold" if verdict == "hold" else "not_enough_traffic", why=why, checks=checks)

        beyond = [each for each in checks if each.says == "beyond"]
        if beyond:
            told = "; ".join(each.why for each in beyond)
            yield finding("hold", f"{told}: somebody has to look. {how_to_acknowledge(beyond)}")
        match self._plan.strategy:
            case "ab":
                yield finding("hold", "Figures are for people to decide on: 'orita rollout promote' or 'abort'.")
            case "bandit":
                yield finding("hold", "Shares follow the metric until somebody promotes a version or aborts.")
            case "segment":
                yield finding("hold", "No harm is proven; a segment stays as it is until somebody decides.")
            case "blue_green" if rollout.step == 0:
                yield finding("hold", "The version is ready: 'orita rollout advance' sends it everything.")
        if self._missing_before(rollout):
            yield finding(
                "not_enough_traffic",
                f"Before the switch the champion answered {self._before:,} users, {LEAST_BEFORE} are needed to compare "
                "with: promote or abort by hand.",
            )
        if fewer := self._flow.lacks(now):
            yield finding("hold", f"{fewer}.")
        if missing := self._missing_answers(rollout, now):
            yield finding("not_enough_traffic", missing)
        until = rollout.since + timedelta(seconds=self._least_seconds(rollout))
        if now < until:
            yield finding("hold", f"No harm is proven; the step lasts until {until:%Y-%m-%d %H:%M:%S} UTC at least.")
        if self._plan.strategy == "canary" and not rollout.last_step:
            yield from (finding(*each) for each in self._margins(rollout, now))
            share = self._plan.steps[rollout.step].share
            lacking = [lack for each in self._excluding if (lack := each.lacks(share)) is not None]
            if proven := [lack.what for lack in lacking if lack.proven]:
                ways = "'orita rollout advance' goes on all the same, 'abort' goes back"
                yield finding("hold", f"It is proven {'; and '.join(proven)}: somebody has to look; {ways}.")
            if lacking:
                told = "; nor ".join(lack.what for lack in lacking)
                yield finding("not_enough_traffic", f"It cannot be excluded yet {told}.")

    def _margins(self, rollout: Rollout, now: datetime) -> Iterator[tuple[str, str]]:
        """Yield what the metric lacks for the step to be left."""
        check, share = self._plan.checks.metric, self._plan.steps[rollout.step].share
        for metric in self._metric:
            assert check is not None
            if metric.excluded(share):
                continue
            wanted, done = 100 * margin(check, share), metric.progress(share)
            told = metric.finding.why
            if done < 1:
                waiting = self._waiting(metric.version, check, now - rollout.since)
                left = _left(done, metric.progress_in_step(share), rollout.since, now, waiting)
                yield (
                    "not_enough_traffic",
                    f"A loss of {wanted:g} % of {check.name} cannot be excluded yet: there is {100 * done:.0f} % of "
                    f"the traffic that a version without loss needs{left}. {told}.",
                )
            yield "hold", f"A loss of {wanted:g} % of {check.name} is not excluded, with traffic enough. {told}."

    def _waiting(self, version: str, check: MetricCheck, passed: timedelta) -> str:
        """Say what becomes of a step's answers of which no outcome is counted yet; empty: there are none."""
        came, window = self._answered[version], check.window_seconds
        if not came:
            return ""
        if passed.total_seconds() > window + _SETTLED:
            return f"of {came:,} answers of {version} in this step none is of a user who counts for it"
        return (
            f"{came:,} answers of {version} in this step count once the {_told_seconds(window)} for outcomes are over"
        )

    def _missing_answers(self, rollout: Rollout, now: datetime) -> str:
        least = self._plan.steps[rollout.step].least_requests if self._plan.strategy == "canary" else _DEFAULT_LEAST
        for version, answered in self._answered.items():
            if answered < least:
                left = _left(answered / least if least else 1.0, answered / least if least else 1.0, rollout.since, now)
                return f"{version} answered {answered:,} requests in this step, {least:,} are needed{left}."
        return ""

    def _missing_before(self, rollout: Rollout) -> bool:
        return self._plan.strategy == "blue_green" and rollout.step > 0 and self._before < LEAST_BEFORE

    def _least_seconds(self, rollout: Rollout) -> float:
        if rollout.last_step:
            return self._plan.soak_seconds
        return self._plan.steps[rollout.step].least_seconds

    def _good(self, rollout: Rollout) -> str:
        told = "; ".join(each.why for each in self.checks if each.check.startswith(("metric", "guardrail ")))
        done = "no harm was found at the whole share" if rollout.last_step else "the step is done without harm"
        return f"{done[0].upper()}{done[1:]}. {told}".strip()

    def _begin_period(self, look: Look, *, beside: bool) -> None:
        self._period = look.period
        for guard in self._guards:
            guard.begin(look.period, beside=beside)
        for thinning in self._thinned.values():
            thinning.begin(look.stage.shares)

    def _enter(self, stage: Stage) -> None:
        if self._stage is None or stage.step != self._stage.step:
            self._answered = dict.fromkeys(self._answered, 0)
            for metric in self._metric:
                metric.enter()
            for excluding in self._excluding:
                excluding.enter()
        self._stage, self._behind = stage, 0
        self._shares[stage.number] = dict(stage.shares)

    def _excluding_of(self, version: str) -> Iterator[Excluding]:
        checks, champion = self._plan.checks, self._champion
        if self._plan.strategy != "canary":
            return
        level, shares = checks.alpha, tuple(step.share for step in self._plan.steps[:-1])
        if checks.errors is not None:
            yield ErrorsExcluded(checks.errors, champion, version, shares=shares, level=level)
        if checks.latencies:
            yield LatencyExcluded(checks.latencies, champion, version, level=level)
        if self._missing:
            yield AnswersExcluded(champion, version, level=level)

    def _metric_of(self, check: MetricCheck, version: str, levels: Levels) -> MetricTest:
        canary = self._plan.strategy == "canary"
        shares = tuple(step.share for step in self._plan.steps[:-1]) if canary else ()
        assert levels.metric is not None
        return MetricTest(
            check,
            self._champion,
            version,
            shares=shares,
            level=levels.metric,
            leave_level=self._plan.checks.alpha,
            takes_back=self._takes_back,
        )

    @property
    def _takes_back(self) -> bool:
        """Whether what users do takes a version back."""
        # Users of one household or session share their version: the tests would take them for independent.
        return self._plan.strategy in ("canary", "segment") and self._plan.by == ("user_id",)

    def _effects(self) -> Iterator[float]:
        for metric in self._metric:
            yield metric.effect


def _guards(checks: Checks, version: str, levels: Levels) -> Iterator[Guard]:
    if checks.errors is not None and levels.errors is not None:
        yield ErrorGuard(checks.errors, version, levels.errors)
    for latency in checks.latencies:
        assert levels.latency is not None
        name = "latency" if len(checks.latencies) == 1 else f"latency p{100 * latency.quantile:g}"
        yield LatencyGuard(latency, version, levels.latency, name)
    if checks.scores is not None and levels.scores is not None:
        yield ScoreGuard(checks.scores, version, levels.scores)
    if checks.drift is not None and levels.drift is not None:
        yield DriftGuard(checks.drift, version, levels.drift)


def _left(done: float, done_in_stage: float, since: datetime, now: datetime, waiting: str = "") -> str:
    """Say how long what is left takes at the pace of the present step; *waiting*: who came and does not count yet."""
    passed = (now - since).total_seconds()
    if done_in_stage <= 0 or passed <= 0:
        return f", and {waiting or 'nothing came in this step'}"
    return f", about {_told_seconds((1 - done) * passed / done_in_stage)} more at the present rate"


def _told_seconds(seconds: float) -> str:
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
