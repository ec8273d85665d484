"""What a row asks by, in the names that entities have: packed beside the row as it came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from orita.features.batch import attribute_column
from orita.features.declarations import Attribute, Entity, Source
from orita.features.spark.exchange import ASKED, ROW
from orita.features.spark.names import column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["asked_by_events", "packed"]


def packed(frame: DataFrame, carried: Iterable[str], asked: Mapping[str, str]) -> DataFrame:
    """Return *frame* as ``row``, a struct of the columns *carried*, and ``asked``, a struct of the columns *asked*.

    Args:
        frame: rows, or events as rows.
        carried: what comes out again as it is.
        asked: by the name under which it is asked for, the column of *frame*.
    """
    from pyspark.sql import functions

    return frame.select(
        functions.struct(*(column(name) for name in carried)).alias(ROW),
        functions.struct(*(column(told).alias(name) for name, told in asked.items())).alias(ASKED),
    )


def asked_by_events(
    source: Source, time: str, entities: Iterable[Entity], attributes: Iterable[Attribute]
) -> dict[str, str]:
    """Return what events ask by when they are rows themselves: names as `packed` takes them.

    Args:
        source: whose events.
        time: how rows call their time.
        entities: by whose ids something is looked up.
        attributes: which columns `batch.attribute_column` are needed.
    """
    asked = {time: source.schema.time or ""}
    for entity in entities:
        asked |= dict(zip(entity.columns, source.key_columns(entity), strict=True))
    return asked | {attribute_column(a): attribute_column(a) for a in attributes}
