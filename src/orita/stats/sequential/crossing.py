"""How often does a test that is looked at again and again reject? The chance that a drifting score leaves its bounds.

Legend: L looks, G grid points.

At look l the score has gathered the share v of the planned information: it is normal with mean drift·v and variance v,
with independent increments. Its density inside the bounds is carried from look to look by Gauss-Legendre quadrature:
Armitage, McPherson and Rowe, "Repeated significance tests on accumulating data" (1969); Jennison and Turnbull, "Group
sequential methods with applications to clinical trials" (2000), chapter 19. The drift is the planned effect over the
standard error at the planned end: 2.80 for a power of 80 % of a fixed two-sided test at 0.05.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from orita.stats.sequential.mixtures import Mixture, Side

__all__ = ["crossing_chance", "sequential_power"]

Floats = npt.NDArray[np.float64]

_FAR = 9.0  # standard deviations, where a side has no bound
_PER_STEP = 2.5  # points to a standard deviation of one step


def crossing_chance(low_L: Floats, high_L: Floats, information_L: Floats, drift: float) -> float:
    """Return the chance that the score leaves its bounds at one of the looks.

    Args:
        low_L, high_L: bounds of the score at each look; infinite where there is none.
        information_L: information at each look, ascending, in the unit in which the drift is given.
        drift: mean of the score for each unit of information.
    """
    left, before = 0.0, 0.0
    points_G, mass_G = np.zeros(1), np.ones(1)
    for low, high, now in zip(low_L, high_L, information_L, strict=True):
        spread = math.sqrt(now - before)
        mean_G = points_G + drift * (now - before)
        left += float(mass_G @ (ndtr((low - mean_G) / spread) + ndtr((mean_G - high) / spread)))
        reach = _FAR * math.sqrt(now)
        bottom, top = max(float(low), drift * now - reach), min(float(high), drift * now + reach)
        if bottom >= top:  # so great a drift leaves nothing inside
            break
        nodes, weights = _rule(math.ceil((top - bottom) / spread * _PER_STEP / 16 + 2) * 16)
        next_G = (bottom + top) / 2 + nodes * (top - bottom) / 2
        gap_GG = (next_G[None, :] - mean_G[:, None]) / spread
        density_G = mass_G @ np.exp(-(gap_GG**2) / 2) / (spread * math.sqrt(2 * math.pi))
        points_G, mass_G, before = next_G, density_G * weights * (top - bottom) / 2, float(now)
    return min(left, 1.0)  # quadrature may come to a few millionths of a millionth more


def sequential_power(drift: float, *, level: float = 0.05, looks: int = 100, side: Side = "both") -> float:
    """Return the chance to have rejected by the planned end, when the mixture was made for the effect that is there.

    Args:
        drift: planned effect ÷ standard error at the planned end, > 0.
        level: of the test, over all looks together.
        looks: how many, evenly spaced in information up to the end.
        side: the alternative.
    """
    information_L = np.arange(1, looks + 1) / looks
    error_L = 1 / np.sqrt(information_L)
    bound_L = Mixture.for_effect(drift).radius(error_L, level, side=side) * information_L
    low_L = -bound_L if side == "both" else np.full(looks, -np.inf)
    return crossing_chance(low_L, bound_L, information_L, abs(drift))


@cache
def _rule(points: int) -> tuple[Floats, Floats]:
    """Return nodes and weights of Gauss and Legendre on [−1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return nodes, weights
