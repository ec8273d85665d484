"""Graphs that cannot be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orita.core.errors import UserError
from orita.models.graph import open_graph

onnx = pytest.importorskip("onnx", reason="graphs are written with the train extra")


def test_what_a_graph_says_cannot_drive_a_terminal(tmp_path: Path) -> None:
    """Names of a forged graph stand in the sentence that refuses it, but no control character does."""
    value = onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, [None])
    node = onnx.helper.make_node("Gathe\x08\x1b[2J", ["features"], ["scores"])
    features = onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, [None])
    graph = onnx.helper.make_graph([node], "forged", [features], [value])
    file = tmp_path / "model.onnx"
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    file.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="is not a graph that can be run") as refused:
        open_graph(file)
    assert "Gathe" in str(refused.value)
    assert str(refused.value).isprintable()
