"""What a column of training rows is expected to be, inferred from the training part."""

from __future__ import annotations

from orita.features.schema import FeatureSchema
from orita.pipelines.components.column_statistics import ColumnStatistics, PartStatistics
from orita.registry.expectations import Expectation

__all__ = ["inferred"]


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
