"""The ONNX graph of a model: how it is opened and run (onnxruntime alone).

Legend: N rows, F features, H heads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.checkpoints import checkpoint
from orita.core.errors import UserError
from orita.models.graph_form import check_graph

# Since 1.29 ONNX Runtime reports each session to its maker (names of models, hashes of weights) and leaves a file among
# the temporary ones, unless this is set when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

__all__ = [
    "HEADS",
    "INPUTS",
    "ITEMS_FILE",
    "ITEM_VECTORS",
    "MODEL_FILE",
    "OUTPUT",
    "USERS_FILE",
    "open_graph",
    "run_graph",
]

MODEL_FILE, USERS_FILE, ITEMS_FILE = "model.onnx", "users.parquet", "items.parquet"
INPUTS = ("features", "users", "items")
OUTPUT = "scores"
HEADS = "heads"
"""The output, [N, H], of a graph with several heads; its first column is `OUTPUT`."""
ROUNDED_FEATURES, ITEM_VECTORS = "rounded_features", "item_vectors"
"""Values of a graph that can be run in two halves: the features, [N, F], the numbers among those of items rounded as
`orita.models.rounding` does; and what it makes of an item alone, of its id and those features, [N, P]."""


def open_graph(file: Path, content: bytes | None = None) -> Any:
    """Return an onnxruntime session on the CPU for *file*, or for *content*, which are its bytes as they were read.

    One thread inside an operator and one across operators: a request ranks a few hundred rows, where handing work to
    other threads costs more than it saves, and the server's processes already use the cores. The memory arena stays on:
    it spares an allocation an operator. `check_graph` and no custom operators: the graph can only compute.

    Raises:
        UserError: the file is not a graph that onnxruntime can run.
    """
    try:
        content = file.read_bytes() if content is None else content
    except OSError as error:
        raise UserError(f"{file} is not a graph that can be read: {error.strerror}.") from None
    check_graph(content, f"{file}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    checkpoint()
    try:
        # Bytes, not a path: a graph given as bytes cannot point at tensors in other files.
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{file} is not a graph that can be run: {_told(error)}") from None
    except Exception as error:
        if type(error).__module__.startswith("onnxruntime"):
            raise UserError(f"{file} is not a graph that can be run: {_told(error)}") from None
        raise


def _told(error: Exception) -> str:
    """Return the error on one line; it repeats names out of the file, which a terminal may not obey."""
    line = " ".join(str(error).split())[:300]
    return line if line.isprintable() else ascii(line)


def run_graph(session: Any, feeds: Mapping[str, npt.NDArray[Any]], output: str = OUTPUT) -> npt.NDArray[np.float32]:
    """Return ``scores_N`` for the given inputs, or with `HEADS` as *output* ``p_NH``."""
    found: npt.NDArray[np.float32] = session.run([output], feeds)[0]
    return found
