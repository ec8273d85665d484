"""The way up: where few users come nothing is proven, and a step is left once gross harm is excluded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from tests.delivery.rollouts.trial import AT, Trial, canary

from orita.delivery.assignment.conditions import OneOf
from orita.delivery.rollouts import Checks, ErrorCheck, LatencyCheck, RolloutPlan, Step
from orita.delivery.rollouts.findings import Finding
from orita.delivery.rollouts.leaving import AnswersExcluded, ErrorsExcluded, Excluding, LatencyExcluded, wide
from orita.delivery.rollouts.looks import GuardCounts, Look, Stage

QUIET = (Step(1, 0, 0), Step(5, 0, 0), Step(25, 0, 0), Step(100, 0, 0))


def quiet(trial: Trial, periods: int, **behaviour: Any) -> Iterator[Finding]:
    """Yield what is said at the end of each period, with 100 new users in each, of whom one gets the version at 1 %."""
    for _ in range(periods):
        trial.period += 1
        yield trial.seconds(1, users=100, **behaviour)


def quiet_trial(seed: int = 0, **checks: Any) -> Trial:
    """Return a canary whose way up only gross harm can bar."""
    return Trial(canary(QUIET, checks=Checks(metric=None, **checks)), seed=seed)


@pytest.mark.parametrize(
    ("behaviour", "told"),
    [
        ({"failing": 1.0}, "that b fails for 10 % more users than the champion: it failed for "),
        ({"failing": 0.2}, "that b fails for 10 % more users than the champion: it failed for "),
        ({"silent": 0.98}, "that half of the users of b get no answer: it answered "),
        ({"silent": 0.6}, "that half of the users of b get no answer: it answered "),
        ({"slower": 150.0}, "that the median latency of b is 100 ms above the champion's: "),
    ],
)
def test_a_quiet_system_does_not_let_gross_harm_through(behaviour: dict[str, float], told: str) -> None:
    """No period has users enough to prove it; in three days the version does not leave 1 %, and it is told why."""
    found = list(quiet(quiet_trial(), 288, **behaviour))
    assert not {"advance", "roll_back"} & {each.verdict for each in found}
    assert any(told in each.why for each in found)


@pytest.mark.parametrize("seed", range(3))
def test_a_quiet_system_lets_through_what_is_as_good(seed: int) -> None:
    """It leaves 1 % after about 70 users of its own, so within a day, and 5 % within some hours more."""
    trial = quiet_trial(seed)
    assert next(found for found in quiet(trial, 150) if found.verdict == "advance")
    assert 60 < trial.users["b"] < 90
    trial.moved(1, b=5, a=95)
    assert next(found for found in quiet(trial, 60) if found.verdict == "advance")
    assert 200 < trial.users["b"] < 330


@pytest.mark.parametrize("seed", range(3))
def test_what_breaks_in_a_later_step_does_not_leave_it(seed: int) -> None:
    """Healthy users of the steps before say nothing of a version that fails under more of them."""
    trial = quiet_trial(seed)
    assert next(found for found in quiet(trial, 150) if found.verdict == "advance")
    trial.moved(1, b=5, a=95)
    assert next(found for found in quiet(trial, 80) if found.verdict == "advance")
    trial.moved(2, b=25, a=75)
    assert "advance" not in {found.verdict for found in quiet(trial, 200, failing=0.06)}


def test_what_is_proven_holds_instead_of_asking_for_more() -> None:
    """No traffic will mend it, so somebody has to look, and is told what to do."""
    *_, last = quiet(quiet_trial(), 288, failing=0.2)
    assert last.verdict == "hold"
    assert last.why.startswith("It is proven that b fails for 10 % more users than the champion")
    assert "'orita rollout advance'" in last.why


def test_the_other_strategies_are_not_asked() -> None:
    """People decide on them, or have switched: a version that fails as little as is allowed is promoted at once."""
    audience = OneOf(attribute="device", values=("mobile",))
    checks = Checks(metric=None, latency=LatencyCheck(most_more_ms=0.0))
    for strategy, more in (("ab", {}), ("bandit", {}), ("segment", {"audience": audience})):
        plan = RolloutPlan(strategy=strategy, versions=("b",), shares=(10,), checks=checks, **more)  # type: ignore[arg-type]
        assert "cannot be excluded" not in Trial(plan).seconds(20, users=100).why
    switched = Trial(RolloutPlan(strategy="blue_green", versions=("b",), checks=checks, soak_seconds=0.0))
    switched.seconds(20, users=100)
    switched.moved(1, b=100, a=0)
    assert switched.seconds(30, users=60).verdict == "advance"


def look(share: float, at: float = 60.0, stage: int = 0, **users: GuardCounts) -> Look:
    """Return a look so many seconds after the version b got *share* percent."""
    shares = {"a": 100 - share, "b": share}
    return Look(AT + timedelta(seconds=at), Stage(stage, stage, AT, shares), 0, {}, users)


def users(n: int, *, failed: int = 0, latency_ms: float = 12.0, slow: int = 0) -> GuardCounts:
    """Return users of a version, the first of them failed, or slow by a second."""
    place_U = np.arange(n)
    spread_U = latency_ms * (0.9 + 0.2 * place_U / n)
    return GuardCounts(place_U < failed, spread_U + np.where(place_U < slow, 1000.0, 0.0), np.zeros(n))


def test_limits_are_wider_where_fewer_users_are_at_stake() -> None:
    """Five times at 1 %, and as they are from 25 % on."""
    assert [wide(share) for share in (1, 5, 25, 50)] == pytest.approx([5, 5**0.5, 1, 1])


@pytest.mark.parametrize(("most_more", "limit"), [(0.005, "2 %"), (0.03, "3 %"), (0.995, "99 %")])
def test_errors_are_excluded_beyond_a_gross_limit(most_more: float, limit: str) -> None:
    """2 % from 25 % on, or what is declared if that is more."""
    errors = ErrorsExcluded(ErrorCheck(most_more=most_more), "a", "b", shares=(25,), level=0.01)
    assert told(errors, 25).startswith(f"that b fails for {limit} more users than")


def told(each: Excluding, share: float) -> str:
    """Return what is not excluded yet, empty where nothing is."""
    lack = each.lacks(share)
    return "" if lack is None else lack.what


def test_errors_are_excluded_by_the_users_of_a_step() -> None:
    """Those who came at 5 % say nothing of 25 %; users of one version wait for the other's."""
    errors = ErrorsExcluded(ErrorCheck(), "a", "b", shares=(5, 25), level=0.01)
    for _ in range(5):
        errors.take(look(5, b=users(50)))
        errors.take(look(5, a=users(950)))
    assert (told(errors, 5), told(errors, 25).rpartition(": ")[2]) == ("", "it failed for 0 of 250 in this step")
    errors.enter()
    for _ in range(5):
        errors.take(look(25, a=users(150), b=users(50)))
    assert told(errors, 25)
    for _ in range(5):
        errors.take(look(25, a=users(150), b=users(50)))
    assert told(errors, 25) == ""


