"""The ONNX graph of a predictor of tables: like a ranker's, with as many columns of output as there are classes.

Legend: N rows, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orita.core.extras import require
from orita.models.compose import Composer
from orita.models.graph import MODEL_FILE

__all__ = ["TableGraph"]


class TableGraph(Composer):
    """A graph from ``features`` [N, F] to ``scores``: [N, K], or [N] where there are no classes."""

    def side_by_side(self, columns: Sequence[str]) -> str:
        """Put values [N] next to each other: [N, len(columns)]."""
        axis = self.constant([1])
        return self.add("Concat", *(self.add("Unsqueeze", column, axis) for column in columns), axis=1)

    def write_answers(self, folder: Path, answers: str, classes: int) -> None:
        """Check the graph and write it with the value *answers* as its output."""
        file = folder / MODEL_FILE
        self.write(file, answers)
        if classes:  # a composer declares an output of one dimension: add the second
            onnx = require("onnx", extra="train")
            model = onnx.load_model_from_string(file.read_bytes())
            model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = classes
            onnx.checker.check_model(model, full_check=True)
            file.write_bytes(model.SerializeToString(deterministic=True))
