"""A predictor of tables as it is served: declarations in ``table.json`` and an ONNX graph; onnxruntime and NumPy.

Legend: N rows, F features, K classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.features.schema import FeatureSchema
from orita.models.graph import MODEL_FILE, open_graph, run_graph
from orita.models.tasks.config import Task
from orita.models.tasks.labels import check_classes
from orita.models.tasks.predictor import Answers

__all__ = ["TABLE_FILE", "TableModel", "write_table_declaration"]

TABLE_FILE = "table.json"
_FORMAT = 1
_KEYS = {"format", "task", "classes", "schema"}
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
        if x_NF.ndim != 2 or x_NF.shape[1] != len(self.schema):
            raise UserError(
                f"x_NF has the shape {x_NF.shape}, expected {len(self.schema)} columns: {', '.join(self.schema.names)}."
            )
        x_NF = np.ascontiguousarray(x_NF, np.float32)
        starts = range(0, len(x_NF), _BLOCK_ROWS)
        blocks = [run_graph(self._session, {"features": x_NF[at : at + _BLOCK_ROWS]}) for at in starts]
        none = np.zeros((0, len(self.classes)) if self.classes else (0,), np.float32)
        return np.concatenate(blocks) if blocks else none

    @classmethod
    def read(cls, folder: Path) -> TableModel:
        """Return the model that a predictor exported to *folder*; no code is run from it.

        Raises:
            UserError: a file is missing or is not what its name promises; the sentence names it.
        """
        file = folder / TABLE_FILE
        content = _read(file)
        if set(content) != _KEYS or content["format"] != _FORMAT:
            raise UserError(
                f"{file} has the keys {sorted(content)} and the format {content.get('format')!r}, expected "
                f"{sorted(_KEYS)} and {_FORMAT}; export the model again."
            )
        task, names = content["task"], content["classes"]
        if task not in get_args(Task) or task == "text":
            raise UserError(f"{file}: task has the value {task!r}, allowed are binary, multiclass and regression.")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"{file}: classes has the value {names!r}, expected a list of names.")
        try:
            schema = FeatureSchema.from_dict(content["schema"])
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{file}: schema is not a feature schema: {error}.") from None
        session = open_graph(folder / MODEL_FILE)
        inputs = {given.name: list(given.shape) for given in session.get_inputs()}
        if inputs != {"features": ["N", len(schema)]}:
            raise UserError(
                f"{folder / MODEL_FILE} asks for the inputs {inputs}, expected features with {len(schema)} columns."
            )
        classes = check_classes(task, tuple(names))
        answers = list(session.get_outputs()[0].shape)
        if answers != (["N", len(classes)] if classes else ["N"]):
            raise UserError(f"{folder / MODEL_FILE} answers {answers}, but {file} names {len(classes)} classes.")
        return cls(task, classes, schema, session)


def write_table_declaration(folder: Path, task: Task, classes: tuple[str, ...], schema: FeatureSchema) -> None:
    """Write ``table.json`` into *folder*."""
    content = {"format": _FORMAT, "task": task, "classes": list(classes), "schema": schema.to_dict()}
    (folder / TABLE_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read(file: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as JSON: {error}. Export the model again.") from None
    if not isinstance(content, dict):
        raise UserError(f"{file} holds a {type(content).__name__}, expected an object; export the model again.")
    return content