def test_errors_beyond_the_limit_are_proven() -> None:
    """Then no more users will exclude them."""
    errors = ErrorsExcluded(ErrorCheck(), "a", "b", shares=(25,), level=0.01)
    for _ in range(10):
        errors.take(look(25, a=users(150), b=users(50, failed=10)))
    lack = errors.lacks(25)
    assert lack is not None
    assert lack.proven


def test_what_passes_the_first_step_is_stopped_by_the_next() -> None:
    """Limits narrow: 6 % of failures are within those of 1 %, and beyond those of 5 %."""
    errors = ErrorsExcluded(ErrorCheck(), "a", "b", shares=(1, 5), level=0.01)
    for _ in range(40):
        errors.take(look(5, a=users(950), b=users(50, failed=3)))
    assert (told(errors, 1), told(errors, 5)[:21]) == ("", "that b fails for 4.5 ")


def test_a_slow_tail_alone_is_left_to_the_tests_of_harm() -> None:
    """Of 200 users 30 are slower by a second: the median is not, and the step is left; all of them: it is not."""
    checks = (LatencyCheck(quantile=0.99, most_more_ms=500.0), LatencyCheck(most_more_ms=5.0))
    for slow, lacking in (
        (30, ""),
        (200, "that the median latency of b is 5 ms above the champion's: 200 users of it"),
    ):
        latency = LatencyExcluded(checks, "a", "b", level=0.01)
        latency.take(look(25, a=users(600), b=users(200, slow=slow)))
        assert told(latency, 25).startswith(lacking)
        assert bool(latency.lacks(25)) == bool(lacking)
        latency.enter()
        assert latency.lacks(25)


def test_a_limit_that_bins_cannot_show_is_a_tenth_of_the_champions_median() -> None:
    """No more than a millisecond of 500 would never be excluded; 12 % slower still bars the way."""
    for latency_ms, out in ((500.0, True), (560.0, False)):
        latency = LatencyExcluded((LatencyCheck(most_more_ms=1.0),), "a", "b", level=0.01)
        latency.take(look(25, a=users(30_000, latency_ms=500.0), b=users(10_000, latency_ms=latency_ms)))
        assert (latency.lacks(25) is None) == out


def came(share: float, *, at: float = 60.0, stage: int = 0, returned: bool = False, **count: int) -> Look:
    """Return a look at users who come for the first time in a step."""
    shares = {"a": 100 - share, "b": share}
    each: dict[str, Any] = {"returned" if returned else "newcomers": count}
    return Look(AT + timedelta(seconds=at), Stage(stage, stage, AT, shares), 0, {}, {}, **each)


def test_missing_answers_are_excluded_by_users_who_come_once() -> None:
    """The first seconds of a split say nothing, nor does the step before, nor who comes again."""
    for share, beside in ((1.0, 99), (25.0, 3)):
        answers = AnswersExcluded("a", "b", level=0.01)
        answers.take(came(share, at=3.0, a=1000, b=1000))
        answers.take(look(share, a=users(1000), b=users(1000)))
        for _ in range(20):
            answers.take(came(share, a=beside, b=1))
        assert "where 20 were to be expected beside those" in told(answers, share)
        for _ in range(20):
            answers.take(came(share, a=beside, b=1))
        assert told(answers, share) == ""
        answers.enter()
        assert told(answers, share)


def test_those_who_had_the_champion_get_what_the_share_has_grown_by() -> None:
    """From 5 to 25 %, of 95 who had the champion 20 have the version: that none is missing; with 10, half are."""
    for got, out in ((20, True), (10, False)):
        answers = AnswersExcluded("a", "b", level=0.01)
        answers.take(came(5, a=95, b=5))
        answers.enter()
        for _ in range(4):
            answers.take(came(25, stage=1, returned=True, a=75, b=got))
        lack = answers.lacks(25)
        assert (lack is None) == out
        assert lack is None or lack.proven
