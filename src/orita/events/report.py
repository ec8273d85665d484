"""What an ingest or a validation says when it has ended: figures for each table, plain enough for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["IngestReport", "TableReport"]


@dataclass(frozen=True, slots=True)
class TableReport:
    """What became of the rows that were read for one table.

    Attributes:
        rows_read: rows of the source; each of them is counted once in the four figures that follow.
        rows_new: rows that the table did not have.
        rows_updated: rows of a table of entities whose attributes changed.
        rows_duplicate: rows that the table, or an earlier row of the source, already had.
        rows_quarantined: rows that broke a rule.
        reasons: quarantined rows by ``column.rule``, the most frequent first.
        quarantine_path: the Parquet file that holds them, or None.
        version: the version of the table that has the rows; None where nothing was written.
        warnings: what looks unusual, one sentence each.
    """

    rows_read: int
    rows_new: int
    rows_updated: int
    rows_duplicate: int
    rows_quarantined: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    quarantine_path: str | None = None
    version: int | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        accounted = self.rows_new + self.rows_updated + self.rows_duplicate + self.rows_quarantined
        assert self.rows_read == accounted, f"{self.rows_read} rows read, {accounted} accounted for"
        assert min(self.rows_new, self.rows_updated, self.rows_duplicate, self.rows_quarantined) >= 0


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of a path: its tables by name, and how long it took in seconds."""

    source: str
    dataset: str | None
    tables: Mapping[str, TableReport]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        content = asdict(self)
        content["tables"] = {
            name: {**table, "warnings": list(table["warnings"])} for name, table in content["tables"].items()
        }
        return content
