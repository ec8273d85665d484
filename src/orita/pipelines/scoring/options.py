"""What a scoring of a table is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

from orita.core.errors import UserError
from orita.features.history.keyed import AsOf

__all__ = ["MADE", "Engine", "ScoreOptions"]

Engine: TypeAlias = Literal["history", "spark"]

MADE = ("score", "rank")
"""Columns that every output has, or may have, of its own."""

_MOST_PART_ROWS = 1 << 24


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """What is scored, with what, and where the scores go.

    Attributes:
        source: a Parquet file or a folder of them, a ``.csv``, or a lake table, ``lake:NAME`` or ``lake:NAME@VERSION``.
        out: the folder of the scores.
        model: a version, or the alias ``champion`` or ``challenger``.
        at: the time as of which rows without a time of their own are scored; None: when the scoring was begun.
        as_of: ``known``, from what was known at a row's time; ``event``, from what had happened by then.
        objective: what one unit of each head is worth, by name; None: as the package declares.
        top: how many rows of each user are kept, the best; None: all.
        keep: further columns of the input that are copied.
        part_rows: how many rows a part of the output holds at most.
        engine: what computes and scores: ``history``, here; ``spark``.
        restart: whether what another scoring left in *out* is let go.
    """

    source: str
    out: Path
    model: str = "champion"
    at: datetime | None = None
    as_of: AsOf = "known"
    objective: Mapping[str, float] | None = None
    top: int | None = None
    keep: tuple[str, ...] = ()
    part_rows: int = 1 << 18
    engine: Engine = "history"
    restart: bool = False

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise UserError(f"top is {self.top}: keep 1 row of each user or more.")
        if not 1 <= self.part_rows <= _MOST_PART_ROWS:
            raise UserError(f"part_rows is {self.part_rows}, allowed are 1 to {_MOST_PART_ROWS:,} rows in a part.")
        if taken := [name for name in self.keep if name in MADE]:
            raise UserError(
                f"keep names {taken[0]!r}, which every output has of its own: give the column another name."
            )
        if len(set(self.keep)) != len(self.keep):
            raise UserError(f"keep names a column twice, {', '.join(self.keep)}: name it once.")
