"""The features of rows that are held here, computed on a cluster: the same table that history makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from orita.events.lake import Snapshot
from orita.features.declaring.parts import context_in
from orita.features.history.keyed import AsOf
from orita.features.plan import Plan
from orita.features.schema import FeatureSchema
from orita.features.spark.names import column
from orita.features.spark.offline import offline_features

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["features_of_rows"]

_PLACE = "@place"


def features_of_rows(
    plan: Plan,
    session: SparkSession,
    snapshots: Mapping[str, Snapshot],
    rows: pa.Table,
    schema: FeatureSchema,
    as_of: AsOf = "known",
) -> pa.Table:
    """Return *rows*, in their order, with *schema*'s columns, each as of the row's own time.

    What features read of the rows goes to the workers, the features come back; the rows themselves stay here.

    Args:
        plan, session, schema, as_of: as of `offline_features`.
        snapshots: of the lake tables, by name.
        rows: as `asked_rows` returns them.
    """
    entities = [*plan.entities, *(attribute.entity for attribute in plan.attributes)]
    read = dict.fromkeys([plan.system.source.schema.time or "", *(c for entity in entities for c in entity.columns)])
    read |= dict.fromkeys(name for expression in plan.system.kept.values() for name in context_in(expression))
    asked = rows.select([name for name in read if name in rows.column_names])
    asked = asked.append_column(_PLACE, pa.array(range(len(rows)), pa.int64()))
    found = offline_features(plan, session, snapshots, session.createDataFrame(asked), schema, as_of)
    made = found.select(*(column(name) for name in (_PLACE, *schema.names))).toArrow().sort_by(_PLACE)
    return pa.table({name: rows[name] for name in rows.column_names} | {name: made[name] for name in schema.names})
