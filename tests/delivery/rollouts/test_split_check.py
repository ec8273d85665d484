"""Users who are not split as declared are found; those who are, hardly ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from orita.delivery.rollouts.looks import GuardCounts, Look, Stage
from orita.delivery.rollouts.plan import RolloutPlan
from orita.delivery.rollouts.split_check import SplitCheck

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
CANARY = RolloutPlan(strategy="canary", versions=("b",))


def look(second: int, users: dict[str, int], *, share: float = 5.0, period: int = 0) -> Look:
    """Return a look at so many new users of each version."""
    stage = Stage(period, period, AT + timedelta(seconds=900 * period), {"b": share, "a": 100 - share})
    guards = {
        version: GuardCounts(np.zeros(count, bool), np.ones(count), np.zeros(count)) for version, count in users.items()
    }
    at = stage.since + timedelta(seconds=second)
    return Look(at, stage, period, users, guards, users)


def verdict(check: SplitCheck) -> str | None:
    """Return what it says."""
    return None if check.finding is None else check.finding.says


def test_a_version_that_loses_users_is_found() -> None:
    """Of 5 % only 3.5 % arrive: found after some thousands of users, with the figures in the sentence; and it stays."""
    check = SplitCheck(CANARY)
    for second in range(5, 60):
        check.take(look(second, {"a": 965, "b": 35}))
    assert verdict(check) == "beyond"
    assert check.finding is not None
    assert "b has 3.50 % of them instead of 5.00 %" in check.finding.why
    check.take(look(5, {"a": 950, "b": 50}, period=1))
    assert verdict(check) == "beyond"


def test_the_first_seconds_of_a_split_are_left_out() -> None:
    """Servers go by the split of before until they have heard."""
    check = SplitCheck(CANARY)
    for second in range(1, 5):
        check.take(look(second, {"a": 1000}))
    assert verdict(check) is None
    for second in range(5, 60):
        check.take(look(second, {"a": 950, "b": 50}))
    assert verdict(check) == "fine"


def test_sessions_are_not_counted_as_users() -> None:
    """A plan that splits something else than users says nothing of them; neither does one version alone."""
    by_session = SplitCheck(RolloutPlan(strategy="canary", versions=("b",), by=("session",)))
    alone = SplitCheck(CANARY)
    for second in range(5, 60):
        by_session.take(look(second, {"a": 1000}))
        alone.take(look(second, {"b": 1000}, share=100))
    assert verdict(by_session) is verdict(alone) is None


def test_users_who_come_back_more_often_are_no_mismatch() -> None:
    """That is what the version does: only who comes for the first time was split by dice alone."""
    check = SplitCheck(CANARY)
    for second in range(5, 60):
        back = look(second, {"a": 950, "b": 80})
        check.take(replace(back, newcomers={"a": 95, "b": 5}))
    assert verdict(check) == "fine"


@pytest.mark.slow
def test_false_alarms_are_rare() -> None:
    """500 rollouts of 8 periods with 60 looks: at most the level, 0.1 %, and what chance adds (3 standard errors)."""
    random, alarms = np.random.default_rng(5), 0
    for _ in range(500):
        check = SplitCheck(CANARY)
        for period in range(8):
            for second in range(5, 65):
                b = int(random.binomial(100, 0.05))
                check.take(look(second, {"a": 100 - b, "b": b}, period=period))
        alarms += verdict(check) == "beyond"
    assert alarms / 500 <= 0.001 + 3 * (0.001 / 500) ** 0.5
