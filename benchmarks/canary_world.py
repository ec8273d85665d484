"""A simulated canary: users come, dice give them a version, the analysis looks, and the rollout moves.

Legend: U users of one look, I items of an answer, C columns of outcomes.

Only what moves the rollout in control state is replaced by a line; looks, tests and verdicts are those of the
controller, and so is how outcomes that come late are joined: an answer counts for the metric when the window for its
outcomes is over. Without a population every answer goes to a user who was never seen. With one, users return at a pace
of their own, like what they like, and some of them always fail or are always slow, whatever the version.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from benchmarks.canary_outcomes import LateOutcomes
from msgspec.structs import replace

from orita.core.clock import to_micros
from orita.delivery.assignment.split import Split
from orita.delivery.rollouts import (
    Checks,
    DriftCheck,
    GuardrailCheck,
    LatencyCheck,
    MetricCheck,
    Rollout,
    RolloutPlan,
    ScoreCheck,
)
from orita.delivery.rollouts.analysis import Analysis
from orita.delivery.rollouts.evidence import PERIOD_SECONDS
from orita.delivery.rollouts.looks import FirstItems, GuardCounts, Look, Stage
from orita.delivery.rollouts.seen_users import CountedInPeriod, CountedInStep
from orita.delivery.rollouts.shown_items import METRIC
from orita.stats.sequential.rate_comparison import RateComparison

OLD, NEW = "v1.0.0", "v1.1.0"
BEGAN = datetime(2024, 11, 15, tzinfo=UTC)
ERRORS = 0.001
COMPLAINTS = 0.002
FEATURES = ("age", "visits", "hour", "spent", "tenure")
EVERYTHING = Checks(
    latency=tuple(LatencyCheck(quantile=quantile, most_more_ms=1.0) for quantile in (0.5, 0.95, 0.99)),
    scores=ScoreCheck(action="roll_back"),
    drift=DriftCheck(action="roll_back"),
    guardrails=(GuardrailCheck(name="hide", direction="down"), GuardrailCheck(name="revenue", kind="mean")),
)
"""All that can take a version back: of each look, features of 50 users of each version."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Population:
    """Users who return; what each of them is, versions have no part in."""

    users: int = 60_000
    always_fail: float = 0.002


@dataclass(frozen=True)
class Scenario:
    """What is simulated.

    Attributes:
        lift: of the new version's click rate, relative.
        ctr: click rate of an item.
        items: in an answer.
        per_second: answers.
        look_seconds: between two looks.
        delay_seconds: from an answer to a click on average, exponentially distributed.
        window_seconds: clicks count until so long after the answer.
        impressions: after so many it ends.
        alpha: of the rollout.
        population: users who return; None: each answer has a user of its own.
        everything: whether all checks of `EVERYTHING` are on.
        spending: what users of the new version spend, ÷ what others do; 3 % of them spend anything.
    """

    lift: float
    ctr: float = 0.1
    items: int = 10
    per_second: int = 10
    look_seconds: int = 30
    delay_seconds: float = 60.0
    window_seconds: float = 1800.0
    impressions: int = 2_000_000
    alpha: float = 0.01
    population: Population | None = None
    everything: bool = False
    spending: float = 1.0

    @property
    def checks(self) -> Checks:
        """What is looked at."""
        checks = EVERYTHING if self.everything else Checks()
        guardrails = tuple(replace(each, window_seconds=self.window_seconds) for each in checks.guardrails)
        metric = MetricCheck(window_seconds=self.window_seconds)
        return replace(checks, alpha=self.alpha, metric=metric, guardrails=guardrails)


@dataclass(frozen=True)
class Ended:
    """How a simulated rollout ended.

    Attributes:
        state: ``running``, ``promoted`` or ``rolled_back``.
        share: percent that the new version had at the end.
        impressions: that were used.
        hours: that it took.
        checks: that it was rolled back for.
        by_rows: whether a test that takes rows for independent would have rolled it back at some look.
    """

    state: str
    share: float
    impressions: int
    hours: float
    checks: tuple[str, ...]
    by_rows: bool


