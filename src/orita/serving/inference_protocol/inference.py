"""What a package is asked in tensors, and what it answers: the same for REST and gRPC.

Legend: N rows, F features, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from orita.core.errors import UserError, closest
from orita.models.graph import HEADS, INPUTS, ITEMS_FILE, OUTPUT, USERS_FILE
from orita.models.package import Package
from orita.serving.http.refusal import Refused
from orita.serving.inference_protocol.tensors import Tensor

__all__ = [
    "PLATFORM",
    "Rows",
    "TensorMetadata",
    "answers_of",
    "checked_rows",
    "infer",
    "inputs_of",
    "named_outputs",
    "outputs_of",
]

PLATFORM = "onnx_onnxv1"
"""What the protocol calls models that are ONNX graphs."""

FEATURES, USERS, ITEMS = INPUTS
_ID_FILES = {USERS: USERS_FILE, ITEMS: ITEMS_FILE}
_NO_IDS = np.zeros(0, np.int64)


class TensorMetadata(NamedTuple):
    """An input or output of a model; -1 is a length that may vary."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Rows(NamedTuple):
    """Rows that were checked, and which outputs are wanted of them."""

    users_N: npt.NDArray[Any]
    items_N: npt.NDArray[Any]
    x_NF: npt.NDArray[np.float32]
    wanted: Sequence[str]


def inputs_of(package: Package) -> list[TensorMetadata]:
    """Return the inputs that *package* requires. Reads which ids it knows from its folder, so call it from a thread."""
    found = [TensorMetadata(FEATURES, "FP32", (-1, len(package.schema)))]
    for name in _ids_of(package):
        number = pq.read_schema(package.folder / _ID_FILES[name]).field("id").type == "int64"
        found.append(TensorMetadata(name, "INT64" if number else "BYTES", (-1,)))
    return found


def outputs_of(package: Package) -> list[TensorMetadata]:
    """Return the outputs of *package*: its scores, and what each head says where it has several."""
    heads = [TensorMetadata(HEADS, "FP32", (-1, len(package.heads)))] if package.heads else []
    return [TensorMetadata(OUTPUT, "FP32", (-1,)), *heads]


def infer(package: Package, inputs: Sequence[Tensor], wanted: Sequence[str]) -> list[Tensor]:
    """Return the outputs that are *wanted*, in that order; none wanted: all.

    Args:
        package: scores.
        inputs: ``features`` [N, F], FP32 or FP64, NaN where missing, in the order of the package's schema; ``users``
            and ``items`` [N] or [N, 1], INT64 or BYTES, required where the package knows ids and else passed over.
        wanted: ``scores`` [N]: click probabilities, or what rows are worth by the objective; ``heads`` [N, H].

    Raises:
        Refused: an input is missing, unknown, given twice, or of another datatype or shape; or an output is unknown or
            wanted twice.
    """
    rows = checked_rows(package, inputs, wanted)
    return named_outputs(answers_of(package, rows.users_N, rows.items_N, rows.x_NF), rows.wanted)


def checked_rows(package: Package, inputs: Sequence[Tensor], wanted: Sequence[str]) -> Rows:
    """Return the rows that *inputs* are; arguments and errors are those of `infer`."""
    there = [output.name for output in outputs_of(package)]
    _check_names("output", wanted, there)
    given = {tensor.name: tensor for tensor in inputs}
    _check_names("input", [tensor.name for tensor in inputs], INPUTS)
    x_NF = _features(package, given)
    users_N, items_N = (_ids(package, name, given, len(x_NF)) for name in (USERS, ITEMS))
    return Rows(users_N, items_N, x_NF, wanted or there)


def named_outputs(answers: Mapping[str, npt.NDArray[np.float32]], wanted: Sequence[str]) -> list[Tensor]:
    """Return the *answers* that are wanted, in that order."""
    return [Tensor(name, "FP32", answers[name].shape, answers[name].ravel()) for name in wanted]


def answers_of(package: Package, users_N: Any, items_N: Any, x_NF: Any) -> dict[str, npt.NDArray[np.float32]]:
    """Return all outputs of checked rows.

    Raises:
        Refused: the package refuses them, or gives what is no number.
    """
    try:
        outputs = package.outputs(users_N, items_N, x_NF)  # once, for scores and heads
        answers = {OUTPUT: package.description.score(outputs).astype(np.float32, copy=False)}
    except UserError as error:
        raise _refused(str(error)) from None
    if package.heads:
        calibrated = [head.calibration.apply(outputs[:, h]) for h, head in enumerate(package.heads)]
        answers[HEADS] = np.column_stack(calibrated).astype(np.float32, copy=False)
    for name, answer in answers.items():
        if not np.isfinite(answer).all():
            raise Refused(500, "model_failed", f"model {package.version} gave {name} that are no numbers.")
    return answers


def _features(package: Package, given: dict[str, Tensor]) -> npt.NDArray[np.float32]:
    width = len(package.schema)
    if FEATURES not in given:
        raise _refused(f"input {FEATURES!r} is missing: give it as FP32 of the shape [N, {width}].")
    tensor = given[FEATURES]
    if tensor.datatype not in {"FP32", "FP64"}:
        raise _refused(f"input {FEATURES!r} has the datatype {tensor.datatype}, allowed are FP32 and FP64.")
    if len(tensor.shape) != 2 or tensor.shape[1] != width:
        names = ", ".join(package.schema.names)
        raise _refused(f"input {FEATURES!r} has the shape {list(tensor.shape)}, expected [N, {width}]: {names}.")
    x_NF = tensor.values_E.reshape(tensor.shape)
    if x_NF.dtype != np.float32:
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused as such
            x_NF = x_NF.astype(np.float32)
    if np.isinf(x_NF).any():
        row, column = np.argwhere(np.isinf(x_NF))[0].tolist()
        raise _refused(
            f"input {FEATURES!r} has an infinite value, or one too large for FP32, in row {row} as "
            f"{package.schema.names[column]!r}: "
            "give a finite number, or NaN (null in JSON) where it is missing."
        )
    return x_NF


def _ids(package: Package, name: str, given: dict[str, Tensor], rows: int) -> Any:
    if name not in given:
        if name in _ids_of(package):
            raise _refused(f"input {name!r} is missing: give the ids as INT64 or BYTES of the shape [N].")
        return np.zeros(rows, np.int64)
    tensor = given[name]
    if tensor.datatype not in {"INT64", "BYTES"}:
        raise _refused(f"input {name!r} has the datatype {tensor.datatype}, allowed are INT64 and BYTES.")
    if tensor.shape not in {(rows,), (rows, 1)}:
        raise _refused(
            f"input {name!r} has the shape {list(tensor.shape)}, expected [{rows}], as {FEATURES!r} has {rows} rows."
        )
    return tensor.values_E


def _ids_of(package: Package) -> list[str]:
    """Return which ids the package knows, and so has to be told."""
    return sorted(package.known(_NO_IDS, _NO_IDS), reverse=True)


def _check_names(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise _refused(f"{what} {name[:80]!r} is not known. {closest(name[:80], known)}")
    if len(set(names)) != len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise _refused(f"{what} {twice!r} is named more than once: name it once.")


def _refused(message: str) -> Refused:
    return Refused(400, "invalid_value", message)
