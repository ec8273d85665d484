"""What the trees of `orita.models.retrieval.reranked` see of a candidate.

Legend: Q queries, I items, C candidates of a query, N rows (queries × candidates), F features, M members.

Scores of members are standardised within a query, over the items that are not in its history: they then mean the same
for short and long histories, and for members that learnt from a part of the interactions. Counts are taken relative to
their mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from orita.models.package.manifest import Contents
from orita.models.retrieval.arrays import read_arrays, write_arrays
from orita.models.retrieval.catalogue import Catalogue
from orita.models.retrieval.scorer import Floats, Queries
from orita.models.retrieval.top import best

__all__ = ["Evidence"]

_AVERAGE_TAKERS = 5.0  # so many average weights are added to those of an item


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the items and the usual history, beside the members' scores.

    Attributes:
        takers_I: log of the number of users who took an item, less its mean.
        weight_I: mean weight of an item's interactions.
        usual_size: mean log of the length of a history, one number.
    """

    takers_I: Floats
    weight_I: Floats
    usual_size: Floats

    @classmethod
    def of_catalogue(cls, catalogue: Catalogue) -> Self:
        """Return the evidence of all histories of *catalogue*."""
        seen_UI = catalogue.seen_UI
        log_I = np.log1p(catalogue.takers_I)
        total_I = np.bincount(seen_UI.indices, seen_UI.data, minlength=len(catalogue.items))
        mean = float(seen_UI.data.mean())
        weight_I = (total_I + _AVERAGE_TAKERS * mean) / (catalogue.takers_I + _AVERAGE_TAKERS)
        usual = np.log1p(np.diff(seen_UI.indptr)).mean(keepdims=True)
        return cls(log_I - log_I.mean(), weight_I.astype(np.float32), usual.astype(np.float32))

    def of(
        self, queries: Queries, scores_MQI: Sequence[Floats], candidates: int
    ) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
        """Return the first member's standard scores ``found_QI``, the candidates ``at_QC``, and their ``x_NF``."""
        seen_QI = queries.history_QI.toarray() > 0
        count = min(candidates, seen_QI.shape[1])
        standard_MQI = [_standardised(scores_QI, seen_QI) for scores_QI in scores_MQI]
        at_QC, _ = best(np.where(seen_QI, -np.inf, standard_MQI[0]), count)
        size_Q = np.log1p(np.diff(queries.history_QI.indptr)) - self.usual_size
        features = [np.take_along_axis(standard_QI, at_QC, 1) for standard_QI in standard_MQI]
        features += [self.takers_I[at_QC], self.weight_I[at_QC], np.repeat(size_Q[:, None], count, 1)]
        x_NF = np.stack(features, axis=-1).reshape(-1, len(features)).astype(np.float32)
        return standard_MQI[0], at_QC, x_NF

    def write(self, file: Path) -> None:
        """Write all arrays."""
        write_arrays(file, **asdict(self))

    @classmethod
    def read(cls, contents: Contents, name: str, catalogue: Catalogue) -> Self:
        """Read what `write` wrote.

        Raises:
            UserError: the file is damaged or of other items.
        """
        an_item = ("f", (len(catalogue.items),))
        shapes = {"takers_I": an_item, "weight_I": an_item, "usual_size": ("f", (1,))}
        return cls(**read_arrays(contents, name, shapes))


def _standardised(scores_QI: Floats, seen_QI: npt.NDArray[np.bool_]) -> Floats:
    open_QI = ~seen_QI
    count_Q = np.maximum(open_QI.sum(1, keepdims=True), 1)
    mean_Q = np.sum(scores_QI, axis=1, keepdims=True, where=open_QI) / count_Q
    centred_QI = scores_QI - mean_Q
    deviation_Q = np.sqrt(np.sum(centred_QI**2, axis=1, keepdims=True, where=open_QI) / count_Q)
    standard_QI: Floats = (centred_QI / np.maximum(deviation_Q, 1e-6)).astype(np.float32)
    return standard_QI
