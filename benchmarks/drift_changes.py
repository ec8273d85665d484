"""Does a drift report find what a test that knows the kind of change would find? Oracles, and the report beside them.

Legend: N rows, C cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from benchmarks.drift_report import LEVEL, PAIRS, SEGMENT_TESTS, our_p
from benchmarks.drift_worlds import INTENSITIES, KINDS, Kind
from scipy.special import gammaincc
from scipy.stats import hypergeom, ks_2samp, norm, ttest_ind

from orita.stats.drift.cells import category_cells, value_cells
from orita.stats.drift.column import column_test
from orita.stats.drift.null import relabelled_p
from orita.stats.psi import psi
from orita.stats.two_sample import ks_statistic

__all__ = [
    "SURE", "Change", "changes", "homogeneity_p", "oracle_level", "oracle_p", "outlier", "power", "shift_power",
]  # fmt: skip

SURE = 0.999
_LOOKS, _FIRST_LOOKS, _DRAWS = 8, 3, 4_000

Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Change:
    """One kind at one intensity and size: what the oracle can do, and what the report did.

    Attributes:
        oracle: power of the test that knows the kind.
        runs, found: tries where the oracle is sure, and those in which the report found the change.
        ks, psi: likewise for the thresholds KS > 0.1 and PSI > 0.2.
    """

    kind: str
    n: int
    intensity: float
    oracle: float
    runs: int = 0
    found: int = 0
    ks: int = 0
    psi: int = 0

    @property
    def detected(self) -> bool:
        """The report found the change in at least 99 % of the runs."""
        return self.runs > 0 and self.found >= 0.99 * self.runs


def oracle_p(kind: Kind, before: Floats, now: Floats) -> float:
    """Return the p-value of the best test that knows the kind, in its place."""
    if kind.how == "segment":
        before, now = before[before[:, 1] == 2], now[now[:, 1] == 2]
    if kind.score is not None:
        first, second = kind.score(before), kind.score(now)
        if set(np.unique(first)) <= {0.0, 1.0} and set(np.unique(second)) <= {0.0, 1.0}:
            return _exact(int(second.sum()), int(first.sum() + second.sum()), len(first), len(second))
        return float(ttest_ind(first, second, equal_var=False).pvalue)
    cells = category_cells(before, now)
    total_C = cells.reference_C + cells.current_C
    if kind.how == "shares":
        return homogeneity_p(cells.reference_C, cells.current_C)
    if kind.how == "cell":
        pairs = zip(cells.current_C.tolist(), total_C.tolist(), strict=True)
        return min(_exact(x, t, cells.n, cells.m) for x, t in pairs)
    alone = float(cells.current_C[cells.reference_C == 0].sum())

    def unseen(x_RC: Floats) -> Floats:
        return np.asarray(np.where(x_RC == total_C, total_C, 0).sum(axis=1))

    return relabelled_p(alone, unseen, total_C, cells.m, tail=False, draws=_DRAWS).p_value


def homogeneity_p(first_C: npt.NDArray[np.integer], second_C: npt.NDArray[np.integer]) -> float:
    """Return the p-value of Pearson's χ² of two samples of categories, rare ones included.

    χ² is taken for a gamma variable of its mean and variance given both margins, which hold for any counts.
    Source: Lewis, Saunders and Westcott (1984), The moments of the Pearson chi-squared statistic.
    """
    t_C = (first_C + second_C).astype(np.float64)
    first_C, t_C = first_C[t_C > 0], t_C[t_C > 0]
    n, rows, cells = float(first_C.sum()), float(t_C.sum()), len(t_C)
    if cells < 2 or not 0 < n < rows or rows < 4:
        return 1.0
    share = n / rows
    statistic = float(((first_C - share * t_C) ** 2 / t_C).sum() / share / (1 - share))
    v = [(k - 1) * (rows - k) / (rows - 1) for k in (2, cells)]
    inverses = (1 / n + 1 / (rows - n), float((1 / t_C).sum()))
    w = [(rows * inverse - k**2) / (rows - 2) for inverse, k in zip(inverses, (2, cells), strict=True)]
    mean = (cells - 1) * rows / (rows - 1)
    variance = 2 * rows / (rows - 3) * (v[0] - w[0]) * (v[1] - w[1]) + rows**2 / (rows - 1) * w[0] * w[1]
    return float(gammaincc(mean**2 / variance, statistic * mean / variance)) if variance > 0 else 1.0


def _exact(x: int, t: int, n: int, m: int) -> float:
    null = hypergeom(n + m, t, m)
    return float(min(1.0, 2 * min(null.cdf(x), null.sf(x - 1))))


def oracle_level(kind: Kind) -> float:
    """Return the oracle's level in one place: 1 % over the places that its kind may be in."""
    places = {"pair": PAIRS, "segment": SEGMENT_TESTS}
    return LEVEL / places.get(kind.how, 20 * (kind.tries if kind.how == "cell" else 1))


