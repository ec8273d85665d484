"""Ending trials that fall behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from orita.models.search.pruning import falls_behind
from orita.models.search.trials import Trial


def trial(
    number: int, *values: float, type_: str = "linear", state: Literal["complete", "running"] = "complete"
) -> Trial:
    """Return a trial with these figures at steps 1, 2, …"""
    return Trial(number, {}, type_, state, values[-1], dict(enumerate(values, 1)))


PEERS = [trial(n, 0.6, 0.6 + n / 100, 0.7) for n in range(1, 6)]  # 0.61 … 0.65 at step 2


@pytest.mark.parametrize(("at_two", "behind"), [(0.62, True), (0.63, False), (0.66, False)])
def test_median_ends_a_trial_below_the_median_of_its_step(at_two: float, behind: bool) -> None:
    """The best so far is compared with what complete trials had at the same step; a loss is compared the other way."""
    mine = trial(9, 0.5, at_two, state="running")
    assert falls_behind("median", mine, PEERS, larger_is_better=True, most_steps=10) is behind
    losses = [replace(peer, steps={at: -value for at, value in peer.steps.items()}) for peer in PEERS]
    mine = trial(9, -0.5, -at_two, state="running")
    assert falls_behind("median", mine, losses, larger_is_better=False, most_steps=10) is behind


def test_the_best_so_far_counts_not_the_latest() -> None:
    """A trial that was good and dipped is not ended for the dip."""
    mine = trial(9, 0.8, 0.1, state="running")
    assert not falls_behind("median", mine, PEERS, larger_is_better=True, most_steps=10)


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_only_trials_of_one_type_are_compared(pruner: Literal["median", "hyperband"]) -> None:
    """The second epoch of a network is not judged by the second tree of a forest."""
    mine = trial(9, 0.1, 0.1, state="running")
    others = [replace(peer, type="lightgbm") for peer in PEERS]
    assert not falls_behind(pruner, mine, others, larger_is_better=True, most_steps=6)


def test_nobody_is_ended_before_there_is_something_to_compare_with() -> None:
    """Fewer than four complete trials, the first steps, and the pruner none end nothing."""
    mine = trial(9, 0.1, 0.1, state="running")
    assert not falls_behind("median", mine, PEERS[:3], larger_is_better=True, most_steps=10)
    assert not falls_behind("median", trial(9, 0.1, state="running"), PEERS, larger_is_better=True, most_steps=10)
    assert not falls_behind("median", mine, PEERS, larger_is_better=True, most_steps=20), "a tenth is not over"
    assert not falls_behind("none", mine, PEERS, larger_is_better=True, most_steps=10)


def test_a_fit_that_has_lost_itself_is_ended() -> None:
    """A trial that never had a figure that is a number does not go on."""
    assert falls_behind("median", trial(9, float("nan")), [], larger_is_better=True, most_steps=10)


def test_hyperband_keeps_about_a_third_at_each_rung() -> None:
    """Of many trials of which each is as likely as another to be good, most end at the rungs of their bracket."""
    done: list[Trial] = []
    ended: dict[int, int] = {}
    for number in range(1, 201):
        value = (number * 37 % 101) / 101
        for step in range(1, 10):
            mine = trial(number, *[value] * step, state="running")
            if falls_behind("hyperband", mine, done, larger_is_better=True, most_steps=9):
                ended[step] = ended.get(step, 0) + 1
                break
        done.append(mine)
    assert set(ended) <= {1, 3}, "rungs are at 1/9 and 1/3 of the most steps"
    gone = sum(ended.values())
    assert 100 < gone < 180
    kept = [(n * 37 % 101) / 101 for n, one in enumerate(done, 1) if max(one.steps) == 9]
    assert sum(kept) / len(kept) > 0.65, "those that went on are the better ones"
