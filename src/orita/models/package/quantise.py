"""Weights as int8: a package about a quarter of the size, with what that costs in quality measured and on its card.

Legend: R rows of a weight, C its columns.

Each output channel of a layer, and each row of a table of embeddings, gets a scale of its own: w ≈ scale · q with q in
−127 … 127. The graph holds q and turns it back: layers once, when the graph is loaded, rows of tables where they are
looked up. Activations stay float32. Quantising those too (onnxruntime's dynamic quantisation) answers 1.4 times as
fast here, but takes its scale from all rows of a request, so that a score depends on the rows beside it; see decision
0023.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.core.extras import require
from orita.core.files import atomic_directory
from orita.models.examples import Examples
from orita.models.graph import MODEL_FILE
from orita.models.metadata import ModelMetadata
from orita.models.package.files import MANIFEST_FILE, SAMPLE_FILE, WEIGHTS_FILE
from orita.models.package.load import load_package
from orita.models.package.loaded import Package
from orita.models.package.manifest import read_contents, write_manifest
from orita.models.package.sample_check import furthest
from orita.models.package.signing import Trust
from orita.models.package.tables import SAMPLE_ROWS, Sample, write_sample
from orita.models.package.write import write_described
from orita.stats.metrics import auc, log_loss

__all__ = ["QuantisationLoss", "quantise"]

_SMALLEST = 1024  # values; below, a scale and two operators more are not worth it
_TIMED_ROWS, _TIMES = 100, 30


@dataclass(frozen=True, slots=True)
class QuantisationLoss:
    """What int8 weights changed, on the same rows; losses are positive where the new package is worse.

    Of a model with several heads the figures are those of the label's, the largest difference is that of any head.

    Attributes:
        rows: how many rows were scored.
        auc_before, auc_after, auc_loss: area under the ROC curve, and before − after.
        log_loss_before, log_loss_after: mean negative log likelihood.
        largest_difference: of two scores of one row.
        bytes_before, bytes_after: of the graph.
        microseconds_before, microseconds_after: of one call with 100 rows (fewer where there are fewer), the median of
            30.
    """

    rows: int
    auc_before: float
    auc_after: float
    auc_loss: float
    log_loss_before: float
    log_loss_after: float
    largest_difference: float
    bytes_before: int
    bytes_after: int
    microseconds_before: float
    microseconds_after: float


def quantise(
    folder: Path,
    target: Path,
    rows: Examples,
    *,
    max_auc_loss: float = 0.001,
    metadata: ModelMetadata | None = None,
    trust: Trust | None = None,
) -> Package:
    """Write the package at *folder* with int8 weights to *target*, whole or not at all, and return it.

    Args:
        folder: a package; it stays as it is.
        target: takes the place of what was there.
        rows: labelled rows that the model did not learn from, to measure the loss on.
        max_auc_loss: the largest loss of AUC that is accepted, 0 … 1.
        metadata: the card of the new package; None: that of the old one.
        trust: whose packages are taken; None: anybody's, signatures are not checked.

    Raises:
        UserError: there are no weights to quantise (such as in trees), the rows hold only one label, or more AUC is
            lost than *max_auc_loss*; or nobody who is trusted signed the package.
    """
    before = load_package(folder, trust=trust)
    if not 0 < float(rows.y_N.sum()) < len(rows):
        raise UserError(f"quantise was given {len(rows)} rows of one label; give clicks and non-clicks.")
    with atomic_directory(target) as partial:
        for name in (MANIFEST_FILE, *read_contents(folder).files):
            shutil.copyfile(folder / name, partial / name)
        contents = read_contents(partial)
        (partial / WEIGHTS_FILE).unlink(missing_ok=True)  # they are not what this package scores with
        (partial / MODEL_FILE).write_bytes(_quantised(contents.content(MODEL_FILE), f"{folder / MODEL_FILE}"))
        write_manifest(partial)
        after = load_package(partial)
        loss = _measured(before, after, rows)
        if not loss.auc_loss <= max_auc_loss:
            raise UserError(
                f"int8 weights cost {loss.auc_loss:.5f} of AUC on {loss.rows:,} rows, max_auc_loss allows "
                f"{max_auc_loss:g}: raise it, or serve the package as it is."
            )
        sample = _sample(after, rows.take(slice(0, SAMPLE_ROWS)))
        write_sample(partial / SAMPLE_FILE, sample, [head.name for head in after.heads])
        described = replace(before.description, card={**before.description.card, "quantisation": asdict(loss)})
        write_described(partial, metadata or before.metadata, before.schema, described)
        load_package(partial).check_sample()
    return load_package(target)


def _measured(before: Package, after: Package, rows: Examples) -> QuantisationLoss:
    old_N, new_N = (
        package.score(rows.users_N, rows.items_N, rows.x_NF, package.label_objective) for package in (before, after)
    )
    old_auc, new_auc = auc(rows.y_N, old_N), auc(rows.y_N, new_N)
    return QuantisationLoss(
        rows=len(rows),
        auc_before=old_auc,
        auc_after=new_auc,
        auc_loss=old_auc - new_auc,
        log_loss_before=log_loss(rows.y_N, old_N),
        log_loss_after=log_loss(rows.y_N, new_N),
        largest_difference=_largest_difference(before, after, rows) if before.heads else furthest(old_N, new_N),
        bytes_before=(before.folder / MODEL_FILE).stat().st_size,
        bytes_after=(after.folder / MODEL_FILE).stat().st_size,
        microseconds_before=_microseconds(before, rows),
        microseconds_after=_microseconds(after, rows),
    )


def _largest_difference(before: Package, after: Package, rows: Examples) -> float:
    old_NH, new_NH = (package.score_heads(rows.users_N, rows.items_N, rows.x_NF) for package in (before, after))
    return furthest(old_NH, new_NH)


def _microseconds(package: Package, rows: Examples) -> float:
    few = rows.take(slice(0, _TIMED_ROWS))
    spent = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        package.score(few.users_N, few.items_N, few.x_NF)
        spent.append(time.perf_counter() - begun)
    return float(np.median(spent) * 1e6)


def _sample(package: Package, rows: Examples) -> Sample:
    outputs = package.outputs(rows.users_N, rows.items_N, rows.x_NF)
    return Sample.of(rows, outputs, package.description.score(outputs))


def _quantised(content: bytes, where: str) -> bytes:
    onnx = require("onnx", extra="train")
    model = onnx.load_from_string(content)
    graph = model.graph
    arrays = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer if i.data_type == onnx.TensorProto.FLOAT}
    nodes: list[Any] = []
    made: dict[str, npt.NDArray[Any]] = {}
    for node in graph.node:
        axis = _channels(node, arrays)
        if axis is None:
            nodes.append(node)
            continue
        weight = node.input[0] if node.op_type == "Gather" else node.input[1]
        name = f"{weight}_{axis}"  # one weight may be used both ways
        made[f"{name}_int8"], made[f"{name}_scale"] = _rounded(arrays[weight], axis)
        nodes += _looked_up(onnx, node, name) if node.op_type == "Gather" else _turned_back(onnx, node, name, nodes)
    if not made:
        raise UserError(f"{where} has no weights of {_SMALLEST:,} values or more to quantise; trees have none.")
    used = {name for node in nodes for name in node.input}
    others = [initializer for initializer in graph.initializer if initializer.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(others)
    graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in made.items())
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def _channels(node: Any, arrays: dict[str, npt.NDArray[np.float32]]) -> int | None:
    """Return the axis of a node's weight that has a scale for each of its places, None where it has no such weight."""
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    match node.op_type:
        case "Gather" if attributes.get("axis", 0) == 0:
            name, axis = node.input[0], 0
        case "Gemm":
            name, axis = node.input[1], 0 if attributes.get("transB") else 1
        case "MatMul":
            name, axis = node.input[1], 1
        case _:
            return None
    weight = arrays.get(name)
    if weight is None or weight.ndim != 2 or weight.size < _SMALLEST or np.isin(weight, (0, 1)).all():
        return None  # zeros and ones choose columns, and are exact as they are
    return axis


