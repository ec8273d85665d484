"""What a score is held against: rows that the model was trained on, a few hundred of them, the same at each call.

The sample of a package would travel with it, but its 64 rows are the first of a file in order of time, often of one
user and one hour; it stands in where the training set is not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orita.core.errors import NotFound
from orita.core.home import Home
from orita.features.schema import FeatureSchema
from orita.features.training_sets.training_set import open_training_set
from orita.models.examples import Examples
from orita.models.package import Package
from orita.models.package.files import SAMPLE_FILE
from orita.models.package.manifest import read_file
from orita.models.package.tables import read_sample

__all__ = ["ReferenceRows", "reference_rows"]

_MOST_GROUPS = 16  # of a file that are read: bounds the time that a large training set takes


@dataclass(frozen=True, slots=True)
class ReferenceRows:
    """Rows to start from.

    Attributes:
        rows: the rows; labels and times are not read.
        source: where they are from, in words.
    """

    rows: Examples
    source: str


def reference_rows(home: Home, system: str, package: Package, count: int = 256, *, seed: int = 0) -> ReferenceRows:
    """Return *count* rows that the model of *package* was trained on, drawn at random.

    Args:
        home: whose training sets.
        system: whose model.
        package: the model; its own sample is used where its training set is not at hand.
        count: how many rows.
        seed: fixes the draw.
    """
    named = str(package.extra.get("training_set", ""))
    if named:
        try:
            made = open_training_set(home.training_sets, system, named)
        except NotFound:
            made = None
        if made is not None and made.complete and set(package.schema.names) <= set(made.schema.names):
            rows = _drawn(made.file("train"), package.schema, count, seed)
            return ReferenceRows(rows, f"{len(rows)} training rows of {named}")
    heads = [head.name for head in package.heads]
    where = str(package.folder / SAMPLE_FILE)
    rows = read_sample(read_file(package.folder, SAMPLE_FILE), where, package.schema, heads).rows
    return ReferenceRows(rows, f"{len(rows)} sample rows of the package: its training set is not at hand")


def _drawn(file: Path, schema: FeatureSchema, count: int, seed: int) -> Examples:
    """Return *count* rows of a file of training rows, from row groups that lie evenly in it."""
    random = np.random.default_rng(seed)
    with pq.ParquetFile(file) as opened:
        groups = np.unique(np.linspace(0, opened.num_row_groups - 1, _MOST_GROUPS).round().astype(int))
        sizes = np.array([opened.metadata.row_group(g).num_rows for g in groups.tolist()])
        of_group = np.repeat(np.arange(len(groups)), sizes)
        chosen = np.sort(random.choice(len(of_group), min(count, len(of_group)), replace=False))
        starts = np.cumsum(sizes) - sizes
        pieces = []
        for number, group in enumerate(groups.tolist()):
            rows = chosen[of_group[chosen] == number] - starts[number]
            if len(rows):
                columns = ["user_id", "item_id", *schema.names]
                pieces.append(opened.read_row_group(group, columns=columns).take(pa.array(rows)))
    table = pa.concat_tables(pieces)
    x_NF = np.empty((len(table), len(schema)), np.float32)
    for f, name in enumerate(schema.names):
        x_NF[:, f] = pc.fill_null(pc.cast(table[name], pa.float32(), safe=False), np.nan).to_numpy()
    users_N, items_N = (table[name].to_numpy() for name in ("user_id", "item_id"))
    nothing_N = np.zeros(len(table))
    return Examples(schema, users_N, items_N, x_NF, nothing_N.astype(np.float32), nothing_N.astype(np.int64))