@dataclass(frozen=True)
class _Came:
    """Users of one look: hashes, where the dice put them, and what they do with either version."""

    hash_U: npt.NDArray[np.uint64]
    dice_U: Floats
    taste_U: Floats
    fails_U: npt.NDArray[np.bool_]
    latency_U: Floats


class _Users:
    def __init__(self, scenario: Scenario, random: np.random.Generator) -> None:
        self._scenario, self._random = scenario, random
        population = scenario.population
        if population is not None:
            n, ctr = population.users, scenario.ctr
            pace_U = random.gamma(0.7, 1.0, n)
            self._cumulative = np.cumsum(pace_U) / pace_U.sum()
            self._hash = random.integers(0, 1 << 64, n, dtype=np.uint64)
            self._dice = random.random(n)
            self._taste = random.beta(1, 1 / ctr - 1, n)
            self._fails = random.random(n) < population.always_fail
            self._slow = random.lognormal(0, 0.5, n)

    def come(self) -> _Came:
        """Return who comes until the next look."""
        random, n = self._random, self._scenario.per_second * self._scenario.look_seconds
        latency_U = random.lognormal(np.log(12.0), 0.3, n)
        fails_U = random.random(n) < ERRORS
        if self._scenario.population is None:
            hashes = random.integers(0, 1 << 64, n, dtype=np.uint64)
            return _Came(hashes, random.random(n), np.full(n, self._scenario.ctr), fails_U, latency_U)
        who = np.searchsorted(self._cumulative, random.random(n))
        return _Came(
            self._hash[who],
            self._dice[who],
            self._taste[who],
            fails_U | self._fails[who],
            latency_U * self._slow[who],
        )


class _Looks:
    """Makes looks as the controller's evidence does, of users instead of logs."""

    def __init__(self, scenario: Scenario, random: np.random.Generator) -> None:
        self._scenario, self._random = scenario, random
        self._users = _Users(scenario, random)
        self._guarded, self._counted = CountedInPeriod(), CountedInStep()
        self._outcomes = LateOutcomes(scenario.checks, (OLD, NEW), scenario.delay_seconds, random)
        self._period, self._began, self._stage = 0, BEGAN, 0
        self._rows = RateComparison.start([1.0], kind="ratio")

    def next(self, stage: Stage, at: datetime) -> Look:
        """Return the look at what happened up to *at* since the one before."""
        if stage.number != self._stage or (at - self._began).total_seconds() > PERIOD_SECONDS:
            self._period, self._began, self._stage = self._period + 1, at, stage.number
        came = self._users.come()
        new_U = came.dice_U < stage.shares[NEW] / 100
        value_UIC = self._values(came, new_U)
        score_U = self._random.normal(size=len(new_U))
        guards, counted = {}, self._guarded.first(came.hash_U, self._period)
        for version, has_U in ((OLD, ~new_U), (NEW, new_U)):
            of_U = counted[has_U[counted]]
            guards[version] = GuardCounts(
                came.fails_U[of_U], came.latency_U[of_U], score_U[of_U], self._features(min(len(of_U), 50))
            )
        self._add_rows(value_UIC[:, :, 0].sum(axis=1), new_U)
        place_U, fresh_U = self._counted.first(came.hash_U, new_U, stage.step)
        until = to_micros(at)
        self._outcomes.show(
            self._times(until, len(new_U))[place_U],
            new_U[place_U].astype(np.int64),
            fresh_U,
            value_UIC[place_U],
            stage=stage.number,
            until=until,
        )
        closed = dict(self._outcomes.closed(until))
        return Look(
            at,
            stage,
            self._period,
            answered=_by_version(new_U),
            guards=guards,
            newcomers=_by_version(new_U[place_U[fresh_U]]),
            returned=_by_version(new_U[place_U[~fresh_U]]),
            metric=closed.pop(METRIC, ()),
            guardrails=closed,
        )

    def _times(self, until: int, answers: int) -> npt.NDArray[np.int64]:
        """Return when the answers of a look were given, one after the other."""
        seconds = (np.arange(answers) - answers) / self._scenario.per_second
        return until + (seconds * 1e6).astype(np.int64)

    def _values(self, came: _Came, new_U: npt.NDArray[np.bool_]) -> Floats:
        """Return what users do with the items that they are shown: clicks, and of all checks hides and money."""
        scenario, random = self._scenario, self._random
        rate_U = np.minimum(np.where(new_U, came.taste_U * (1 + scenario.lift), came.taste_U), 1)
        users, items = len(new_U), scenario.items
        value_UIC = np.zeros((users, items, len(self._outcomes.columns)))
        value_UIC[:, :, 0] = random.random((users, items)) < rate_U[:, None]
        if scenario.everything:
            value_UIC[:, :, 1] = random.random((users, items)) < COMPLAINTS
            spent_U = np.where(random.random(users) < 0.03, random.lognormal(3, 1.2, users), 0.0)
            value_UIC[:, 0, 2] = np.where(new_U, scenario.spending, 1.0) * spent_U
        return value_UIC

    def _features(self, users: int) -> FirstItems | None:
        if not self._scenario.everything:
            return None
        x_UF = self._random.standard_normal((users, len(FEATURES)), np.float32)
        return FirstItems(FEATURES, x_UF, np.zeros(len(FEATURES), bool), self._random.random(users), np.ones(users))

    def _add_rows(self, clicks_U: Floats, new_U: npt.NDArray[np.bool_]) -> None:
        if self._scenario.population is not None:
            items = self._scenario.items
            old, new = clicks_U[~new_U], clicks_U[new_U]
            self._rows = self._rows.updated(len(old) * items, old.sum(), len(new) * items, new.sum())

    def rolled_back_by_rows(self) -> bool:
        """Whether rows, taken for independent, have shown a loss at a look so far."""
        return bool(self._rows.p_below[0] <= self._scenario.alpha)


