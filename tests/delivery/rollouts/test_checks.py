"""Each check: what it finds, how soon, and that it finds nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from orita.delivery.rollouts import Checks, ErrorCheck, LatencyCheck, MetricCheck, RolloutPlan, ScoreCheck
from orita.delivery.rollouts.findings import Levels, period_level
from orita.delivery.rollouts.guards import ErrorGuard, LatencyGuard
from orita.delivery.rollouts.looks import GuardCounts, MetricBatch, MetricCounts
from orita.delivery.rollouts.metric import MetricTest, margin
from orita.delivery.rollouts.rates_of_users import design_effect
from orita.delivery.rollouts.scores import ScoreGuard, score_bins

RANDOM = np.random.default_rng(0)
BEGINNING = RANDOM.bit_generator.state


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Let each test draw the same, in whatever order they run."""
    RANDOM.bit_generator.state = BEGINNING


def users(n: int, *, failing: float = 0.0, latency: float = 10.0, score: float = 0.0) -> GuardCounts:
    """Return *n* users of a version."""
    return GuardCounts(
        RANDOM.random(n) < failing, RANDOM.lognormal(np.log(latency), 0.2, n), RANDOM.normal(score, 1.0, n)
    )


def test_levels_share_alpha() -> None:
    """What can take a version back has alpha together: the metric one half, others the rest in equal parts."""
    canary = Levels.of(RolloutPlan(strategy="canary", versions=("b",)))
    assert (canary.metric, canary.latency) == pytest.approx((0.005, 0.0025))
    assert canary.errors == canary.answers == pytest.approx(0.00125)
    assert canary.scores == pytest.approx(0.01)
    back = Checks(scores=ScoreCheck(action="roll_back"), alpha=0.06)
    test = Levels.of(RolloutPlan(strategy="ab", versions=("b", "c"), checks=back))
    assert test.latency == test.scores == pytest.approx(0.01)
    assert test.errors == test.answers == pytest.approx(0.005)
    by_session = Levels.of(RolloutPlan(strategy="ab", versions=("b", "c"), by=("session",), checks=back))
    assert by_session.errors == pytest.approx(0.01)
    assert by_session.answers is None
    alone = Levels.of(RolloutPlan(strategy="canary", versions=("b",), checks=Checks(errors=None, latency=None)))
    assert alone.metric == pytest.approx(0.01)


def test_all_periods_together_have_the_level_once() -> None:
    """The union over ever so many periods is at most the level."""
    assert sum(period_level(0.01, period) for period in range(100_000)) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("period", [0, 500])
def test_a_version_that_always_fails_is_found_in_a_few_users(period: int) -> None:
    """Also in the 500th period, of whose level little is left; so a break in the second week is found as well."""
    guard = ErrorGuard(ErrorCheck(), "b", 0.0025)
    guard.take(users(1000), users(20))
    guard.begin(period, beside=True)
    seen = 0
    while guard.finding.says != "harm":
        guard.take(users(300), users(3, failing=1.0))
        seen += 3
    assert seen <= 15
    assert f"b failed for {seen} of {seen} users" in guard.finding.why


def test_failures_within_what_is_allowed_are_no_harm() -> None:
    """The limit is what is tested, not equality; the champion's own errors are no challenger's doing."""
    guard = ErrorGuard(ErrorCheck(most_more=0.02), "b", 0.0025)
    guard.begin(0, beside=True)
    for _ in range(100):
        guard.take(users(500, failing=0.1), users(500, failing=0.105))
    assert guard.finding.says == "fine"


def test_after_a_switch_the_champion_of_before_is_the_limit() -> None:
    """Nobody has the champion any more: failures are compared with its rate of before; without one, with none."""
    for known in (0, 2000):
        guard = ErrorGuard(ErrorCheck(), "b", 0.0025)
        guard.begin(0, beside=True)
        if known:
            guard.take(users(known, failing=0.05), None)
        guard.begin(1, beside=False)
        for _ in range(20):
            guard.take(None, users(50, failing=0.05))
        assert guard.finding.says == ("fine" if known else "harm")
        for _ in range(20):
            guard.take(None, users(50, failing=0.3))
        assert guard.finding.says == "harm"


def test_fifty_milliseconds_are_found_in_a_few_users() -> None:
    """A shift of all latencies shows in the quantile at once; one within the limit never does."""
    guard, other = (LatencyGuard(LatencyCheck(), "b", 0.0025) for _ in range(2))
    for each in (guard, other):
        each.begin(0, beside=True)
    for _ in range(6):
        guard.take(users(300), users(3, latency=60))
        other.take(users(300), users(300, latency=20))
    assert guard.finding.says == "harm"
    assert guard.finding.evidence["at_least_more_ms"] > 20
    assert other.finding.says == "fine"


