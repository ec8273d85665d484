"""What a column of training rows is expected to be, inferred from the training part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orita.features.schema import FeatureSchema
from orita.pipelines.components.column_statistics import ColumnStatistics, PartStatistics

__all__ = ["Expectation", "inferred", "read_expectations", "write_expectations"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One column.

    Attributes:
        type: DuckDB's name of its type.
        kind: ``number``, ``count``, ``flag`` or ``category`` of a feature; empty for ids, label and outcomes.
        meaning: digest of the feature's declaration; empty where there is none.
        missing: share of rows without a value.
        low, high: range of numbers; None for texts, ids and categories, and where there is no value.
        domain: every value of a flag or category that was seen; None where values are not enumerated.
    """

    type: str
    kind: str = ""
    meaning: str = ""
    missing: float = 0.0
    low: float | None = None
    high: float | None = None
    domain: tuple[str, ...] | None = None


def inferred(train: PartStatistics, schema: FeatureSchema) -> dict[str, Expectation]:
    """Return what the training rows are taken to say about every column of theirs."""
    declared = {column.name: column for column in schema.columns}
    found = {}
    for name, column in train.columns.items():
        feature = declared.get(name)
        kind, meaning = (feature.kind, feature.meaning) if feature else ("", "")
        ranged = kind in ("number", "count")
        found[name] = Expectation(
            type=column.type,
            kind=kind,
            meaning=meaning,
            missing=column.missing / train.rows if train.rows else 0.0,
            low=column.minimum if ranged else None,
            high=column.maximum if ranged else None,
            domain=_domain(column) if kind in ("flag", "category") else None,
        )
    return found


def _domain(column: ColumnStatistics) -> tuple[str, ...] | None:
    return tuple(sorted(value for value, _ in column.top)) if column.whole else None


def write_expectations(file: Path, found: Mapping[str, Expectation]) -> None:
    """Write expectations as JSON."""
    content = {"columns": {name: asdict(each) for name, each in found.items()}}
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_expectations(file: Path) -> dict[str, Expectation]:
    """Return the expectations in *file*."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return {
        name: Expectation(**{**each, "domain": None if each["domain"] is None else tuple(each["domain"])})
        for name, each in content["columns"].items()
    }
