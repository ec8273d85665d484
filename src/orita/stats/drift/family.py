"""Which of many columns drifted, who is woken, and what could have been missed? Decisions over a whole report.

Legend: K tests (columns, segments, joint tests), S consecutive slices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from orita.core.errors import UserError
from orita.stats.multiplicity import benjamini_hochberg, holm

__all__ = ["Decision", "confirmed", "decide", "visible_effect", "visible_shift"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Kinds of change that one column test looks for together; each costs a little of the level.
_KINDS = 6
_SHARE_PER_SIGMA = 0.3989422804014327


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdicts of one report, in the order of the tests.

    Attributes:
        reported_K: drift by false-discovery control: of what is reported a share of at most *level* is false on
            average, and a report on unchanged data holds anything in at most a share *level* of cases.
        paged_K: drift by family-wise control: the chance of waking anyone for nothing is at most *level*.
        discovery_p_K, family_p_K: the adjusted p-values that say so.
        impact_K: importance × effect, 0 … 1; the order to look in.
    """

    reported_K: Flags
    paged_K: Flags
    discovery_p_K: Floats
    family_p_K: Floats
    impact_K: Floats


def decide(
    p_K: Floats, effect_K: Floats, *, level: float, min_effect: float = 0.0, importance_K: Floats | None = None
) -> Decision:
    """Decide over all tests of a report together.

    Args:
        p_K: p-value of each test.
        effect_K: share of rows that moved, 0 … 1.
        level: false alarms a report, within (0, 1).
        min_effect: smaller effects are neither reported nor paged, however sure.
        importance_K: weight of each column for the model, ≥ 0; None: all equal.

    Raises:
        UserError: *level* is outside (0, 1), or an importance is negative.

    Source: Benjamini and Hochberg (1995) for reports; Holm (1979) for paging.
    """
    if not 0 < level < 1:
        raise UserError(f"level is {level}: give a share between 0 and 1, such as 0.01.")
    importance_K = np.ones(len(p_K)) if importance_K is None else np.asarray(importance_K, dtype=np.float64)
    if len(importance_K) and not importance_K.min() >= 0:
        raise UserError(f"an importance is {importance_K.min():g}: give 0 or more.")
    discovery_p_K, family_p_K = benjamini_hochberg(p_K), holm(p_K)
    matters_K = np.asarray(effect_K) >= min_effect
    impact_K = np.asarray(effect_K) * importance_K / max(float(importance_K.max(initial=0.0)), 1e-300)
    return Decision(
        (discovery_p_K <= level) & matters_K, (family_p_K <= level) & matters_K, discovery_p_K, family_p_K, impact_K
    )


def confirmed(flags_SK: Flags, slices: int) -> Flags:
    """Tell which tests were flagged in each of the last *slices* slices, so that a single odd hour wakes nobody.

    Raises:
        UserError: *slices* is below 1.
    """
    if slices < 1:
        raise UserError(f"slices is {slices}: give 1 (no confirmation) or more.")
    if len(flags_SK) < slices:
        return np.zeros(flags_SK.shape[1], dtype=np.bool_)
    return np.asarray(flags_SK[-slices:].all(axis=0))


def visible_shift(n: int, m: int, *, level: float, tests: int, power: float = 0.9, design_effect: float = 1.0) -> float:
    """Return the shift of the mean, in standard deviations, that a report would have found with chance *power*.

    Args:
        n, m: reference and current rows.
        level: of the report.
        tests: in the report, ≥ 1.
        power: within (0, 1).
        design_effect: ≥ 1.

    Source: the power of a two-sample z-test; exact to a few per cent for bell-shaped columns, and on the safe side for
    others, since ranks see a shift of a skewed or heavy-tailed column sooner.
    """
    if min(n, m) == 0:
        return math.inf
    reach = float(ndtri(power) - ndtri(level / max(tests, 1) / _KINDS / 2))
    return reach * math.sqrt(design_effect * (1 / n + 1 / m))


def visible_effect(
    n: int, m: int, *, level: float, tests: int, power: float = 0.9, design_effect: float = 1.0
) -> float:
    """Return the share of rows, 0 … 1, that must have moved for a report to find it with chance *power*.

    The share that moves across the median in the shift of `visible_shift`; see there for arguments.
    """
    shift = visible_shift(n, m, level=level, tests=tests, power=power, design_effect=design_effect)
    return min(1.0, 1.25 * _SHARE_PER_SIGMA * shift)
