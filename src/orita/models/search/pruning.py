"""Ending trials that fall behind. Only trials of one type of model are compared: an epoch is no tree.

Optuna's pruners compare all trials of a study, whatever they are; these are the same rules on part of them.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Iterator, Sequence

from orita.models.search.config import PrunerName
from orita.models.search.trials import Trial

__all__ = ["Pruned", "falls_behind"]

_ENOUGH, _WARM = 4, 10
_ETA = 3


class Pruned(Exception):
    """Ends the fit of a trial that fell behind."""


def falls_behind(
    pruner: PrunerName, trial: Trial, others: Sequence[Trial], *, larger_is_better: bool, most_steps: int
) -> bool:
    """Tell whether *trial* is to be ended after its latest step.

    Args:
        pruner: ``median``: its best so far is worse than the median of complete trials at this step, of which there
            must be four; the first step, and the first tenth of the most steps, end none. ``hyperband``: at steps that
            are 1/3, 1/9, … of the most, it is not among the best third of its bracket (asynchronous successive halving,
            Li et al. 2020; brackets begin later, and a trial's number decides its bracket). ``none``: never.
        trial: with the steps it has gone, the latest among them.
        others: further trials; those of another type do not count.
        larger_is_better: of the figure.
        most_steps: how many steps a trial of this type may take.
    """
    sign = 1.0 if larger_is_better else -1.0
    step = max(trial.steps)
    peers = [other for other in others if other.type == trial.type and other.number != trial.number]
    mine = _best_to(trial, step, sign)
    if math.isnan(mine):  # no step has had a figure
        return pruner != "none"
    match pruner:
        case "median":
            there = [sign * peer.steps[step] for peer in peers if peer.state == "complete" and step in peer.steps]
            return step > max(1, most_steps // _WARM) and len(there) >= _ENOUGH and mine < statistics.median(there)
        case "hyperband":
            bracket = _bracket(trial, most_steps)
            if step not in _rungs(most_steps, bracket):
                return False
            same = [peer for peer in peers if step in peer.steps and _bracket(peer, most_steps) == bracket]
            better = sum(_best_to(peer, step, sign) > mine for peer in same)
            return better >= max(1, (len(same) + 1) // _ETA)
        case "none":
            return False


def _best_to(trial: Trial, step: int, sign: float) -> float:
    return max((sign * v for at, v in trial.steps.items() if at <= step and not math.isnan(v)), default=math.nan)


def _rungs(most_steps: int, bracket: int) -> tuple[int, ...]:
    """Return the steps at which a bracket ends trials, rising: the lowest ones are left out of later brackets."""
    return tuple(sorted(_falling(most_steps)))[bracket:]


def _falling(most_steps: int) -> Iterator[int]:
    step = most_steps // _ETA
    while step >= 1:
        yield step
        step //= _ETA


def _bracket(trial: Trial, most_steps: int) -> int:
    """Return the bracket: of three trials, two are in the one that begins earliest, and so on."""
    brackets = max(1, len(tuple(_falling(most_steps))))
    drawn = zlib.crc32(f"{trial.type}/{trial.number}".encode())
    bracket = 0
    while bracket < brackets - 1 and drawn % _ETA == 0:
        bracket, drawn = bracket + 1, drawn // _ETA
    return bracket
