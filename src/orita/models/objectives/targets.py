"""From rows to what heads learn: which heads these rows can teach, and the target of each in [0, 1].

Legend: N rows, H heads.

An amount, such as seconds, is learned as its share of a cap, by the same loss as a flag: the binary cross-entropy with
the share as its target. It is least where the output is the mean share (Papke and Wooldridge, "Econometric methods for
fractional response variables", 1996), so the output times the cap is the expected amount: of seconds, not of their
logarithm, whose mean would have to be turned back with an assumption about the spread. The odds of weighted logistic
regression (Covington et al., "Deep Neural Networks for YouTube Recommendations", 2016) are the expected amount only
where clicks are rare, and need a click as their positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from orita.core.errors import NotFound, UserError, closest
from orita.models.config import HeadSection
from orita.models.examples import Examples
from orita.models.objectives.heads import MOST_HEADS, Head

__all__ = ["heads_for", "targets"]


def heads_for(rows: Examples, sections: Mapping[str, HeadSection]) -> tuple[tuple[Head, ...], dict[str, str]]:
    """Return the heads that *rows* can teach, the label's first, and why each other one is left out, by name.

    Args:
        rows: the training rows.
        sections: ``model.heads``; the label's may be among them.

    Raises:
        NotFound: a head is neither the label nor an outcome of the rows.
        UserError: an outcome is negative somewhere, or there are more than 32 heads.
    """
    heads, left_out = [Head(rows.label)], {}
    for name, section in sections.items():
        if name == rows.label:
            continue
        if name not in rows.outcomes:
            told = closest(name, [rows.label, *rows.outcomes])
            raise NotFound(
                f"model.heads names {name!r}, which is neither the label nor an outcome of the training rows. {told} "
                "A system declares outcomes beside its label, and 'orita run etl' then makes rows that have them."
            )
        known_K = rows.outcomes[name][np.isfinite(rows.outcomes[name])]
        if len(known_K) == 0:
            left_out[name] = "no training row says it"
        elif known_K.min() < 0:
            raise UserError(f"outcome {name!r} has the value {known_K.min():g}, allowed is 0 or more; mend the data.")
        elif known_K.max() == 0:
            left_out[name] = "it is 0 in all training rows"
        else:
            heads.append(_head(name, known_K, section))
    if len(heads) > MOST_HEADS:
        raise UserError(f"model.heads names {len(heads)} heads, allowed are {MOST_HEADS}.")
    return tuple(heads), left_out


def _head(name: str, known_K: npt.NDArray[np.float32], section: HeadSection) -> Head:
    if section.cap is None and bool(np.all((known_K == 0) | (known_K == 1))):
        return Head(name)
    return Head(name, "amount", float(known_K.max()) if section.cap is None else section.cap)


def targets(rows: Examples, heads: Sequence[Head]) -> npt.NDArray[np.float32]:
    """Return ``targets_NH`` in [0, 1], NaN where a row does not say it, or the rows have no such outcome."""
    targets_NH = np.full((len(rows), len(heads)), np.nan, np.float32)
    for column, head in enumerate(heads):
        told_N = rows.y_N if head.name == rows.label else rows.outcomes.get(head.name)
        if told_N is not None:
            share_N = np.minimum(told_N / np.float32(head.cap), np.float32(1))
            targets_NH[:, column] = np.where(np.isfinite(told_N), share_N, np.float32(np.nan))
    return targets_NH
