"""How probable is it that an arm's value is the largest? Quadrature over independent posteriors.

Legend: A arms, B breakpoints of an arm, Q panels, P = Q × nodes of the grid, K positions of a slate.

For independent values with densities f and distribution functions F the probability is ∫ f_a ∏ F_b over the others b.
The line is cut into panels where the posteriors change, and each panel is integrated by Gauss–Legendre; distribution
functions are the integrals of the interpolating polynomials, so only densities are asked for. Below the largest of the
arms' lower ends some F is 0, so the grid starts there: it stays small where many arms are alike.

Source: Davis and Rabinowitz (1984), Methods of numerical integration, 2.7 (Gauss rules), 2.9 (indefinite integrals).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import legendre

from orita.delivery.bandits.belief import FloatArray, Propensities

__all__ = ["LEAST", "Density", "best_probabilities", "slate_conditionals"]

LEAST = 1e-15  # what was drawn has at least this probability: the quadrature does not see less
_NODES = 10
_FINEST = 0.25  # panels are no finer than this part of the narrowest posterior
Density = Callable[[FloatArray], FloatArray]  # log density of each arm at points: [P] → [A, P]


def best_probabilities(log_density: Density, breaks_AB: FloatArray, spread_A: FloatArray) -> Propensities:
    """Return the probability of each arm to have the largest value, [A].

    Args:
        log_density: of all arms at given points.
        breaks_AB: ascending points of each arm from where its distribution function is 0 to where it is 1.
        spread_A: width of each posterior, about one standard deviation.
    """
    grid = _Grid.over(log_density, breaks_AB, spread_A, float(breaks_AB[:, 0].max()))
    parts_AQ = grid.panel_sums(grid.density_AP * _products_of_others(grid.cdf_AP))
    values_A = parts_AQ.sum(axis=1)
    # The sum over arms is the increase of ∏ F, panel by panel: what it misses is the error of the quadrature.
    edges_Q1 = np.prod(grid.edge_cdf_AQ1, axis=0)
    error = float(np.abs(parts_AQ.sum(axis=0) - np.diff(edges_Q1)).sum() + edges_Q1[0])
    return Propensities(np.clip(values_A, 0.0, 1.0), np.full(len(values_A), error))


def slate_conditionals(
    log_density: Density, breaks_AB: FloatArray, spread_A: FloatArray, order_K: list[int]
) -> Propensities:
    """Return the probability of each pick to be the best of the arms left, [K], each at least 1e-15.

    The arms that are left at the last position are left at all, so one grid serves them all.
    """
    rest = np.setdiff1d(np.arange(len(breaks_AB)), order_K[:-1])
    grid = _Grid.over(log_density, breaks_AB, spread_A, float(breaks_AB[rest, 0].max()))
    unpicked = np.setdiff1d(rest, order_K[-1:])
    others_P = np.prod(grid.cdf_AP[unpicked], axis=0)
    rate_P = (grid.density_AP[unpicked] * _products_of_others(grid.cdf_AP[unpicked])).sum(axis=0)
    edges_Q1 = np.prod(grid.edge_cdf_AQ1[unpicked], axis=0)
    values_K, errors_K = np.empty(len(order_K)), np.empty(len(order_K))
    for position in range(len(order_K) - 1, -1, -1):
        density_P, cdf_P = grid.density_AP[order_K[position]], grid.cdf_AP[order_K[position]]
        best_P = density_P * others_P
        values_K[position] = grid.panel_sums(best_P).sum()
        others_P, rate_P = others_P * cdf_P, rate_P * cdf_P + best_P
        edges_Q1 = edges_Q1 * grid.edge_cdf_AQ1[order_K[position]]
        errors_K[position] = np.abs(grid.panel_sums(rate_P) - np.diff(edges_Q1)).sum() + edges_Q1[0]
    if not len(unpicked):
        values_K[-1], errors_K[-1] = 1.0, 0.0  # the only arm left
    return Propensities(np.clip(values_K, LEAST, 1.0), errors_K)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Densities and distribution functions of all arms at the nodes of the panels, and at the panels' edges."""

    half_Q: FloatArray  # half the width of each panel
    density_AP: FloatArray
    cdf_AP: FloatArray
    edge_cdf_AQ1: FloatArray

    @classmethod
    def over(cls, log_density: Density, breaks_AB: FloatArray, spread_A: FloatArray, low: float) -> _Grid:
        """Lay panels from *low* to the largest breakpoint."""
        high = float(breaks_AB[:, -1].max())
        reaching_A = breaks_AB[:, -1] > low
        inside = breaks_AB[reaching_A].ravel()
        inside = np.sort(inside[(inside > low) & (inside < high)])
        finest = _FINEST * float(spread_A[reaching_A].min())
        first = np.unique(np.floor((inside - low) / finest), return_index=True)[1]
        edges = np.concatenate(([low], inside[first], [high]))
        half_Q = np.diff(edges) / 2
        nodes_N, _, _ = _rule()
        points_P = (edges[:-1, None] + half_Q[:, None] * (1 + nodes_N)).ravel()
        density_AP = np.exp(log_density(points_P))
        return cls(half_Q, density_AP, *_integrated(density_AP, half_Q))

    def panel_sums(self, values_XP: FloatArray) -> FloatArray:
        """Return the integral over each panel, [X, Q] or [Q]."""
        _, weights_N, _ = _rule()
        sums: FloatArray = values_XP.reshape(*values_XP.shape[:-1], len(self.half_Q), _NODES) @ weights_N * self.half_Q
        return sums


