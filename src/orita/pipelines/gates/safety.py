"""Are scores finite and within bounds whatever is asked, do they differ, and are they the chances that they say?

Legend: N fresh rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import OritaError
from orita.models.examples import Examples, Ids
from orita.models.package import Package
from orita.pipelines.gates.config import SafetyGate
from orita.pipelines.gates.finding import GateFinding
from orita.stats.metrics import expected_calibration_error

__all__ = ["safety_gate"]

_BINS = 10
_ASKED = 1000
_UNKNOWN = 2**62
_LEAST_ROWS = 200


def safety_gate(package: Package, rows: Examples, scores_N: npt.NDArray[Any], gate: SafetyGate) -> GateFinding:
    """Judge a package on fresh rows, of known and unknown ids, and without any feature value.

    Args:
        package: whose scores.
        rows: fresh rows.
        scores_N: what it gives for them, the chances of the label.
        gate: the limits.
    """
    faults: list[str] = []
    figures: dict[str, float] = {"rows": len(rows)}
    for what, score_N in (("on fresh rows", scores_N), *_asked(package, rows)):
        if isinstance(score_N, str):
            faults.append(f"{what} it fails: {score_N}")
        elif fault := _fault(score_N, gate):
            faults.append(f"{what} {fault}")
    if not faults:
        spread = float(np.std(scores_N, dtype=np.float64))
        figures["spread"] = spread
        if spread <= gate.least_spread:
            faults.append(f"scores on fresh rows hardly differ: their deviation is {spread:.4g}")
    untold = ""
    if not faults and gate.most_calibration_error is not None:
        found = _calibration(rows, scores_N)
        untold = "" if found else f"; calibration is told from {_LEAST_ROWS} rows on, there are {len(rows)}"
        if found:
            figures |= {"calibration_error": found[0], "by_chance": found[1]}
            if found[0] - found[1] > gate.most_calibration_error:
                faults.append(
                    f"the calibration error is {found[0]:.4f}, {found[1]:.4f} of it by chance, and at most "
                    f"{gate.most_calibration_error:g} more is allowed"
                )
    if faults:
        return GateFinding("safety", "fail", "; ".join(faults), False, figures)
    told = f"scores of {len(rows):,} fresh rows, of unknown ids and without values lie in [{gate.low:g}, {gate.high:g}]"
    return GateFinding("safety", "not_enough_data" if untold else "pass", told + untold, True, figures)


def _asked(package: Package, rows: Examples) -> Iterator[tuple[str, npt.NDArray[Any] | str]]:
    """Yield what is asked beside fresh rows, and the scores or why there are none."""
    few = rows.take(slice(_ASKED))
    nothing = np.full_like(few.x_NF, np.nan)
    cases: tuple[tuple[str, Ids, Ids, Any], ...] = (
        ("of unknown users and items", _unknown(few.users_N), _unknown(few.items_N), few.x_NF),
        ("without any feature value", few.users_N, few.items_N, nothing),
        ("of unknown ids without any feature value", _unknown(few.users_N), _unknown(few.items_N), nothing),
    )
    for what, users_N, items_N, x_NF in cases:
        try:
            yield what, package.score(users_N, items_N, x_NF, package.label_objective)
        except (OritaError, ValueError, IndexError, RuntimeError) as error:
            yield what, str(error)


def _unknown(ids_N: Ids) -> Ids:
    """Return as many ids that nobody has."""
    if ids_N.dtype == object:
        return np.array([f"nobody has this id {n}" for n in range(len(ids_N))], dtype=object)
    return np.arange(_UNKNOWN, _UNKNOWN + len(ids_N), dtype=np.int64)


def _fault(scores_N: npt.NDArray[Any], gate: SafetyGate) -> str:
    infinite = int((~np.isfinite(scores_N)).sum())
    if infinite:
        return f"{infinite:,} of {len(scores_N):,} scores are no finite number"
    low, high = float(scores_N.min()), float(scores_N.max())
    if low < gate.low or high > gate.high:
        return f"scores go from {low:.4g} to {high:.4g}, allowed is {gate.low:g} to {gate.high:g}"
    return ""


def _calibration(rows: Examples, scores_N: npt.NDArray[Any]) -> tuple[float, float] | None:
    """Return the error and what chance makes of it where scores are true (0.8 · √(bins · p (1 − p) / rows))."""
    known_N = ~np.isnan(rows.y_N)
    count = int(known_N.sum())
    if count < _LEAST_ROWS:
        return None
    y_N, score_N = rows.y_N[known_N].astype(np.float64), np.asarray(scores_N, np.float64)[known_N]
    rate = float(y_N.mean())
    return expected_calibration_error(y_N, score_N, _BINS), 0.8 * math.sqrt(_BINS * rate * (1 - rate) / count)
