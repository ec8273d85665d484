"""How long does a typical request take, and how much longer than the champion's? Measured here, in turn.

Legend: N rows of the request, R rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import numpy.typing as npt

from orita.models.examples import Examples
from orita.models.package import Package
from orita.pipelines.gates.config import LatencyGate
from orita.pipelines.gates.finding import GateFinding, GateState

__all__ = ["latency_gate"]

_WARM = 5
_LONGER = 8
_DRAWS = 400
_CONFIDENCE = 0.99

Times = npt.NDArray[np.float64]
Asked = Callable[[], object]


def latency_gate(challenger: Package, champion: Package | None, gate: LatencyGate) -> GateFinding:
    """Judge the median time of one request, with its interval; the champion is asked in the same moments.

    What else the machine does slows both, so a ratio holds where a time does not: ``most_ms`` is of this machine.
    """
    asked = [_request(package, gate.rows) for package in (challenger, champion) if package is not None]
    rounds, finding = gate.rounds, None
    while finding is None or (finding.state == "not_enough_data" and rounds <= gate.rounds * _LONGER):
        times = _timed(asked, rounds)
        finding = _judged(times[0], times[1] if champion is not None else None, gate)
        rounds *= 2
    return finding


def _request(package: Package, rows: int) -> Asked:
    """Return a request of one user for *rows* items, made of the sample that the package keeps."""
    sample: Examples = package.sample
    chosen_N = np.arange(rows) % len(sample)
    items_N, x_NF, user = sample.items_N[chosen_N], sample.x_NF[chosen_N], sample.users_N[0]
    one = int(user) if isinstance(user, np.integer) else user
    return lambda: package.score_user(one, items_N, x_NF)


def _timed(asked: list[Asked], rounds: int) -> list[Times]:
    """Return the seconds of each round of each; who comes first changes from round to round."""
    for ask in asked * _WARM:
        ask()
    times = [np.empty(rounds) for _ in asked]
    order = list(range(len(asked)))
    for each in range(rounds):
        for which in order if each % 2 else order[::-1]:
            began = perf_counter()
            asked[which]()
            times[which][each] = perf_counter() - began
    return times


def _judged(mine_R: Times, theirs_R: Times | None, gate: LatencyGate) -> GateFinding:
    draws = np.random.default_rng(0).integers(0, len(mine_R), (_DRAWS, len(mine_R)))
    medians = np.median(mine_R[draws], axis=1)
    states: list[GateState] = []
    ms, (low, high) = float(np.median(mine_R)) * 1000, _ends(medians * 1000)
    told = f"a request of {gate.rows} rows takes {ms:.3f} ms ({low:.3f} to {high:.3f})"
    figures: dict[str, object] = {"rows": gate.rows, "rounds": len(mine_R), "ms": [ms, low, high]}
    if gate.most_ms is not None:
        states.append(_state(low, high, gate.most_ms))
        told = f"{told}, at most {gate.most_ms:g} ms"
    if theirs_R is not None:
        ratio = float(np.median(mine_R) / np.median(theirs_R))
        ends = _ends(medians / np.median(theirs_R[draws], axis=1))  # the rounds are shared
        told = f"{told}, {ratio:.2f} ({ends[0]:.2f} to {ends[1]:.2f}) times the champion's"
        figures |= {"champion_ms": float(np.median(theirs_R)) * 1000, "ratio": [ratio, *ends]}
        if gate.most_ratio is not None:
            states.append(_state(*ends, gate.most_ratio))
            told = f"{told}, at most {gate.most_ratio:g}"
    state: GateState = "fail" if "fail" in states else "not_enough_data" if "not_enough_data" in states else "pass"
    allows = state == "pass" or (state == "not_enough_data" and gate.not_enough == "allow")
    return GateFinding("latency", state, told, allows, figures)


def _state(low: float, high: float, most: float) -> GateState:
    if low > most:
        return "fail"
    return "pass" if high <= most else "not_enough_data"


def _ends(values: Times) -> tuple[float, float]:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return float(low), float(high)
