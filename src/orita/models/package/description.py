"""``package.json``: which graphs there are, what is done before and after them, and what is known of the model.

```json
{"format": 2, "graphs": {"ranker": "model.onnx"}, "pre": [], "post": [], "card": {}, "extra": {}}
```

Format 1 (``{"format": 1, "extra": {}}``) is read as one graph without steps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.package.files import MODEL_FILE
from orita.models.package.steps import FeatureStep, ScoreStep, read_feature_steps, read_score_steps

__all__ = ["FORMAT", "RANKER", "Description", "graph_file"]

FORMAT = 2
RANKER = "ranker"
_READABLE = (1, FORMAT)
_KEYS = {1: {"format", "extra"}, FORMAT: {"format", "graphs", "pre", "post", "card", "extra"}}
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
    """

    graphs: Mapping[str, str] = field(default_factory=lambda: {RANKER: MODEL_FILE})
    pre: tuple[FeatureStep, ...] = ()
    post: tuple[ScoreStep, ...] = ()
    card: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the description as plain JSON values."""
        return {
            "format": FORMAT,
            "graphs": dict(self.graphs),
            "pre": [step.to_dict() for step in self.pre],
            "post": [step.to_dict() for step in self.post],
            "card": dict(self.card),
            "extra": dict(self.extra),
        }

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
        return cls(_graphs(content["graphs"], where), pre, post, content["card"], content["extra"])


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
