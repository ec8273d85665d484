"""The component that scores a table with a model (TFX's BulkInferrer): Parquet in, Parquet out, part by part.

A *part* is one file of the input. Its scores appear whole in the work folder; a killed run goes on with the parts that
are not there yet. Memory holds one block of rows, whatever the size of the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from orita.core.errors import UserError, closest
from orita.core.files import atomic_file
from orita.models.package import Package, load_package
from orita.pipelines.components.artifact import Made
from orita.pipelines.components.component import Call
from orita.pipelines.scoring.model import model_folder
from orita.pipelines.workspace import Workspace
from orita.registry.trust import trust_of

__all__ = ["BulkInference", "score_file"]

_BLOCK_ROWS = 65_536
_IDS = ("user_id", "item_id")
_MADE = ("score", "model_version")


class BulkInference:
    """Scores every row of Parquet files with one registered model.

    The rows have ``user_id``, ``item_id`` and the model's features by name, as the files of a training set do; what
    they have beside *keep* is not copied. The output has a file for each of the input, in the order of its rows, with
    the ids, *keep*, ``score`` (float32) and ``model_version``.

    Args:
        version: the model, or ``champion`` or ``challenger``.
        source: a Parquet file, or a folder of them.
        keep: further columns of the input to copy.
    """

    name = "bulk_inference"
    version = 1
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {"predictions": "Predictions"}

    def __init__(self, version: str, source: Path, *, keep: tuple[str, ...] = ()) -> None:
        self._version, self._source, self._keep = version, source, keep

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return which model, and which files with their sizes and times."""
        stats = {file.name: file.stat() for file in _parts(self._source)}
        return {
            "model": model_folder(workspace, self._version)[0],
            "source": str(self._source.absolute()),
            "keep": list(self._keep),
            "files": {name: [found.st_size, found.st_mtime_ns] for name, found in stats.items()},
        }

    def run(self, call: Call) -> Mapping[str, Made]:
        """Score the parts that are not scored yet.

        Raises:
            UserError: a part is no Parquet file, lacks a column or an id; the sentence names both.
        """
        workspace = call.workspace
        version, folder = model_folder(workspace, self._version)
        package = load_package(folder, trust=trust_of(workspace.registry, workspace.home))
        parts, rows, target = _parts(self._source), 0, call.folder / "predictions"
        with workspace.progress.bar("Score", total=len(parts)) as bar:
            for part in parts:
                scored = call.work / part.name
                if not scored.exists():
                    with atomic_file(scored) as partial:
                        score_file(package, part, partial, keep=self._keep)
                rows += pq.read_metadata(scored).num_rows
                bar.advance()
        target.mkdir()
        for part in parts:
            (call.work / part.name).replace(target / part.name)
        return {"predictions": Made(target, facts={"model": version, "rows": rows, "parts": len(parts)})}


def score_file(package: Package, source: Path, target: Path, *, keep: tuple[str, ...] = ()) -> int:
    """Score the rows of the Parquet file *source* into the Parquet file *target*; return how many there were.

    Args:
        package: the model.
        source: has ``user_id``, ``item_id``, the model's features, and *keep*.
        target: is written block by block.
        keep: further columns to copy.

    Raises:
        UserError: *source* is no Parquet file, is damaged, lacks a column or an id, or has another type where ids or
            numbers are needed; or *keep* names a column that is made here.
    """
    if made_here := [name for name in keep if name in _MADE]:
        raise UserError(
            f"keep names {made_here[0]!r}, which every output has of its own: give the column another name."
        )
    wanted = list(dict.fromkeys((*_IDS, *keep)))
    read = _opened(source)
    with closing(read):
        schema = read.schema_arrow
        for name in (*wanted, *package.schema.names):
            if name not in schema.names:
                raise UserError(f"{source} has no column {name!r}, which is needed. {closest(name, schema.names)}")
        kept = [schema.field(name) for name in wanted]
        made = pa.schema([*kept, pa.field(_MADE[0], pa.float32()), pa.field(_MADE[1], pa.string())])
        columns = list(dict.fromkeys((*wanted, *package.schema.names)))
        rows = 0
        with pq.ParquetWriter(target, made, compression="zstd") as writer:
            for block in _blocks(read, columns, source):
                scores_N = _scores(package, block, source)
                versions = pa.repeat(package.version, len(block))
                writer.write_batch(
                    pa.record_batch([*(block[name] for name in wanted), scores_N, versions], schema=made)
                )
                rows += len(block)
    return rows


def _opened(source: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(source)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{source} is no Parquet file that can be read: {error}.") from None


def _blocks(read: pq.ParquetFile, columns: list[str], source: Path) -> Iterator[pa.RecordBatch]:
    try:
        yield from read.iter_batches(_BLOCK_ROWS, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{source} is damaged, so it cannot be scored: {error}.") from None


def _scores(package: Package, block: pa.RecordBatch, source: Path) -> pa.Array:
    for name in _IDS:
        if block[name].null_count:
            raise UserError(f"{source} has {block[name].null_count:,} rows without {name}: leave them out.")
    x_NF = np.empty((len(block), len(package.schema)), np.float32)
    for position, name in enumerate(package.schema.names):
        try:
            x_NF[:, position] = pc.fill_null(pc.cast(block[name], pa.float32(), safe=False), np.nan)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise UserError(
                f"{source} has the column {name!r} as {block.schema.field(name).type}, and the model reads numbers."
            ) from None
    users_N, items_N = (_ids(block[name], name, source) for name in _IDS)
    return pa.array(package.score(users_N, items_N, x_NF), pa.float32())


def _ids(column: pa.Array, name: str, source: Path) -> npt.NDArray[Any]:
    """Return ids as models know them: whole numbers or texts; a number with a point would be nobody whom it knows."""
    type_ = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return values.astype(object)
    whole = pa.types.is_integer(type_)
    if pa.types.is_floating(type_):  # so pandas writes whole numbers where a value was missing once
        whole = bool(np.all(np.isfinite(values) & (np.trunc(values) == values)))
    if not whole:
        raise UserError(f"{source} has {name} as {type_}: ids are whole numbers or texts.")
    return values.astype(np.int64)


def _parts(source: Path) -> list[Path]:
    """Return the Parquet files of *source*, by name.

    Raises:
        UserError: there are none.
    """
    found = sorted(source.glob("*.parquet")) if source.is_dir() else [source] if source.is_file() else []
    if not found:
        raise UserError(f"{source} has no Parquet file to score: name a file, or a folder of *.parquet files.")
    return found
