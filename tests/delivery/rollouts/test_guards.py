"""What the champion did before, once nobody has it any more."""

from __future__ import annotations

import numpy as np

from orita.delivery.rollouts.checks import ErrorCheck
from orita.delivery.rollouts.guards import ErrorGuard
from orita.delivery.rollouts.looks import GuardCounts
from orita.delivery.rollouts.scores import score_bins


def of_users(users: int, failed: int) -> GuardCounts:
    """Return users, some of whom something stood in for."""
    return GuardCounts(np.arange(users) < failed, np.full(users, 5.0), np.zeros(users))


def switched(periods: int) -> ErrorGuard:
    """Return a guard after a switch: the same 200 users came in each of *periods*, and 4 of them met a failure."""
    guard = ErrorGuard(ErrorCheck(), "v2.0.0", 0.01)
    for period in range(periods):
        guard.begin(period, beside=True)
        guard.take(of_users(200, 4), None)
    guard.begin(periods, beside=False)
    return guard


def test_the_same_users_again_are_no_more_evidence() -> None:
    """Each counts once: days of the same few do not make the champion's rate any surer."""
    evidence = switched(12).finding.evidence
    assert (evidence["champion_users"], evidence["champion_failed"]) == (200, 4)


def test_periods_of_a_few_users_are_added_until_there_is_a_before() -> None:
    """40 users are none to compare with, three times 40 are."""
    guard = ErrorGuard(ErrorCheck(), "v2.0.0", 0.01)
    for period in range(3):
        guard.begin(period, beside=True)
        guard.take(of_users(40, 1), None)
    guard.begin(3, beside=False)
    assert guard.finding.evidence["champion_users"] == 120


def test_a_rate_as_before_is_fine_and_a_higher_one_is_harm() -> None:
    """The limit is the upper end of what the champion's rate may have been, and what is allowed."""
    fine, harm = switched(1), switched(1)
    fine.take(None, of_users(2000, 40))
    harm.take(None, of_users(2000, 600))
    assert (fine.finding.says, harm.finding.says) == ("fine", "harm")
    assert "the champion before for 4 of 200" in harm.finding.why


def test_errors_count_where_hardly_anybody_comes() -> None:
    """Users of both versions are never in one look: they wait for each other within the period."""
    guard, looks = ErrorGuard(ErrorCheck(), "v2.0.0", 0.01), 0
    while guard.finding.says != "harm":
        guard.take(of_users(1, 0), None)
        guard.take(None, of_users(1, 1))
        looks += 2
        assert looks < 100
    equal = ErrorGuard(ErrorCheck(), "v2.0.0", 0.01)
    for _ in range(500):
        equal.take(of_users(1, 1), None)
        equal.take(None, of_users(1, 1))
    assert equal.finding.says == "fine"


def test_minus_zero_is_zero() -> None:
    """A version that rounds -0.3 gives the same scores as one that gives 0."""
    below, zero, rounded, above = score_bins([-1e-3, 0.0, -0.0, 1e-3]).tolist()
    assert below < zero == rounded < above
