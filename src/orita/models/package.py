"""A model as a folder: a graph, its vocabularies, its schema, its card, a sample with answers, and checksums.

Needs numpy, pyarrow and onnxruntime; neither PyTorch nor LightGBM. Loading runs no code from the folder: JSON, Parquet
and an ONNX graph of standard operators are all it reads, and only after every checksum agreed.

Legend: N rows, F features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import UserError
from orita.core.files import atomic_directory
from orita.features.schema import FeatureSchema
from orita.models.examples import Examples, Ids
from orita.models.graph import INPUTS, ITEMS_FILE, MODEL_FILE, USERS_FILE, open_graph, run_graph
from orita.models.manifest import verify_manifest, write_manifest
from orita.models.metadata import ModelMetadata
from orita.models.ranker import Ranker
from orita.models.vocabulary import Vocabulary

__all__ = ["Package", "load_package", "package_schema", "write_package"]

FORMAT = 1
SAMPLE_ROWS = 64
SAMPLE_TOLERANCE = 1e-5
_BLOCK_ROWS = 16_384  # bounds the memory of a long table

METADATA_FILE, _SCHEMA, _PACKAGE, _SAMPLE = "model_metadata.json", "schema.json", "package.json", "sample.parquet"


@dataclass(frozen=True, slots=True)
class Package:
    """A loaded model that scores rows; safe to share between threads.

    Attributes:
        folder: where it was loaded from.
        metadata: its card.
        schema: the features it reads, in the order of ``x_NF``.
        extra: what its writer kept beside the card (``package.json``).
    """

    folder: Path
    metadata: ModelMetadata
    schema: FeatureSchema
    extra: Mapping[str, Any]
    _session: Any
    _inputs: Mapping[str, Any]
    _users: Vocabulary | None
    _items: Vocabulary | None

    @property
    def version(self) -> str:
        """The model's version, ``v1.2.3``."""
        return self.metadata.model_version

    def score(self, users_N: Ids, items_N: Ids, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, click probabilities in [0, 1], in the order of the rows; unknown ids are allowed.

        Raises:
            UserError: the lengths disagree, or ``x_NF`` has another number of columns than the schema.
        """
        if not len(users_N) == len(items_N) == len(x_NF):
            raise UserError(
                f"score was given {len(users_N)} users, {len(items_N)} items and {len(x_NF)} rows; they must agree."
            )
        user_rows_N = None if self._users is None else self._users.rows(users_N)
        if len(x_NF) <= _BLOCK_ROWS:
            return self._run(user_rows_N, items_N, x_NF)
        blocks = [slice(start, start + _BLOCK_ROWS) for start in range(0, len(x_NF), _BLOCK_ROWS)]
        return np.concatenate(
            [self._run(None if user_rows_N is None else user_rows_N[b], items_N[b], x_NF[b]) for b in blocks]
        )

    def score_user(
        self, user_id: int | str, item_ids: Ids | Sequence[int | str], x_NF: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return ``scores_N`` of *item_ids* for one user in one context; ``x_NF`` has one row an item.

        User and context features are the same in all rows; a graph that can takes them from the first row alone.

        Raises:
            UserError: the lengths disagree, or ``x_NF`` has another number of columns than the schema.
        """
        if len(item_ids) != len(x_NF):
            raise UserError(f"score_user was given {len(item_ids)} items and {len(x_NF)} rows; they must agree.")
        if self._users is None:
            return self._run(None, item_ids, x_NF)
        user_row = self._users.rows([user_id])
        return self._run(user_row if self._inputs["users"] == "U" else user_row.repeat(len(x_NF)), item_ids, x_NF)

    def _run(
        self, user_rows_N: npt.NDArray[np.int64] | None, items_N: Any, x_NF: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        if x_NF.ndim != 2 or x_NF.shape[1] != len(self.schema):
            raise UserError(
                f"x_NF has the shape {x_NF.shape}, expected {len(self.schema)} columns: {', '.join(self.schema.names)}."
            )
        if len(x_NF) == 0:
            return np.zeros(0, np.float32)
        feeds: dict[str, npt.NDArray[Any]] = {}
        if "features" in self._inputs:
            feeds["features"] = np.ascontiguousarray(x_NF, dtype=np.float32)
        if user_rows_N is not None:
            feeds["users"] = user_rows_N
        if self._items is not None:
            feeds["items"] = self._items.rows(items_N)
        return run_graph(self._session, feeds)

    def check_sample(self) -> None:
        """Score the rows that were kept when the package was written.

        Raises:
            UserError: a score differs by more than 1e-5 from the one kept.
        """
        sample = _read_sample(self.folder / _SAMPLE, self.schema)
        scores_N = self.score(sample.users_N, sample.items_N, sample.x_NF)
        difference = float(np.max(np.abs(scores_N - sample.y_N), initial=0.0))
        if not difference <= SAMPLE_TOLERANCE:
            raise UserError(
                f"{self.folder} scores its own sample {difference:.2g} away from the scores kept with it, "
                f"allowed is {SAMPLE_TOLERANCE:g}; write the package again."
            )


def write_package(
    folder: Path,
    ranker: Ranker,
    metadata: ModelMetadata,
    schema: FeatureSchema,
    sample: Examples,
    *,
    extra: Mapping[str, object] | None = None,
) -> Package:
    """Write *ranker* as a package at *folder*, whole or not at all, and return it loaded and checked.

    Args:
        folder: takes the place of what was there.
        ranker: a fitted ranker.
        metadata: the card.
        schema: the features the ranker reads.
        sample: rows whose scores are kept as the proof of a right load; the first 64 are used.
        extra: JSON values to keep beside the card.

    Raises:
        UserError: the graph does not score the sample as the ranker does.
    """
    kept = sample.take(slice(0, SAMPLE_ROWS))
    with atomic_directory(folder) as partial:
        ranker.export(partial)
        _write_json(partial / METADATA_FILE, metadata.to_dict())
        _write_json(partial / _SCHEMA, schema.to_dict())
        _write_json(partial / _PACKAGE, {"format": FORMAT, "extra": dict(extra or {})})
        _write_sample(partial / _SAMPLE, kept, ranker.score(kept))
        write_manifest(partial)
        load_package(partial).check_sample()
    return load_package(folder)


def package_schema(folder: Path) -> FeatureSchema:
    """Return the features that the package in *folder* reads, without opening its model."""
    return FeatureSchema.from_dict(_read_json(folder / _SCHEMA))


def load_package(folder: Path) -> Package:
    """Return the package at *folder*, after its checksums and its form were verified.

    Raises:
        UserError: a file is changed, missing or extra, or is not what its name promises; the sentence names the file.
    """
    verify_manifest(folder)
    described = _read_json(folder / _PACKAGE)
    if described.get("format") != FORMAT:
        raise UserError(
            f"{folder / _PACKAGE} has the format {described.get('format')!r}, this version of Orita reads {FORMAT}."
        )
    metadata = ModelMetadata.from_dict(_read_json(folder / METADATA_FILE))
    try:
        schema = FeatureSchema.from_dict(_read_json(folder / _SCHEMA))
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / _SCHEMA} is not a feature schema: {error}.") from None
    session = open_graph(folder / MODEL_FILE)
    inputs = {given.name: given.shape[0] for given in session.get_inputs()}
    if not set(inputs) <= set(INPUTS):
        raise UserError(f"{folder / MODEL_FILE} asks for the inputs {sorted(inputs)}, allowed are {INPUTS}.")
    users = Vocabulary.read(folder / USERS_FILE) if "users" in inputs else None
    items = Vocabulary.read(folder / ITEMS_FILE) if "items" in inputs else None
    return Package(folder, metadata, schema, described.get("extra", {}), session, inputs, users, items)


def _write_json(file: Path, content: Mapping[str, object]) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read as JSON: {error}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{file} holds a {type(content).__name__}, expected an object.")
    return content


def _write_sample(file: Path, rows: Examples, scores_N: npt.NDArray[np.float32]) -> None:
    ids = [pa.array(i, pa.int64() if i.dtype != np.object_ else pa.string()) for i in (rows.users_N, rows.items_N)]
    features = [pa.array(column_N, pa.float32()) for column_N in rows.x_NF.T]
    names = ["user_id", "item_id", *(f"x_{name}" for name in rows.schema.names), "score"]
    pq.write_table(pa.table([*ids, *features, pa.array(scores_N, pa.float32())], names=names), file)


def _read_sample(file: Path, schema: FeatureSchema) -> Examples:
    table = pq.read_table(file)
    columns = [table.column(f"x_{name}").to_numpy() for name in schema.names]
    x_NF = np.column_stack(columns) if columns else np.zeros((len(table), 0), np.float32)
    users_N, items_N = table.column("user_id").to_numpy(), table.column("item_id").to_numpy()
    return Examples(schema, users_N, items_N, x_NF, table.column("score").to_numpy(), np.zeros(len(table), np.int64))
