"""Guards of a bandit go on over new shares, and what came at other times is no challenger's doing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from orita.delivery.rollouts import Checks, DriftCheck, LatencyCheck, RolloutPlan, ScoreCheck
from orita.delivery.rollouts.analysis import Analysis
from orita.delivery.rollouts.looks import FirstItems, GuardCounts, Look, Stage
from orita.delivery.rollouts.thinning import Thinning, chance_of_users

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
MINUTES = ((50.0, 10.0), (70.0, 40.0), (85.0, 80.0), (95.0, 120.0))  # share of b, latency of the time in ms
PLAN = RolloutPlan(
    strategy="bandit",
    versions=("b",),
    shares=(50,),
    checks=Checks(
        errors=None,
        latency=LatencyCheck(quantile=0.5, most_more_ms=10),
        scores=ScoreCheck(most_distance=0.1),
        drift=DriftCheck(most_distance=0.1),
        metric=None,
    ),
)


def users(n: int, latency: float, random: np.random.Generator) -> GuardCounts:
    """Return users of a version at a time that has such latencies, scores and features."""
    hour = latency + random.normal(0, 1, n)
    given = FirstItems(("hour",), hour[:, None].astype(np.float32), np.zeros(1, bool), random.random(n), np.ones(n))
    return GuardCounts(np.zeros(n, bool), latency * random.lognormal(0, 0.1, n), hour, given, random.random(n))


def judged(*, slower: float = 0.0, a_second: int = 60, minutes: int = 4, seed: int = 0) -> dict[str, str]:
    """Return what checks say after some minutes of one period, at shares that rose each minute."""
    random, analysis = np.random.default_rng(seed), Analysis(PLAN, "a")
    for number, (share, latency) in enumerate(MINUTES[:minutes]):
        since = AT + timedelta(minutes=number)
        stage = Stage(number, 0, since, {"a": 100 - share, "b": share})
        for second in range(1, 61):
            treated = random.binomial(a_second, share / 100)
            guards = {
                "a": users(a_second - treated, latency, random),
                "b": users(treated, latency + slower, random),
            }
            answered = {version: len(each.failed_U) for version, each in guards.items()}
            analysis.take(Look(since + timedelta(seconds=second), stage, 0, answered, guards, answered))
    return {each.check: each.says for each in analysis.checks}


def test_the_time_is_no_harm() -> None:
    """Latencies, scores and features of the busy time are given mostly by the version that has most users by then."""
    assert judged() == {"latency": "fine", "scores": "fine", "drift": "fine"}


def test_what_is_slower_is_found_over_several_shares() -> None:
    """A minute's users do not prove it, those of all minutes together do."""
    said = [judged(slower=60.0, a_second=1, minutes=minutes)["latency"] for minutes in (1, 4)]
    assert said == ["fine", "harm"]


@pytest.mark.parametrize("share", [20.0, 50.0, 80.0])
def test_odds_stay_those_of_the_beginning(share: float) -> None:
    """Of the version that has more, a part is kept, of the other all; without new shares both have all."""
    random, thinning = np.random.default_rng(1), Thinning("a", "b")
    thinning.begin({"a": 50.0, "b": 50.0})
    given = {"a": users(round(100 * (100 - share)), 1.0, random), "b": users(round(100 * share), 1.0, random)}
    kept = thinning.kept(given, {"a": 100 - share, "b": share})
    sizes = [len(each.failed_U) for each in kept if each is not None]
    assert sizes == pytest.approx([100 * min(share, 100 - share)] * 2, rel=0.05)
    for each in kept:
        assert each is not None and each.features is not None
        assert len(each.features.chance_U) == pytest.approx(len(each.failed_U), rel=0.05)
        assert each.features.chance_U.max() == pytest.approx(1, abs=0.01)


def test_a_period_that_began_without_one_of_them_keeps_all() -> None:
    """There is nobody to compare with, and nothing to hold to."""
    thinning = Thinning("a", "b")
    thinning.begin({"b": 100.0})
    given = {"b": users(10, 1.0, np.random.default_rng(1))}
    assert thinning.kept(given, {"b": 100.0}) == (None, given["b"])
    assert thinning.kept({}, {"a": 50.0, "b": 50.0}) == (None, None)


def test_chances_are_of_the_bits_below_the_slots() -> None:
    """Users who share a slot have chances of their own."""
    assert chance_of_users(np.array([0, 1 << 63, 1 << 39, (1 << 40) - 1], np.uint64)).tolist() == pytest.approx(
        [0.0, 0.0, 0.5, 1.0]
    )
