"""What a model sees: the ordered, typed columns of a feature matrix.

Legend: N rows, F features; ``x_NF`` is a float32 matrix whose columns follow the schema's order.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orita.core.errors import NotFound, closest

__all__ = ["FeatureColumn", "FeatureSchema", "Kind", "Side"]

Side = Literal["user", "item", "pair", "context"]
Kind = Literal["number", "count", "flag", "category"]


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    """One feature.

    Attributes:
        name: unique in its schema.
        side: which entity it belongs to; a two-tower model sends it to that tower (``context`` goes with the user).
        kind: ``number`` (any float), ``count`` (≥ 0, heavy-tailed), ``flag`` (0 or 1), ``category`` (the index of a
            declared value: 0 … cardinality − 1).
        cardinality: number of declared values of a category, else 0.
        arrow: name of the Arrow type in a training row (``int64``, ``float32``, ``int8``, …).
        description: one sentence for people.
        meaning: digest of the declaration that its values come from; empty where nothing is known of it.
    A missing value (before the first event, unknown category, absent column) is null in a table, NaN in ``x_NF``.
    """

    name: str
    side: Side
    kind: Kind = "number"
    cardinality: int = 0
    arrow: str = "float32"
    description: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class FeatureSchema:
    """The columns of a feature matrix, in order."""

    columns: tuple[FeatureColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in matrix order."""
        return tuple(column.name for column in self.columns)

    @property
    def version(self) -> str:
        """A digest of names, kinds, meanings and order: two schemas with one version feed the same model."""
        content = json.dumps([[c.name, c.side, c.kind, c.cardinality, c.meaning] for c in self.columns])
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def __len__(self) -> int:
        return len(self.columns)

    def index(self, name: str) -> int:
        """Return the matrix column of feature *name*.

        Raises:
            NotFound: no such feature; the sentence lists what exists.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise NotFound(f"feature {name!r} is not in the schema. {closest(name, self.names)}") from None

    def of_side(self, *sides: Side) -> list[int]:
        """Return the matrix columns that belong to *sides*, in order."""
        return [i for i, column in enumerate(self.columns) if column.side in sides]

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain JSON values."""
        return {"version": self.version, "columns": [asdict(column) for column in self.columns]}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> FeatureSchema:
        """Return the schema that `to_dict` described."""
        return cls(tuple(FeatureColumn(**column) for column in content["columns"]))
