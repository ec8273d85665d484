"""Expectations as plain values: of a column, of a table, of the envelope that history sets around a batch.

One declaration is written by hand, by ``orita quality infer``, or first by the latter and then changed by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import UserError

__all__ = ["ColumnExpectation", "ExpectedType", "Late", "Severity", "TableExpectation", "duration_seconds"]

ExpectedType = Literal["number", "whole", "flag", "text", "time"]
"""``whole``: numbers without a fraction; ``flag``: true or false, or 0 and 1."""

Severity = Literal["error", "warning"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


class ColumnExpectation(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a column's values have to be like.

    Attributes:
        type: of each value; what cannot be read as it goes to quarantine. None: any.
        required: whether the table has to have the column.
        most_missing: share of rows that may lack a value, 0 … 1; 0 is judged by the row, more by the batch.
        minimum, maximum: bounds of numbers, inclusive.
        choices: the only values, as text; none: any.
        pattern: a regular expression (RE2) that texts match wholly; "": any.
        longest: characters of a text at most.
        unique: no value occurs twice; of rows that share one the first passes.
        key_of: ``table.column`` in which each value has to be found; "": none.
        severity: of what is found in this column.
    """

    type: ExpectedType | None = None
    required: bool = True
    most_missing: float = 1.0
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    longest: int | None = None
    unique: bool = False
    key_of: str = ""
    severity: Severity = "error"

    def __post_init__(self) -> None:
        _share("most_missing", self.most_missing)
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise UserError(f"minimum is {self.minimum:g} and maximum {self.maximum:g}: swap or correct them.")
        if self.key_of and not all(self.key_of.partition(".")):
            raise UserError(f"key_of is {self.key_of!r}: write table.column, such as users.user_id.")
        if self.pattern:
            _pattern(self.pattern)
        if self.longest is not None and self.longest < 0:
            raise UserError(f"longest is {self.longest}: it has to be 0 or more characters.")


class Late(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most *most* of a batch's rows (0 … 1) may be older than *older_than*, such as ``1d``, when it is checked."""

    older_than: str
    most: float

    def __post_init__(self) -> None:
        duration_seconds("late.older_than", self.older_than)
        _share("late.most", self.most)


class TableExpectation(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a table's batches have to be like.

    Attributes:
        columns: by name; their order in the table does not matter.
        other_columns: what it is that a batch has columns beside these.
        time: the column of event times; "": none.
        fewest_rows, most_rows: of a batch.
        fresh_within: age of the newest time at most, such as ``26h``; "": any.
        ahead: how far times may lie in the future, such as ``5m``; "": not judged.
        late: share of old rows; None: any.
        in_order: whether times never fall from a row to the next.
        most_duplicates: share of rows that may repeat another one in all columns, 0 … 1.
        totals: equations of columns, such as ``total = price * quantity``, that hold in each row.
        tolerance: of totals, as a share of the larger side; half a hundredth is always let pass.
        label: the column that a model learns; its relations to others are watched. "": none.
        envelope: file, beside the declaration, with what history expects of a batch; "": none.
        false_alarm_rate: chance that a batch like those of history leaves the envelope in any way, above 0 … 0.5.
        severity: of what is found in the table as a whole, and by its envelope.
    """

    columns: Mapping[str, ColumnExpectation] = {}
    other_columns: Literal["error", "warning", "ignore"] = "warning"
    time: str = ""
    fewest_rows: int = 1
    most_rows: int | None = None
    fresh_within: str = ""
    ahead: str = ""
    late: Late | None = None
    in_order: bool = False
    most_duplicates: float = 1.0
    totals: tuple[str, ...] = ()
    tolerance: float = 1e-6
    label: str = ""
    envelope: str = ""
    false_alarm_rate: float = 0.005
    severity: Severity = "error"

    def __post_init__(self) -> None:
        _share("most_duplicates", self.most_duplicates)
        _share("tolerance", self.tolerance)
        if not 0 < self.false_alarm_rate <= 0.5:
            raise UserError(f"false_alarm_rate is {self.false_alarm_rate:g}: it has to be above 0 and at most 0.5.")
        if self.fewest_rows < 0 or (self.most_rows is not None and self.most_rows < self.fewest_rows):
            raise UserError(
                f"fewest_rows is {self.fewest_rows} and most_rows {self.most_rows}: "
                "they have to be 0 or more, and the most no less than the fewest."
            )
        for name in ("fresh_within", "ahead"):
            if value := getattr(self, name):
                duration_seconds(name, value)
        if not self.time and (given := [n for n in ("fresh_within", "ahead", "late", "in_order") if getattr(self, n)]):
            raise UserError(f"{given[0]} is about times, and no column of times is named: add 'time: COLUMN'.")


def duration_seconds(name: str, text: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``5m``, ``26h``, ``1d``.

    Raises:
        UserError: it is none; *name* names it.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise UserError(f"{name} is {text!r}: write a number and s, m, h, d or w, such as 26h.")
    return float(found[1]) * _SECONDS[found[2]]


def _pattern(pattern: str) -> None:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).partition(": ")[2] or str(error)
        raise UserError(f"pattern is {pattern!r}, which is no regular expression (RE2): {reason}.") from None


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"{name} is {value:g}: it is a share, from 0 to 1.")
