"""Verdicts: which strategy goes on by itself, what holds it, and that each says what is missing."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from tests.delivery.rollouts.trial import AT, STEPS, Trial, canary

from orita.delivery.assignment.conditions import OneOf
from orita.delivery.rollouts import (
    Checks,
    GuardrailCheck,
    LatencyCheck,
    MetricCheck,
    RolloutPlan,
    ScoreCheck,
    Step,
    Strategy,
)


def test_traffic_that_lacks_is_told_with_its_time() -> None:
    """First answers lack, then the metric, both with about how long; then what excludes other harm."""
    trial = Trial(canary())
    nothing = trial.analysis.judge(trial.rollout, AT)
    assert (nothing.verdict, nothing.why) == ("not_enough_traffic", "Nothing is counted yet in this step.")
    few = trial.seconds(2)
    assert few.verdict == "not_enough_traffic"
    assert "requests in this step, 100 are needed, about" in few.why
    more = trial.seconds(6)
    assert more.verdict == "not_enough_traffic"
    assert "A loss of 6.25 % of click cannot be excluded yet" in more.why
    assert "more at the present rate" in more.why
    liked = trial.seconds(3, lift=2.0)
    assert liked.verdict == "not_enough_traffic"
    assert liked.why.startswith("It cannot be excluded yet that b fails for 3.2 % more users than the champion: it fai")


def test_a_good_version_goes_on_and_is_watched_at_the_end() -> None:
    """The step is left when its margin is excluded; at 100 % it is watched for the soak, without a control group."""
    trial = Trial(canary(soak_seconds=30))
    assert trial.seconds(60, lift=0.1).verdict == "advance"
    trial.moved(1, b=100, a=0)
    assert trial.seconds(10, lift=0.1).verdict == "hold"
    assert trial.seconds(25, lift=0.1).verdict == "advance"


@pytest.mark.parametrize("strategy", ["canary", "blue_green"])
@pytest.mark.parametrize("behaviour", [{"failing": 0.05}, {"slower": 60.0}])
def test_what_breaks_at_the_whole_share_is_taken_back(strategy: Strategy, behaviour: dict[str, Any]) -> None:
    """By default ten minutes are watched: what breaks after the first of them is never promoted, what is well is."""
    steps: dict[str, Any] = {"steps": STEPS} if strategy == "canary" else {}
    plan = RolloutPlan(strategy=strategy, versions=("b",), checks=Checks(metric=None), **steps)
    for breaks, expected in (({}, "advance"), (behaviour, "roll_back")):
        trial = Trial(plan)
        trial.seconds(60)
        trial.moved(1, b=100, a=0)
        first = trial.seconds(60)
        assert (first.verdict, "the step lasts until 2024-11-15 10:41:00 UTC" in first.why) == ("hold", True)
        assert trial.seconds(480, **breaks).verdict == ("roll_back" if breaks else "hold")
        assert trial.seconds(61, **breaks).verdict == expected


def test_a_step_lasts_as_long_as_it_is_declared() -> None:
    """Time that is not over holds."""
    trial = Trial(canary((Step(50, 120, 100), Step(100))))
    held = trial.seconds(60, lift=0.3)
    assert (held.verdict, "the step lasts until 2024-11-15 10:32:00 UTC" in held.why) == ("hold", True)
    assert trial.seconds(61, lift=0.3).verdict == "advance"


def test_harm_takes_it_back_and_says_why() -> None:
    """A loss, failures; the evidence has the figures of every check."""
    loss = Trial(canary()).seconds(60, lift=-0.3)
    assert loss.verdict == "roll_back"
    assert loss.evidence["checks"]["metric b"]["says"] == "harm"
    failing = Trial(canary()).seconds(3, failing=1.0)
    assert (failing.verdict, failing.why[:10]) == ("roll_back", "b failed f")
    assert set(failing.evidence["checks"]) == {
        "errors b",
        "latency b",
        "scores b",
        "drift b",
        "answers b",
        "metric b",
    }


def test_scores_hold_a_good_version() -> None:
    """What somebody has to look at keeps the step, even with all else proven."""
    held = Trial(canary(checks=Checks(scores=ScoreCheck(most_distance=0.2)))).seconds(60, lift=0.2, score=2.0)
    assert held.verdict == "hold"
    assert "somebody has to look. If it is meant, 'orita rollout acknowledge scores --reason" in held.why


def test_after_the_switch_the_version_is_compared_with_before() -> None:
    """Blue/green waits for somebody, then for users; failures take it back; without a before people decide."""
    plan = RolloutPlan(strategy="blue_green", versions=("b",), soak_seconds=10)
    for failing, expected in ((0.0, "advance"), (0.3, "roll_back")):
        trial = Trial(plan)
        ready = trial.seconds(5)
        assert (ready.verdict, ready.why[:20]) == ("hold", "The version is ready")
        trial.moved(1, b=100, a=0)
        assert trial.seconds(12, failing=failing).verdict == expected
    at_once = Trial(plan)
    at_once.moved(1, b=100, a=0)
    unknown = at_once.seconds(12)
    assert (unknown.verdict, "promote or abort by hand" in unknown.why) == ("not_enough_traffic", True)


@pytest.mark.parametrize("behaviour", [{"slower": 500.0}, {"score": 5.0}])
def test_before_the_switch_is_more_than_the_period_that_has_just_begun(behaviour: dict[str, Any]) -> None:
    """A switch a second after a period began finds what is slower or scores otherwise as one at its end does."""
    checks = Checks(scores=ScoreCheck(action="roll_back"), metric=None)
    trial = Trial(RolloutPlan(strategy="blue_green", versions=("b",), soak_seconds=600, checks=checks))
    trial.seconds(5)
    trial.number += 1
    trial.seconds(1, users=5)
    trial.moved(1, b=100, a=0)
    assert trial.seconds(12, **behaviour).verdict == "roll_back"


@pytest.mark.parametrize("strategy", ["ab", "bandit", "segment"])
def test_people_decide_on_the_others(strategy: str) -> None:
    """Their metric moves no step; failures take the version back all the same."""
    audience = OneOf(attribute="device", values=("mobile",)) if strategy == "segment" else None
    plan = RolloutPlan(strategy=strategy, versions=("b",), shares=(50,), audience=audience)  # type: ignore[arg-type]
    assert Trial(plan).seconds(20, lift=0.3).verdict == "hold"
    assert Trial(plan).seconds(5, failing=1.0).verdict == "roll_back"
    assert Trial(plan).seconds(40, lift=-0.3).verdict == ("roll_back" if strategy == "segment" else "hold")


def test_a_bandit_gives_more_to_what_is_better() -> None:
    """Shares follow the metric, each keeps its least; rates that fall while shares move are no arm's fault."""
    trial = Trial(RolloutPlan(strategy="bandit", versions=("b", "c"), shares=(30, 30)))
    assert trial.analysis.wanted_shares(5) is None  # nothing is known yet
    trial.seconds(20, lift=0.2)
    shares = trial.analysis.wanted_shares(5)
    assert shares is not None
    assert shares["a"] == pytest.approx(5, abs=0.5)
    assert sum(shares.values()) == pytest.approx(100)
    drifting = Trial(RolloutPlan(strategy="bandit", versions=("b",), shares=(10,)), seed=1)
    drifting.seconds(20, click=0.3)
    drifting.moved(0, b=90, a=10)
    drifting.seconds(20, click=0.1)
    # Pooled, b would have 12 % of clicks and a 28 %.
    shares = drifting.analysis.wanted_shares(5)
    assert shares is not None
    assert shares["b"] > 10


