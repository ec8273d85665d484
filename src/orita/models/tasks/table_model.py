"""A predictor of tables as it is served: declarations in ``table.json`` and an ONNX graph; onnxruntime and NumPy.

Legend: N rows, F features, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.graph import MODEL_FILE, OUTPUT, open_graph, run_graph
from orita.models.package.files import SCHEMA_FILE
from orita.models.package.load import read_schema
from orita.models.package.manifest import Contents
from orita.models.package.strict_json import canonical_json
from orita.models.tasks.config import Task
from orita.models.tasks.labels import check_classes, check_width
from orita.models.tasks.predictor import Answers

__all__ = ["TABLE_FILE", "TableModel", "write_table_declaration"]

TABLE_FILE = "table.json"
_FORMAT = 2  # in format 1 the schema was in the same file
_KEYS = {"format", "task", "classes"}
_BLOCK_ROWS = 16_384  # bounds the memory of a long table


@dataclass(frozen=True, slots=True)
class TableModel:
    """A fitted model; safe to share between threads.

    Attributes:
        task: ``binary``, ``multiclass`` or ``regression``.
        classes: names of the K classes; none for regression.
        schema: the columns of ``x_NF``.
    """

    task: Task
    classes: tuple[str, ...]
    schema: FeatureSchema
    _session: Any

    def predict(self, x_NF: npt.NDArray[np.float32]) -> Answers:
        """Return ``probabilities_NK``, or for regression ``values_N``.

        Raises:
            UserError: ``x_NF`` has another number of columns than the schema.
        """
        check_width(x_NF, self.schema)
        x_NF = np.ascontiguousarray(x_NF, np.float32)
        starts = range(0, len(x_NF), _BLOCK_ROWS)
        blocks = [run_graph(self._session, {"features": x_NF[at : at + _BLOCK_ROWS]}) for at in starts]
        none = np.zeros((0, len(self.classes)) if self.classes else (0,), np.float32)
        return np.concatenate(blocks) if blocks else none

    @classmethod
    def read(cls, contents: Contents) -> TableModel:
        """Return the model that lies in a package, of its verified bytes; no code is run from it.

        Raises:
            UserError: a file is missing or is not what its name promises; the sentence names it.
        """
        task, classes = _read_declared(contents.json(TABLE_FILE), contents.where(TABLE_FILE))
        schema = read_schema(contents.json(SCHEMA_FILE), contents.where(SCHEMA_FILE))
        where = contents.where(MODEL_FILE)
        session = open_graph(contents.folder / MODEL_FILE, contents.content(MODEL_FILE))
        inputs = {given.name: list(given.shape) for given in session.get_inputs()}
        if inputs != {"features": ["N", len(schema)]}:
            raise UserError(
                f"{where} asks for the inputs {ascii(inputs)[:200]}, expected features with {len(schema)} columns."
            )
        answers = {given.name: (given.type, list(given.shape)) for given in session.get_outputs()}
        shape = ["N", len(classes)] if classes else ["N"]
        if answers != {OUTPUT: ("tensor(float)", shape)}:
            raise UserError(
                f"{where} answers {ascii(answers)[:200]}, but {TABLE_FILE} names {len(classes)} classes: expected "
                f"{OUTPUT!r} as float32 of the shape {shape}."
            )
        return cls(task, classes, schema, session)


def write_table_declaration(folder: Path, task: Task, classes: tuple[str, ...], schema: FeatureSchema) -> None:
    """Write ``table.json`` and ``schema.json`` into *folder*."""
    content = {"format": _FORMAT, "task": task, "classes": list(classes)}
    (folder / TABLE_FILE).write_bytes(canonical_json(content))
    (folder / SCHEMA_FILE).write_bytes(canonical_json(schema.to_dict()))


def _read_declared(content: dict[str, Any], where: str) -> tuple[Task, tuple[str, ...]]:
    if set(content) != _KEYS or type(content["format"]) is not int or content["format"] != _FORMAT:
        raise UserError(
            f"{where} has the keys {sorted(content)!a} and the format {ascii(content.get('format'))[:80]}, expected "
            f"{sorted(_KEYS)} and {_FORMAT}; export the model again."
        )
    task, names = content["task"], content["classes"]
    if not isinstance(task, str) or task not in get_args(Task) or task == "text":
        raise UserError(
            f"{where}: task has the value {ascii(task)[:80]}, allowed are binary, multiclass and regression."
        )
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{where}: classes has the value {ascii(names)[:80]}, expected a list of names.")
    known: Task = task  # type: ignore[assignment]
    return known, check_classes(known, tuple(names))