def simulate(scenario: Scenario, seed: int) -> Ended:
    """Return how one rollout ends."""
    looks = _Looks(scenario, np.random.default_rng(seed))
    plan = RolloutPlan(strategy="canary", versions=(NEW,), checks=scenario.checks, soak_seconds=0.0)
    rollout = _begun(plan)
    analysis, stage, now, shown = Analysis(plan, OLD), _stage(rollout), BEGAN, 0

    def ended(state: str, checks: tuple[str, ...] = ()) -> Ended:
        hours = (now - BEGAN).total_seconds() / 3600
        share = 100.0 if state == "promoted" else stage.shares[NEW]
        return Ended(state, share, shown, hours, checks, looks.rolled_back_by_rows())

    while shown < scenario.impressions:
        now += timedelta(seconds=scenario.look_seconds)
        shown += scenario.per_second * scenario.look_seconds * scenario.items
        analysis.take(looks.next(stage, now))
        found = analysis.judge(rollout, now)
        if found.verdict == "roll_back":
            return ended("rolled_back", tuple(each.check for each in found.checks if each.says == "harm"))
        if found.verdict == "advance":
            if rollout.last_step:
                return ended("promoted")
            share = plan.steps[rollout.step + 1].share
            split = rollout.split.reweighted({NEW: share, OLD: 100 - share})
            rollout = replace(rollout, step=rollout.step + 1, split=split, since=now)
            stage = _stage(rollout)
    return ended("running")


def _begun(plan: RolloutPlan) -> Rollout:
    share = plan.steps[0].share
    return Rollout(
        id="simulated",
        system="feed",
        plan=plan,
        champion=OLD,
        state="running",
        step=0,
        split=Split.of({NEW: share, OLD: 100 - share}),
        started_at=BEGAN,
        since=BEGAN,
    )


def _stage(rollout: Rollout) -> Stage:
    return Stage(rollout.step, rollout.step, rollout.since, rollout.shares)


def _by_version(new_U: npt.NDArray[np.bool_]) -> dict[str, int]:
    new = int(new_U.sum())
    return {OLD: len(new_U) - new, NEW: new}