def test_a_bandit_s_version_that_answers_nobody_is_taken_back() -> None:
    """It has no outcomes: of those nothing follows for its share, and its users are missing beside the champion's."""
    trial = Trial(RolloutPlan(strategy="bandit", versions=("b",), shares=(10,)))
    found = trial.seconds(40, silent=1.0)
    assert trial.analysis.wanted_shares(5) is None
    assert (found.verdict, "its answers come too late, or not at all" in found.why) == ("roll_back", True)


def test_without_checks_only_time_and_answers_count() -> None:
    """All checks may be left out."""
    trial = Trial(canary(checks=Checks(errors=None, latency=None, scores=None, drift=None, metric=None)))
    assert trial.seconds(20).verdict == "advance"


def test_a_step_is_judged_by_its_own_answers() -> None:
    """Right after the shares were set nothing is enough, whatever was counted before."""
    trial = Trial(canary((Step(10, 0, 100), Step(50, 0, 100), Step(100))))
    assert trial.seconds(60, lift=0.3).verdict == "advance"
    trial.moved(1, b=50, a=50)
    assert trial.analysis.judge(trial.rollout, trial.now).verdict == "not_enough_traffic"


def test_who_waits_for_the_window_is_not_nobody() -> None:
    """Answers whose outcomes may still come are told with their number, instead of that nothing came."""
    trial = Trial(canary((Step(10, 0, 10), Step(50, 0, 10), Step(100))))
    trial.metric_known = False
    waiting = trial.seconds(20)
    assert waiting.verdict == "not_enough_traffic"
    came = re.search(r"needs, and (\d+) answers of b in this step count once the 30 minutes for outcomes", waiting.why)
    assert came is not None
    assert 300 < int(came[1]) < 500
    trial.now += timedelta(minutes=32)
    over = trial.analysis.judge(trial.rollout, trial.now)
    assert f"needs, and of {came[1]} answers of b in this step none is of a user who counts for it." in over.why


