"""Ways to cut rows into parts: by the value of any feature, and by whether training knew the user and the item.

Legend: N rows, L parts.

A category or a flag is cut by its values, a number by its quantiles (by its values, if they are few); rows without a
value are a part of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import NotFound, closest
from orita.features.schema import FeatureColumn
from orita.models.examples import Examples
from orita.stats.psi import quantile_edges

__all__ = ["Parting", "partings"]

_FEW = 6


@dataclass(frozen=True, slots=True)
class Parting:
    """One way to cut the rows.

    Attributes:
        name: the feature, or ``user`` and ``item`` for known and unknown ids.
        labels: what each part is called: a value, a range, ``missing``, ``known``.
        part_N: part of each row, 0 … L−1.
    """

    name: str
    labels: tuple[str, ...]
    part_N: npt.NDArray[np.int32]


def partings(
    rows: Examples, names: Sequence[str] | None, train: Examples | None = None, *, bins: int = 4
) -> list[Parting]:
    """Return the partings of *rows* by the named features.

    Args:
        rows: the rows.
        names: features; None: all.
        train: training rows: with them the rows are also cut into those of known and of unknown users and items.
        bins: how many quantile ranges a number is cut into.

    Raises:
        NotFound: there is no such feature; the sentence lists what exists.
    """
    columns = {column.name: column for column in rows.schema.columns}
    for name in names or ():
        if name not in columns:
            raise NotFound(f"slices name the feature {name!r}, which is not there. {closest(name, columns)}")
    found = [_by_feature(rows, columns[name], bins) for name in (columns if names is None else names)]
    if train is not None:
        found.append(_by_knowledge("user", rows.users_N, train.users_N))
        found.append(_by_knowledge("item", rows.items_N, train.items_N))
    return found


def _by_feature(rows: Examples, column: FeatureColumn, bins: int) -> Parting:
    values_N = rows.x_NF[:, rows.schema.index(column.name)]
    missing_N = np.isnan(values_N)
    known_K = values_N[~missing_N]
    values_L = np.unique(known_K)
    if column.kind in ("category", "flag") or len(values_L) <= _FEW:
        labels, part_K = [f"{value:g}" for value in values_L], np.searchsorted(values_L, known_K)
    else:
        edges = quantile_edges(known_K, bins)
        used, part_K = np.unique(np.searchsorted(edges, known_K, side="left"), return_inverse=True)
        labels = [_range(edges, int(bin_)) for bin_ in used]
    part_N = np.full(len(values_N), len(labels), np.int32)
    part_N[~missing_N] = part_K
    return Parting(column.name, (*labels, "missing") if missing_N.any() else tuple(labels), part_N)


def _range(edges: npt.NDArray[np.float64], bin_: int) -> str:
    if bin_ == 0:
        return f"≤ {edges[0]:.4g}"
    if bin_ == len(edges):
        return f"> {edges[-1]:.4g}"
    return f"{edges[bin_ - 1]:.4g} < … ≤ {edges[bin_]:.4g}"


def _by_knowledge(name: str, ids_N: npt.NDArray[Any], known_N: npt.NDArray[Any]) -> Parting:
    found_N = np.isin(ids_N, np.unique(known_N))
    return Parting(name, ("known", "unknown"), (~found_N).astype(np.int32))
