"""A model's graph as requests run it: what it makes of items alone is made once, as long as they stay the same.

Legend: N rows of a request.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.checkpoints import checkpoint
from orita.features.schema import FeatureSchema
from orita.models.graph import ITEM_VECTORS, ROUNDED_FEATURES, open_graph, run_graph
from orita.models.graph_halves import halves
from orita.models.package.item_vectors import Ids, ItemVectors

__all__ = ["RequestGraph"]


@dataclass(frozen=True, slots=True)
class _Halves:
    """The graph in two: what makes and keeps the vectors of items, and the rest, with what it reads."""

    vectors: ItemVectors
    rest: Any
    reads: frozenset[str]


class RequestGraph:
    """Runs a graph for one user and some items; threads may share it.

    The graph is cut in two when it is first run: who only scores tables does not need that.

    Args:
        graph: the bytes of the graph.
        session: it, opened; what is run where it cannot be cut.
        schema: the model's features.
        items: how many rows the model's table of items has; None: the model reads no items, or no features.
        where: the file, for errors.
    """

    def __init__(self, graph: bytes, session: Any, schema: FeatureSchema, items: int | None, where: Path) -> None:
        self._graph, self._session, self._schema, self._items, self._where = graph, session, schema, items, where
        self._halves: _Halves | None = None
        self._cut = False
        self._cutting = threading.Lock()

    def run(self, item_ids: Ids, feeds: Mapping[str, npt.NDArray[Any]], output: str) -> npt.NDArray[np.float32]:
        """Return what the graph gives.

        Args:
            item_ids: the items, N of them.
            feeds: the inputs of the graph.
            output: which of its outputs.
        """
        if not self._cut:
            self._cut_in_two()
        both = self._halves
        if both is None:
            return run_graph(self._session, feeds, output)
        features = feeds["features"]
        found = {**feeds, ITEM_VECTORS: both.vectors.of(item_ids, feeds["items"], features), ROUNDED_FEATURES: features}
        return run_graph(both.rest, {name: found[name] for name in both.reads}, output)

    def _cut_in_two(self) -> None:
        with self._cutting:
            both = halves(self._graph) if self._items is not None and not self._cut else None
            if both is not None and self._items is not None:
                vectors = ItemVectors(open_graph(self._where, both.items), self._schema, self._items)
                checkpoint()
                rest = open_graph(self._where, both.rest)
                self._halves = _Halves(vectors, rest, frozenset(given.name for given in rest.get_inputs()))
            self._graph, self._cut = b"", True