def _rounded(weight_RC: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return q and its scales, [R, 1] or [1, C]."""
    scale = np.max(np.abs(weight_RC), axis=1 - axis, keepdims=True) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(weight_RC / scale).astype(np.int8), scale.astype(np.float32)


def _turned_back(onnx: Any, node: Any, name: str, before: list[Any]) -> Iterator[Any]:
    """Yield *node* with its weight turned back to float32, which onnxruntime does once, as nothing in it changes."""
    node.input[1] = whole = f"{name}_whole"
    if not any(whole in made.output for made in before):  # a weight may serve two nodes
        yield onnx.helper.make_node("Cast", [f"{name}_int8"], [f"{whole}_q"], to=onnx.TensorProto.FLOAT)
        yield onnx.helper.make_node("Mul", [f"{whole}_q", f"{name}_scale"], [whole])
    yield node


def _looked_up(onnx: Any, node: Any, name: str) -> Iterator[Any]:
    """Yield what looks rows up as int8 and turns only those back, so that the table stays small in memory."""
    rows, out = node.input[1], node.output[0]
    yield onnx.helper.make_node("Gather", [f"{name}_int8", rows], [f"{out}_int8"])
    yield onnx.helper.make_node("Gather", [f"{name}_scale", rows], [f"{out}_scale"])
    yield onnx.helper.make_node("Cast", [f"{out}_int8"], [f"{out}_q"], to=onnx.TensorProto.FLOAT)
    yield onnx.helper.make_node("Mul", [f"{out}_q", f"{out}_scale"], [out])
