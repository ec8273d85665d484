"""The benchmark of memory tells what grows, and not what only begins."""

from __future__ import annotations

from itertools import repeat

from benchmarks.memory import flatness


def test_what_fills_in_the_first_tenth_is_no_growth() -> None:
    """The first tenth is told apart; a peak of one look is not a tenth's median."""
    medians, share = flatness([*range(100, 110), *repeat(110.0, 89), 900.0])
    assert (medians[0], medians[-1], share) == (104.5, 110.0, 0.0)


def test_growth_and_shrinking_are_told_with_their_sign() -> None:
    """Of the tenths after the second the one furthest from it counts."""
    assert flatness([100.0] * 50 + [103.0] * 50)[1] == 103 / 100 - 1
    assert flatness([100.0] * 80 + [90.0] * 10 + [101.0] * 10)[1] == 90 / 100 - 1
