"""Beliefs of Thompson sampling: an independent posterior of each arm's value.

Legend: A arms, K positions, B breakpoints, P points.

A pick draws from each posterior and takes the largest. Its probability is a one-dimensional integral (`best_of`).
The integral is over a coordinate in which densities are smooth and fall off fast: the value itself, or its logit where
the value is a rate: there Beta(a, b) has the density exp(a u) (1 + exp u)^−(a+b) ÷ B(a, b), without poles at its ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from orita.delivery.bandits.belief import FloatArray, Propensities, draw_best
from orita.delivery.bandits.best_of import best_probabilities, slate_conditionals

__all__ = ["BetaBelief", "NormalBelief", "StudentBelief"]

_FEW = 32  # up to so many arms single draws are quicker than an array of them
_AHEAD = 4096  # draws at once, at most, unless there are more arms
_STEPS = np.array([0.5, 1.0, 1.75, 2.5, 3.5, 4.5, 6.0, 7.5])  # standard deviations; a normal has 6e-14 outside
_TAIL = 1e-10  # of a Student distribution outside the grid


@dataclass(slots=True)
class BetaBelief:
    """Rates with Beta(a, b) posteriors.

    Picks of one belief are independent of each other, so they may be drawn ahead: alone first, then in blocks that
    double, which cost a tenth a pick. A belief that lasts for one pick does no work in vain.

    Attributes:
        a_A: > 0.
        b_A: > 0.
    """

    a_A: FloatArray
    b_A: FloatArray
    _ahead: list[int] = field(default_factory=list, init=False, repr=False)
    _block: int = field(default=1, init=False, repr=False)

    def pick(self, rng: np.random.Generator) -> int:
        """Return the arm with the largest draw."""
        if self._ahead:
            return self._ahead.pop()
        arms, block = len(self.a_A), self._block
        self._block = min(2 * block, max(1, _AHEAD // arms))
        if block == 1 and arms <= _FEW:
            draws = [rng.beta(a, b) for a, b in zip(self.a_A.tolist(), self.b_A.tolist(), strict=True)]
            return draws.index(max(draws))
        self._ahead = rng.beta(self.a_A, self.b_A, size=(block, arms)).argmax(axis=1).tolist()
        return self._ahead.pop()

    def order(self, k: int, rng: np.random.Generator) -> list[int]:
        """Return *k* arms, a fresh draw for each position."""
        return draw_best(rng.beta(self.a_A, self.b_A, size=(k, len(self.a_A))))

    def conditionals(self, order_K: list[int], rng: np.random.Generator) -> Propensities:
        """Return them by quadrature."""
        return slate_conditionals(self._log_density, self._breaks(), self._spread(), order_K)

    def probabilities(self, rng: np.random.Generator) -> Propensities:
        """Return them by quadrature."""
        return best_probabilities(self._log_density, self._breaks(), self._spread())

    def _log_density(self, logit_P: FloatArray) -> FloatArray:
        a_A1, b_A1 = self.a_A[:, None], self.b_A[:, None]
        # Each of the two logarithms is of a rate near its own end, so that neither end loses digits.
        log_rate_P, log_other_P = -np.logaddexp(0, -logit_P), -np.logaddexp(0, logit_P)
        lgamma = math.lgamma
        norm = [lgamma(a) + lgamma(b) - lgamma(a + b) for a, b in zip(self.a_A, self.b_A, strict=True)]
        values: FloatArray = a_A1 * log_rate_P + b_A1 * log_other_P - np.array(norm)[:, None]
        return values

    def _breaks(self) -> FloatArray:
        """Return points of each arm: steps of a standard deviation, or of what the tails need to fall to e^−30."""
        spread_A = self._spread()
        reach_AB = _STEPS / _STEPS[-1]
        below_AB = -np.maximum(_STEPS[-1] * spread_A, 30 / self.a_A)[:, None] * reach_AB[::-1]
        above_AB = np.maximum(_STEPS[-1] * spread_A, 30 / self.b_A)[:, None] * reach_AB
        core_AB = spread_A[:, None] * np.concatenate([-_STEPS[::-1], [0], _STEPS])
        breaks_AB = np.sort(np.concatenate([below_AB, core_AB, above_AB], axis=1), axis=1)
        points_AB: FloatArray = np.log(self.a_A / self.b_A)[:, None] + breaks_AB
        return points_AB

    def _spread(self) -> FloatArray:
        return np.sqrt(1 / self.a_A + 1 / self.b_A)  # of the logit, by the curvature at its mode


@dataclass(frozen=True, slots=True)
class NormalBelief:
    """Values with normal posteriors.

    Attributes:
        mean_A: finite.
        deviation_A: standard deviations, > 0.
    """

    mean_A: FloatArray
    deviation_A: FloatArray

    def pick(self, rng: np.random.Generator) -> int:
        """Return the arm with the largest draw."""
        return int((self.mean_A + self.deviation_A * rng.standard_normal(len(self.mean_A))).argmax())

    def order(self, k: int, rng: np.random.Generator) -> list[int]:
        """Return *k* arms, a fresh draw for each position."""
        return draw_best(self.mean_A + self.deviation_A * rng.standard_normal((k, len(self.mean_A))))

    def conditionals(self, order_K: list[int], rng: np.random.Generator) -> Propensities:
        """Return them by quadrature."""
        return slate_conditionals(self._log_density, self._breaks(), self.deviation_A, order_K)

    def probabilities(self, rng: np.random.Generator) -> Propensities:
        """Return them by quadrature."""
        return best_probabilities(self._log_density, self._breaks(), self.deviation_A)

    def _log_density(self, x_P: FloatArray) -> FloatArray:
        z_AP = (x_P - self.mean_A[:, None]) / self.deviation_A[:, None]
        values: FloatArray = -0.5 * z_AP**2 - np.log(self.deviation_A * math.sqrt(2 * math.pi))[:, None]
        return values

    def _breaks(self) -> FloatArray:
        steps_B = np.concatenate([-_STEPS[::-1], [0], _STEPS])
        points_AB: FloatArray = self.mean_A[:, None] + self.deviation_A[:, None] * steps_B
        return points_AB


@dataclass(frozen=True, slots=True)
class StudentBelief:
    """Values with Student t posteriors: means of normal rewards whose variance is not known either.

    Attributes:
        mean_A: locations.
        scale_A: > 0.
        degrees_A: of freedom, ≥ 1.
    """

    mean_A: FloatArray
    scale_A: FloatArray
    degrees_A: FloatArray

    def pick(self, rng: np.random.Generator) -> int:
        """Return the arm with the largest draw."""
        return int((self.mean_A + self.scale_A * rng.standard_t(self.degrees_A)).argmax())

    def order(self, k: int, rng: np.random.Generator) -> list[int]:
        """Return *k* arms, a fresh draw for each position."""
        draws_KA = rng.standard_t(self.degrees_A, size=(k, len(self.mean_A)))
        return draw_best(self.mean_A + self.scale_A * draws_KA)

    def conditionals(self, order_K: list[int], rng: np.random.Generator) -> Propensities:
        """Return them by quadrature; what is left outside the grid is part of the error."""
        found = slate_conditionals(self._log_density, self._breaks(), self.scale_A, order_K)
        return Propensities(found.values, found.errors + _TAIL)

    def probabilities(self, rng: np.random.Generator) -> Propensities:
        """Return them by quadrature; what is left outside the grid is part of the error."""
        found = best_probabilities(self._log_density, self._breaks(), self.scale_A)
        return Propensities(found.values, found.errors + _TAIL)

    def _log_density(self, x_P: FloatArray) -> FloatArray:
        lgamma, degrees = math.lgamma, self.degrees_A.tolist()
        norm_A = np.array([lgamma((v + 1) / 2) - lgamma(v / 2) - 0.5 * math.log(v * math.pi) for v in degrees])
        z_AP = (x_P - self.mean_A[:, None]) / self.scale_A[:, None]
        v_A1 = self.degrees_A[:, None]
        values: FloatArray = (norm_A - np.log(self.scale_A))[:, None] - (v_A1 + 1) / 2 * np.log1p(z_AP**2 / v_A1)
        return values

    def _breaks(self) -> FloatArray:
        """Return points of each arm: as of a normal, then in growing steps as far as its tail has mass."""
        far_A = np.maximum(_STEPS[-1], 8 * np.sqrt(self.degrees_A) * _TAIL ** (-1 / self.degrees_A))
        growing_AB = _STEPS[-1] * (far_A[:, None] / _STEPS[-1]) ** np.linspace(0, 1, 33)[1:]
        half_AB = np.concatenate([np.broadcast_to(_STEPS, (len(far_A), len(_STEPS))), growing_AB], axis=1)
        middle_A1 = np.zeros((len(far_A), 1))
        steps_AB = np.concatenate([-half_AB[:, ::-1], middle_A1, half_AB], axis=1)
        points_AB: FloatArray = self.mean_A[:, None] + self.scale_A[:, None] * steps_AB
        return points_AB
