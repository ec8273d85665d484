"""A version that gives no answers is taken back by the users that are missing; one that answers is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from orita.delivery.rollouts.looks import GuardCounts, Look, Stage
from orita.delivery.rollouts.missing_answers import MissingAnswers

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)


def look(second: int, a: int, b: int, *, share: float = 1.0, period: int = 0) -> Look:
    """Return a look at so many new users of each version."""
    stage = Stage(period, period, AT + timedelta(seconds=900 * period), {"b": share, "a": 100 - share})
    counts = {"a": a, "b": b}
    guards = {v: GuardCounts(np.zeros(n, bool), np.ones(n), np.zeros(n)) for v, n in counts.items() if n}
    return Look(stage.since + timedelta(seconds=second), stage, period, counts, guards)


@pytest.mark.parametrize("period", [0, 500])
def test_a_version_that_answers_nobody_is_found(period: int) -> None:
    """By a dozen of missing users; later, when little of the level is left, by two dozen."""
    check = MissingAnswers("a", "b", 0.00125)
    for second in range(5, 300):
        check.take(look(second, 99, 0, period=period))
        if check.finding.says == "harm":
            break
    assert second < (15 if period == 0 else 30)
    assert "b answered 0 users where" in check.finding.why
    check.take(look(5, 99, 1, period=period + 1))
    assert check.finding.says == "harm"


def test_half_of_the_users_missing_is_found() -> None:
    """Somewhat later; a tenth of them never is, and is left to the check of the split."""
    random = np.random.default_rng(4)
    half, tenth = (MissingAnswers("a", "b", 0.00125) for _ in range(2))
    for second in range(5, 600):
        half.take(look(second, 90, int(random.binomial(10, 0.5)), share=10))
        tenth.take(look(second, 90, int(random.binomial(10, 0.9)), share=10))
    assert half.finding.says == "harm"
    assert tenth.finding.says == "fine"


def test_users_whom_the_champion_lacks_are_no_harm() -> None:
    """Nor is anything said of a version alone, or while servers take up the split."""
    lacking, alone, early = (MissingAnswers("a", "b", 0.00125) for _ in range(3))
    assert lacking.finding.says == "waiting"
    for second in range(5, 300):
        lacking.take(look(second, 10, 50, share=50))
        alone.take(look(second, 100, 0, share=100))
        early.take(look(second % 5, 100, 0))
    assert [each.finding.says for each in (lacking, alone, early)] == ["fine", "waiting", "waiting"]


def test_false_alarms_are_rare() -> None:
    """Of 2,000 rollouts that are looked at 300 times, at a level of 5 %: at most it, and 3 standard errors."""
    random, level = np.random.default_rng(6), 0.05
    alarms = 0
    for b_S in random.binomial(20, 0.05, (2000, 300)):
        n_S = np.cumsum(b_S)
        check = MissingAnswers("a", "b", 2 * level)  # the first period has half of it
        for second in range(0, 300, 20):
            new = int(n_S[second + 19] - (n_S[second - 1] if second else 0))
            check.take(look(5 + second, 400 - new, new, share=5))
        alarms += check.finding.says == "harm"
    assert alarms / 2000 <= level + 3 * (level * (1 - level) / 2000) ** 0.5
