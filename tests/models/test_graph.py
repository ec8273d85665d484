"""Graphs that cannot be run, and what runs them."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_what_runs_graphs_reports_to_nobody(tmp_path: Path) -> None:
    """ONNX Runtime's telemetry is off, so that it does not keep its session among the temporary files either."""
    script = "import orita.models.graph as graph; graph.onnxruntime.SessionOptions()"
    ours = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    subprocess.run([sys.executable, "-c", script], env={**ours, "TMPDIR": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
