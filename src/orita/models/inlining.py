"""A graph that holds other graphs: what rankers exported, set into one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orita.models.compose import Composer
from orita.models.graph import OUTPUT

__all__ = ["Inlining"]


class Inlining(Composer):
    """A `Composer` that can also take over a whole graph."""

    def inline(self, file: Path, given: Mapping[str, str]) -> str:
        """Add the graph in *file*, which a `Composer` wrote; return the name of its scores.

        Args:
            file: the graph.
            given: for each of its inputs, the name of the value that takes its place here.
        """
        prefix = f"{self._name('inlined')}."

        def renamed(name: str) -> str:
            return given.get(name, prefix + name) if name else name  # an operator's absent input has no name

        graph = self._onnx.load(file).graph
        for constant in graph.initializer:
            constant.name = prefix + constant.name
            self._constants.append(constant)
        for node in graph.node:
            node.name = prefix + node.name
            node.input[:] = [renamed(name) for name in node.input]
            node.output[:] = [prefix + name for name in node.output]
            self._nodes.append(node)
        return prefix + OUTPUT