def power(p_values: Floats, level: float) -> float:
    """Return the power of a test from a few of its p-values, its statistic being about normal."""
    floor = 1 / (_DRAWS + 1)  # a p-value that was counted says no more than this
    if (p_values <= floor * 1.001).all() and len(set(p_values.tolist())) == 1 and level >= floor:
        return 1.0
    z = norm.isf(np.clip(p_values, 1e-300, 1.0) / 2)
    return float(norm.cdf((z.mean() - norm.isf(level / 2)) / max(z.std(ddof=1), 1.0)))


def changes(sizes: list[int], runs: int, seed: int) -> Iterator[Change]:
    """Yield, by kind, size and intensity, the oracle's power and, where it is sure, how often the report finds it."""
    for k, kind in enumerate(KINDS):
        for n in sizes:
            for d, intensity in enumerate(INTENSITIES):
                rng = np.random.default_rng((seed, k, n, d))
                yield _change(kind, n, intensity, max(2, round(runs * min(1.0, 20_000 / n))), rng)


def _change(kind: Kind, n: int, intensity: float, runs: int, rng: np.random.Generator) -> Change:
    def pair() -> tuple[Floats, Floats]:
        return kind.draw(rng, n, 0.0), kind.draw(rng, n, intensity)

    level = oracle_level(kind)
    pairs = [pair() for _ in range(_FIRST_LOOKS)]
    p_values = [oracle_p(kind, *each) for each in pairs]
    # Far from sure after three looks: more looks would not make the oracle so.
    if power(np.array(p_values), level) > 0.5:
        pairs += [pair() for _ in range(_LOOKS - _FIRST_LOOKS)]
        p_values += [oracle_p(kind, *each) for each in pairs[_FIRST_LOOKS:]]
    told = Change(kind.name, n, intensity, power(np.array(p_values), level))
    if told.oracle < SURE:
        return told
    for i in range(runs):
        before, now = pairs[i] if i < len(pairs) else pair()
        told.runs += 1
        told.found += our_p(kind, before, now, seed=i) <= LEVEL
        if before.ndim == 1:
            told.ks += ks_statistic(before, now) > 0.1
            told.psi += psi(before, now) > 0.2
    return told


def shift_power(runs: int, seed: int, n: int = 20_000) -> tuple[float, float]:
    """Return the power on + 0.05 σ of one column's test, and of KS, at the level 0.01."""
    rng, ours, ks = np.random.default_rng((seed, 5)), 0, 0
    for i in range(runs):
        before, now = rng.normal(size=n), rng.normal(0.05, 1, n)
        ours += column_test(value_cells(before, now), draws=2500, seed=i).p_value <= LEVEL
        ks += ks_2samp(before, now, method="asymp").pvalue <= LEVEL
    return ours / runs, ks / runs


def outlier(seed: int) -> tuple[float, float, float]:
    """Return p-values at 500 rows: of a shift of 1 σ without and with one value of 1e6, and of that value alone."""
    rng = np.random.default_rng((seed, 6))
    before, now = rng.normal(size=(2, 500))
    spoiled = now.copy()
    spoiled[0] = 1e6
    return tuple(column_test(value_cells(before, x)).p_value for x in (now + 1, spoiled + 1, spoiled))  # type: ignore[return-value]
