"""Writing an ONNX graph by hand: named values, standard operators, no tracing of Python code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.extras import require
from orita.models.graph import HEADS, OUTPUT

__all__ = ["Composer"]

_OPSET, _ML_OPSET, _IR = 18, 3, 9


class Composer:
    """A graph under construction; each method returns the name of the value it made."""

    def __init__(self) -> None:
        self._onnx = require("onnx", extra="train")
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}
        self._count = 0

    def features(self, width: int) -> str:
        """Declare the input ``features``, float32 [N, width]."""
        return self._input("features", np.float32, ["N", width])

    def ids(self, name: str, dimension: str = "N") -> str:
        """Declare the input ``users`` or ``items``, int64 [N], or [U]: N, or 1 for all rows."""
        return self._input(name, np.int64, [dimension])

    def constant(self, value: npt.ArrayLike | np.generic) -> str:
        """Add an array, with its dtype, to the graph."""
        name = self._name("constant")
        array = np.ascontiguousarray(value).reshape(np.shape(value))
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add one operator with one output; ``to`` of a Cast is a dtype name, or ``bfloat16``, which NumPy has not."""
        match attributes.get("to") if operator == "Cast" else None:
            case "bfloat16":
                attributes["to"] = self._onnx.TensorProto.BFLOAT16
            case str(name):
                attributes["to"] = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(name))
        name = self._name(operator.lower())
        node = self._onnx.helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **attributes)
        self._nodes.append(node)
        return name

    def named(self, name: str, value: str) -> str:
        """Give *value* a name that readers of the graph know."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name=name))
        return name

    def linear(self, value: str, weight_OI: npt.NDArray[np.float32], bias_O: npt.NDArray[np.float32]) -> str:
        """Add ``value @ weight_OI.T + bias_O``."""
        return self.add("Gemm", value, self.constant(weight_OI), self.constant(bias_O), transB=1)

    def column(self, value: str) -> str:
        """Turn [N, 1] into [N]."""
        return self.add("Squeeze", value, self.constant(np.array([1], np.int64)))

    def outputs(self, value: str, heads: int) -> str:
        """Turn [N, 1] into [N] where there is one head: vectors are added up a little quicker than columns."""
        return self.column(value) if heads == 1 else value

    def columns(self, value: str, start: int, stop: int) -> str:
        """Take the columns *start* … *stop* − 1 of [N, width]."""
        start_stop_axis = (self.constant(np.array([v], np.int64)) for v in (start, stop, 1))
        return self.add("Slice", value, *start_stop_axis)

    def split(self, value: str, widths: Sequence[int]) -> list[str]:
        """Cut [N, sum of *widths*] into columns side by side."""
        names = [self._name("split") for _ in widths]
        given = [value, self.constant(np.array(widths, np.int64))]
        self._nodes.append(self._onnx.helper.make_node("Split", given, names, name=names[0], axis=1))
        return names

    def head(self, value: str, like: str) -> str:
        """Take as many first rows of *value* as *like* has rows."""
        count = self.add("Shape", like, start=0, end=1)
        zero = self.constant(np.array([0], np.int64))
        return self.add("Slice", value, zero, count, zero)

    def write_heads(self, file: Path, outputs: str, heads: int) -> None:
        """Write the graph with ``heads``, the value *outputs* (float32 [N, *heads*]), and its first column as scores.

        One head has no output ``heads``; its *outputs* are [N].
        """
        if heads > 1:
            self._output(HEADS, outputs, ["N", heads])
            outputs = self.column(self.columns(outputs, 0, 1))
        self.write(file, outputs)

    def write(self, file: Path, scores: str) -> None:
        """Check the graph and write it with the value *scores* (float32 [N]) as its output."""
        helper = self._onnx.helper
        self._output(OUTPUT, scores, ["N"])
        outputs = list(self._outputs.values())
        graph = helper.make_graph(self._nodes, "ranker", list(self._inputs.values()), outputs, self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="orita", ir_version=_IR)
        self._onnx.checker.check_model(model)
        file.write_bytes(model.SerializeToString(deterministic=True))

    def _output(self, name: str, value: str, shape: list[str | int]) -> None:
        self.named(name, value)
        kind = self._onnx.TensorProto.FLOAT
        self._outputs[name] = self._onnx.helper.make_tensor_value_info(name, kind, shape)

    def _input(self, name: str, dtype: type[np.generic], shape: list[str | int]) -> str:
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._inputs[name] = self._onnx.helper.make_tensor_value_info(name, kind, shape)
        return name

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"