def _integrated(density_AP: FloatArray, half_Q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the distribution functions at nodes and edges: 1 less the integral of the density from there to the end.

    From the upper end, as the grid does not reach down to where they are 0.
    """
    _, weights_N, indefinite_NN = _rule()
    density_AQN = density_AP.reshape(len(density_AP), len(half_Q), _NODES)
    panel_AQ = density_AQN @ weights_N * half_Q
    after_AQ1 = np.zeros((len(density_AP), len(half_Q) + 1))
    after_AQ1[:, -2::-1] = np.cumsum(panel_AQ[:, ::-1], axis=1)
    within_AQN = density_AQN @ indefinite_NN.T * half_Q[:, None]
    cdf_AQN = 1 - (after_AQ1[:, :-1, None] - within_AQN)
    return np.clip(cdf_AQN, 0, 1).reshape(density_AP.shape), np.clip(1 - after_AQ1, 0, 1)


def _products_of_others(cdf_AP: FloatArray) -> FloatArray:
    """Return for each arm the product of the others' rows; without division, as rows may be 0."""
    below_AP, above_AP = np.ones_like(cdf_AP), np.ones_like(cdf_AP)
    np.cumprod(cdf_AP[:-1], axis=0, out=below_AP[1:])
    np.cumprod(cdf_AP[:0:-1], axis=0, out=above_AP[:-1][::-1])
    products_AP: FloatArray = below_AP * above_AP
    return products_AP


@cache
def _rule() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return nodes and weights on [−1, 1], and the matrix that takes values at nodes to integrals from −1 to nodes."""
    nodes_N, weights_N = legendre.leggauss(_NODES)
    values_NN = legendre.legvander(nodes_N, _NODES)
    # ∫ P_n = (P_{n+1} − P_{n−1}) / (2n + 1), and P_1 + P_0 for n = 0: zero at −1.
    integrals = [values_NN[:, 1] + values_NN[:, 0]]
    integrals += [(values_NN[:, n + 1] - values_NN[:, n - 1]) / (2 * n + 1) for n in range(1, _NODES)]
    indefinite_NN = np.stack(integrals, axis=1) @ np.linalg.inv(values_NN[:, :_NODES])
    return nodes_N, weights_N, indefinite_NN
