"""Where is a model worst? A search over the values of single features and of pairs, with false discoveries bounded.

Legend: N rows, K candidates (parts of the rows, by one feature or by two, that are large enough to be tested).

Each cell's figure is compared with that of all rows, one-sided, with standard errors that know of repeated users and
items; p-values are adjusted over every cell that was tested (Benjamini and Hochberg). What is left is ordered by
evidence, and a cell is listed only if it is still worse on the rows that no cell before it holds: neither the parts
of a bad slice nor what contains it is told again. In the spirit of Chung et al., "Slice Finder: automated data slicing
for model validation" (2019); here both the search and the errors are exact for one and two features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from orita.models.evaluation.figures import check, check_both_kinds
from orita.models.evaluation.parts import partings
from orita.models.evaluation.scored_rows import Scores
from orita.models.evaluation.slice_measures import Measure
from orita.models.evaluation.slice_search import Candidate, SliceSearch, cells_of
from orita.models.examples import Examples
from orita.stats.multiplicity import benjamini_hochberg

__all__ = ["WorstSlice", "WorstSlices", "worst_slices"]


@dataclass(frozen=True, slots=True)
class WorstSlice:
    """A part of the rows where the model is worse than on all of them.

    Attributes:
        conditions: one or two (feature, value).
        rows, positives: how many rows hold them.
        value: the figure there.
        difference: how much worse than on all rows, > 0.
        effect: the difference in standard deviations: of rows for a loss, of scores (binormal d′) for AUC.
        p_value: chance of a slice this bad if it were like all rows.
        adjusted_p: the same after adjustment for all slices tested.
    """

    conditions: tuple[tuple[str, str], ...]
    rows: int
    positives: int
    value: float
    difference: float
    effect: float
    p_value: float
    adjusted_p: float

    @property
    def text(self) -> str:
        """The conditions as one phrase."""
        return " and ".join(_phrase(name, value) for name, value in self.conditions)


@dataclass(frozen=True, slots=True)
class WorstSlices:
    """The outcome of a search.

    Attributes:
        measure: ``log_loss``, ``surprise`` or ``auc``.
        overall: the figure on all rows.
        tested: how many slices were tested.
        level: at most this share of the listed slices is false, on average.
        slices: those found, the clearest first.
    """

    measure: Measure
    overall: float
    tested: int
    level: float
    slices: list[WorstSlice]

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as plain JSON values."""
        return asdict(self)


def worst_slices(
    scores_N: Scores,
    rows: Examples,
    *,
    measure: Measure = "log_loss",
    features: Sequence[str] | None = None,
    train: Examples | None = None,
    pairs: bool = True,
    least_rows: int | None = None,
    least_effect: float = 0.05,
    level: float = 0.05,
    most: int = 10,
    at_most: int = 100_000,
    seed: int = 0,
) -> WorstSlices:
    """Search for the rows where the model is worst.

    Args:
        scores_N: click probabilities, in the order of *rows*.
        rows: labelled rows.
        measure: ``log_loss``, as it is; ``surprise``, the log loss beyond what the scores themselves promised, which
            leaves out rows that are merely hard to foretell; ``auc`` within the slice.
        features: names of features to search; None: all.
        train: training rows: with them known and unknown users and items are searched too.
        pairs: whether pairs of features are searched.
        least_rows: size of a slice worth finding; None: 1 % of the rows, at least 50.
        least_effect: effect worth telling, in standard deviations, ≥ 0.
        level: bound of the share of false slices among those listed; nothing to find: of the chance to list any.
        most: slices listed.
        at_most: rows searched; of more, this many are drawn.
        seed: of that draw.

    Raises:
        UserError: as `orita.models.evaluation.evaluate`; for ``auc`` also rows of one kind.
        NotFound: there is no such feature.
    """
    check(scores_N, rows, ())
    if len(rows) > at_most:
        drawn = np.sort(np.random.default_rng(seed).choice(len(rows), at_most, replace=False))
        scores_N, rows = scores_N[drawn], rows.take(drawn)
    if measure == "auc":
        check_both_kinds(rows)
    search = SliceSearch(measure, rows, scores_N, least_rows or max(50, len(rows) // 100))
    cuts = partings(rows, features, train)
    candidates = [candidate for cells in cells_of(cuts, pairs=pairs) for candidate in search.test(cells)]
    found = _worse(candidates, level, least_effect)
    slices = [_slice(candidate, p) for candidate, p in search.without_echoes(found, most, level)]
    return WorstSlices(measure, search.measure.overall, len(candidates), level, slices)


def _worse(candidates: Sequence[Candidate], level: float, least_effect: float) -> list[tuple[Candidate, float]]:
    """Return those that are surely worse, with their adjusted p, the clearest first, of two alike the simpler."""
    adjusted_K = benjamini_hochberg(np.array([candidate.test.p_value for candidate in candidates]))
    found = [
        (candidate, float(p))
        for candidate, p in zip(candidates, adjusted_K, strict=True)
        if p <= level and candidate.test.effect >= least_effect
    ]
    return sorted(found, key=lambda pair: (-pair[0].test.evidence, len(pair[0].cells.cuts)))


def _slice(found: Candidate, adjusted_p: float) -> WorstSlice:
    test = found.test
    return WorstSlice(
        found.cells.conditions(test.cell),
        test.rows,
        test.positives,
        test.value,
        test.difference,
        test.effect,
        test.p_value,
        adjusted_p,
    )


def _phrase(name: str, value: str) -> str:
    if value[0] in "≤>":
        return f"{name} {value}"
    if "…" in value:
        return value.replace("…", name)
    return f"{name} {value}" if value in ("missing", "known", "unknown") else f"{name} = {value}"
