"""``package.json``: which graphs there are, what is done before and after them, and what is known of the model.

```json
{"format": 2, "graphs": {"ranker": "model.onnx"}, "pre": [], "post": [], "card": {}, "extra": {}}
```

Format 1 (``{"format": 1, "extra": {}}``) is read as one graph without steps. A model with several heads is written in
format 3, which also has ``heads`` and ``objective``; one with one head stays in format 2.

Legend: N rows, H heads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.objectives import Head, check_objective, read_heads, weigh
from orita.models.package.files import MODEL_FILE
from orita.models.package.steps import FeatureStep, ScoreStep, read_feature_steps, read_score_steps

__all__ = ["RANKER", "Description", "graph_file"]

RANKER = "ranker"
_ONE_HEAD, _HEADS = 2, 3
_READABLE = (1, _ONE_HEAD, _HEADS)
_GRAPHS = {"format", "graphs", "pre", "post", "card", "extra"}
_KEYS = {1: {"format", "extra"}, _ONE_HEAD: _GRAPHS, _HEADS: _GRAPHS | {"heads", "objective"}}
_GRAPH = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class Description:
    """What ``package.json`` says.

    Attributes:
        graphs: the file of each graph by the graph's name; ``ranker`` is the one that scores.
        pre: what is done to features before the graph, in order.
        post: what is done to scores after it, in order.
        card: what is known of the model beside its metadata; the model card shows it.
        extra: what the writer keeps beside that.
        heads: what the columns of the graph's output ``heads`` foretell, the label's first; none: it has one output.
        objective: what one unit of each head is worth in the score, by name (`orita.models.objectives.weighing`).
    """

    graphs: Mapping[str, str] = field(default_factory=lambda: {RANKER: MODEL_FILE})
    pre: tuple[FeatureStep, ...] = ()
    post: tuple[ScoreStep, ...] = ()
    card: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    heads: tuple[Head, ...] = ()
    objective: Mapping[str, float] = field(default_factory=dict)

    def score(
        self, outputs: npt.NDArray[np.float32], objective: Mapping[str, float] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return ``scores_N`` of what the graph gave: ``scores_N``, or ``p_NH`` of a model with several heads.

        Args:
            outputs: of the graph.
            objective: weights to take in the place of the declared ones.

        Raises:
            NotFound, UserError: *objective* cannot be, or the model has one head, or the outputs are not of its heads.
        """
        if self.heads or objective is not None:
            outputs = self._weighed(outputs, objective)
        for step in self.post:
            outputs = step.apply(outputs)
        return outputs

    def _weighed(self, p_NH: npt.NDArray[np.float32], objective: Mapping[str, float] | None) -> npt.NDArray[np.float32]:
        if not self.heads:
            raise UserError("the model has one head, so there is nothing to weigh: leave the objective out.")
        if p_NH.ndim != 2 or p_NH.shape[1] != len(self.heads):
            raise UserError(f"the graph gives outputs of the shape {p_NH.shape}, declared are {len(self.heads)} heads.")
        if objective is not None:
            check_objective(objective, self.heads)
        return weigh(self.heads, self.objective if objective is None else objective, p_NH)

    def to_dict(self) -> dict[str, Any]:
        """Return the description as plain JSON values."""
        described = {
            "format": _HEADS if self.heads else _ONE_HEAD,
            "graphs": dict(self.graphs),
            "pre": [step.to_dict() for step in self.pre],
            "post": [step.to_dict() for step in self.post],
            "card": dict(self.card),
            "extra": dict(self.extra),
        }
        if self.heads:
            described |= {"heads": [head.to_dict() for head in self.heads], "objective": dict(self.objective)}
        return described

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], schema: FeatureSchema, where: str) -> Description:
        """Return what `to_dict` described; *where* is what errors call the file.

        Raises:
            UserError: the format is another, a key is missing or unknown, or a declaration cannot be.
        """
        version = content.get("format")
        if version not in _READABLE or type(version) is not int:
            raise UserError(f"{where} has the format {version!r}, this version of Orita reads {_READABLE}.")
        if wrong := sorted(set(content) ^ _KEYS[version]):
            raise UserError(f"{where} has missing or unknown keys {wrong!a}, expected {sorted(_KEYS[version])}.")
        for key in ("extra", "card"):
            if not isinstance(content.get(key, {}), dict):
                raise UserError(f"{where} has the {key} {ascii(content[key])[:80]}, expected an object.")
        if version == 1:
            return cls(extra=content["extra"])
        pre, post = read_feature_steps(content["pre"], schema, where), read_score_steps(content["post"], where)
        described = cls(_graphs(content["graphs"], where), pre, post, content["card"], content["extra"])
        if version == _ONE_HEAD:
            return described
        heads, objective = read_heads(content["heads"], where), content["objective"]
        if not isinstance(objective, dict):
            raise UserError(f"{where} has the objective {ascii(objective)[:80]}, expected weights by head.")
        check_objective(objective, heads, f"the objective of {where}")
        return replace(described, heads=heads, objective=objective)


def _graphs(content: object, where: str) -> dict[str, str]:
    match content:
        case {"ranker": "model.onnx"} if isinstance(content, dict) and all(
            _GRAPH.fullmatch(name) and file == graph_file(name) for name, file in content.items()
        ):
            return content
    raise UserError(
        f"{where} has the graphs {ascii(content)[:200]}, expected {{'ranker': 'model.onnx'}} and for each other graph "
        "its name and '<name>.onnx'."
    )


def graph_file(name: str) -> str:
    """Return the file of the graph *name*."""
    return MODEL_FILE if name == RANKER else f"{name}.onnx"
