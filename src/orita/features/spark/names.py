"""Columns of Spark DataFrames by name, whatever it holds, and the type in which the ids of two of them are compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

from orita.features.frame import matching_types

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

__all__ = ["column", "common_type", "present"]


def column(name: str) -> Column:
    """Return the column *name*; dots in it are a part of it."""
    from pyspark.sql import functions

    return functions.col("`" + name.replace("`", "``") + "`")


def present(frame: DataFrame, names: Iterable[str]) -> list[Column]:
    """Return those of the columns *names* that *frame* has, each once."""
    there = set(frame.columns)
    return [column(name) for name in dict.fromkeys(names) if name in there]


def common_type(what: str, *kinds: DataType) -> str:
    """Return the Spark type in which ids of these types are compared: ``bigint`` or ``string``.

    Raises:
        UserError: some are numbers, some are not; the sentence says it of *what*.
    """
    from pyspark.sql.pandas.types import to_arrow_type

    columns = [pa.chunked_array([], to_arrow_type(kind, timezone="UTC")) for kind in kinds]
    (first, *_) = matching_types(what, *columns)
    return "bigint" if pa.types.is_integer(first.type) else "string"