def test_scores_that_differ_hold_or_go_back() -> None:
    """A shift is found beyond the allowed distance; the same scores are not; what happens is declared."""
    for action, expected in (("hold", "beyond"), ("roll_back", "harm")):
        guard = ScoreGuard(ScoreCheck(action=action), "b", 0.01)  # type: ignore[arg-type]
        same = ScoreGuard(ScoreCheck(), "b", 0.01)
        for _ in range(40):
            guard.take(users(50), users(10, score=2.0))
            same.take(users(50), users(10))
        assert guard.finding.says == expected
        assert same.finding.says == "fine"
        assert guard.finding.evidence["at_least"] > 0.3


def test_bins_of_scores_keep_their_order() -> None:
    """A greater score is never in a lesser bin, of any sign and size."""
    scores = np.sort(np.concatenate([-(10.0 ** RANDOM.uniform(-30, 30, 500)), 10.0 ** RANDOM.uniform(-30, 30, 500)]))
    assert (np.diff(score_bins(scores)) >= 0).all()


def batch(n: int, old: float, new: float, *, stage: int = 0, share: float = 0.5) -> MetricBatch:
    """Return *n* users with 10 independent items each."""
    m = round(n * share)
    return MetricBatch(
        stage,
        True,
        {
            "a": MetricCounts.of(np.full(n - m, 10), RANDOM.binomial(10, old, n - m)),
            "b": MetricCounts.of(np.full(m, 10), RANDOM.binomial(10, new, m)),
        },
    )


def metric_test(**options: object) -> MetricTest:
    """Return a metric's test of a canary."""
    given = {"shares": (1.0, 5.0, 25.0, 50.0), "level": 0.005, "leave_level": 0.01, "takes_back": True} | options
    return MetricTest(MetricCheck(), "a", "b", **given)  # type: ignore[arg-type]


def test_margins_are_smaller_the_more_users_have_it() -> None:
    """What must be excluded: 62.5 %, 12.5 %, then 2.5 %."""
    assert [margin(MetricCheck(), share) for share in (1, 5, 25, 50)] == [0.625, 0.125, 0.025, 0.025]


def test_a_loss_is_found_and_a_gain_leaves_each_step() -> None:
    """Twenty per cent less is harm; twenty per cent more excludes every margin, the wider ones sooner."""
    worse, better = metric_test(), metric_test()
    for _ in range(40):
        worse.take(batch(500, 0.1, 0.08))
        better.take(batch(500, 0.1, 0.12))
        assert better.excluded(1) >= better.excluded(5) >= better.excluded(25)
    assert worse.finding.says == "harm"
    assert not worse.excluded(25)
    assert better.excluded(50)
    assert better.finding.says == "fine"
    assert better.finding.evidence["ratio"] == pytest.approx(1.2, abs=0.05)


def test_shares_and_rates_that_move_together_are_no_effect() -> None:
    """The challenger has most users when everybody clicks less (Simpson): its ratio is 1, and nothing is proven."""
    test = metric_test()
    for stage in range(40):
        late = stage >= 20
        test.take(batch(500, 0.05 if late else 0.2, 0.05 if late else 0.2, stage=late, share=0.5 if late else 0.05))
    assert test.finding.says == "fine"
    assert test.finding.evidence["ratio"] == pytest.approx(1, abs=0.1)


def test_progress_is_what_a_version_without_loss_needs() -> None:
    """Where it says that traffic is enough, an equal version has excluded the margin about as often as not."""
    excluded = []
    for _ in range(30):
        test = metric_test(shares=(5.0,))
        while test.progress(5) < 1:
            test.take(batch(500, 0.1, 0.1))
        excluded.append(test.excluded(5))
    assert 0.25 < np.mean(excluded) < 0.95


def test_items_of_one_user_count_less() -> None:
    """Users who click all or nothing: ten items tell as much as one; independent ones tell ten times as much."""
    clicks = RANDOM.random(5000) < 0.2
    assert design_effect(MetricCounts.of(np.full(5000, 10), clicks * 10)) == pytest.approx(10, rel=0.01)
    independent = MetricCounts.of(np.full(5000, 10), RANDOM.binomial(10, 0.2, 5000))
    assert design_effect(independent) == pytest.approx(1, abs=0.08)
