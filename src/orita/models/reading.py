"""From the split files of a training set to `Examples`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orita.features.schema import FeatureSchema
from orita.features.system import OUTCOME
from orita.features.training_sets.training_set import LABEL
from orita.models.examples import Examples, Ids

__all__ = ["read_examples"]


def read_examples(file: Path, schema: FeatureSchema, computed: pa.Table | None = None) -> Examples:
    """Return the rows of a split file, with the features of *schema* as ``x_NF``, and every outcome that it has.

    Args:
        file: the Parquet file.
        schema: which features.
        computed: those columns that are not taken from the file: of its rows, in their order.
    """
    made = {} if computed is None else {name: computed[name] for name in computed.column_names}
    stored = [name for name in schema.names if name not in made]
    written = pq.read_schema(file)
    outcomes = [name for name in written.names if name.startswith(OUTCOME)]
    table = pq.read_table(file, columns=["user_id", "item_id", "timestamp", "target", *outcomes, *stored])
    for name, column in made.items():
        table = table.append_column(name, column)
    x_NF = np.empty((table.num_rows, len(schema)), np.float32)
    for position, name in enumerate(schema.names):
        x_NF[:, position] = _floats(table.column(name))
    return Examples(
        schema,
        _ids(table.column("user_id")),
        _ids(table.column("item_id")),
        x_NF,
        table.column("target").to_numpy().astype(np.float32),
        pc.cast(table.column("timestamp"), pa.int64()).to_numpy(),
        outcomes={name.removeprefix(OUTCOME): _floats(table.column(name)) for name in outcomes},
        label=(written.metadata or {}).get(LABEL.encode(), b"click").decode(),
    )


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = pc.fill_null(pc.cast(column, pa.float32(), safe=False), np.nan).to_numpy()
    return values


def _ids(column: pa.ChunkedArray) -> Ids:
    values: npt.NDArray[Any] = column.to_numpy()
    return values.astype(np.int64) if pa.types.is_integer(column.type) else values.astype(object)