def test_a_metric_that_nobody_has_is_no_traffic() -> None:
    """No outcome ever: it waits, and says so."""
    waiting = Trial(canary(checks=Checks(metric=MetricCheck()))).seconds(20, click=0.0)
    assert waiting.verdict == "not_enough_traffic"
    assert "there is 0 % of the traffic" in waiting.why


def test_a_guardrail_takes_a_version_back_that_the_metric_likes() -> None:
    """More clicks, less revenue; of an A/B test it is told, and people decide."""
    checks = Checks(guardrails=(GuardrailCheck(name="revenue", kind="mean"),))
    found = Trial(canary(checks=checks)).seconds(60, lift=0.1, spending=0.6)
    assert found.verdict == "roll_back"
    assert found.why.startswith("mean revenue: b has -4")
    assert found.evidence["checks"]["guardrail revenue b"]["says"] == "harm"
    fine = Trial(canary(checks=checks)).seconds(60, lift=0.1, spending=1.1)
    assert (fine.verdict, "mean revenue: b has +" in fine.why) == ("advance", True)
    test = RolloutPlan(strategy="ab", versions=("b",), shares=(30,), checks=checks)
    assert Trial(test).seconds(60, spending=0.6).verdict == "hold"


def test_other_features_hold_a_good_version() -> None:
    """Somebody has to look at what the challenger was given."""
    held = Trial(canary()).seconds(60, lift=0.2, older=2.0)
    assert (held.verdict, held.why.startswith("feature age of b")) == ("hold", True)


def test_each_quantile_is_a_check_of_its_own() -> None:
    """A shift of all answers is found at the quantile that allows less."""
    latency = (LatencyCheck(quantile=0.5, most_more_ms=2.0), LatencyCheck(quantile=0.99, most_more_ms=500.0))
    found = Trial(canary(checks=Checks(latency=latency))).seconds(30, slower=20.0)
    assert found.verdict == "roll_back"
    says = {name: check["says"] for name, check in found.evidence["checks"].items() if name.startswith("latency")}
    assert says == {"latency p50 b": "harm", "latency p99 b": "fine"}


def test_a_version_that_answers_nobody_is_taken_back() -> None:
    """Its answers come after the deadline, or its worker dies: nothing of it is logged, but its users are missing."""
    finding = Trial(canary()).seconds(20, silent=1.0)
    assert finding.verdict == "roll_back"
    assert "b answered 0 users where" in finding.why


def test_users_who_are_not_split_as_declared_hold_a_rollout() -> None:
    """A fifth of its users is lost: no comparison can be believed, and somebody has to look."""
    finding = Trial(canary(STEPS, checks=Checks(metric=None))).seconds(120, silent=0.2, users=1000)
    assert finding.verdict == "hold"
    assert "routing or logging loses users of one version" in finding.why
    assert finding.evidence["checks"]["split all versions"]["says"] == "beyond"
