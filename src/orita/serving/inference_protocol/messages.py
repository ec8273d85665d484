"""The JSON of the protocol, and the binary data that may follow it (extension ``binary_tensor_data``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from orita.serving.http.decoding import BodyDecoder
from orita.serving.http.refusal import Refused
from orita.serving.inference_protocol.tensors import Tensor, from_bytes, from_json, to_bytes

__all__ = [
    "InferenceError",
    "InferenceRequest",
    "InferenceResponse",
    "ModelMetadata",
    "ModelReady",
    "RequestInput",
    "RequestedOutput",
    "ResponseOutput",
    "ServerHealth",
    "ServerMetadata",
    "TensorDescription",
    "answered",
    "decoded",
]


class RequestInput(msgspec.Struct, frozen=True):
    """An input: its elements in ``data``, or ``parameters.binary_data_size`` of them after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class RequestedOutput(msgspec.Struct, frozen=True):
    """An output that is wanted; ``parameters.binary_data`` true: after the JSON."""

    name: str
    parameters: dict[str, Any] = {}


class InferenceRequest(msgspec.Struct, frozen=True):
    """The body of ``…/infer``.

    Attributes:
        inputs: the tensors.
        id: comes back with the answer.
        parameters: ``binary_data_output`` true: all outputs after the JSON, unless one says otherwise.
        outputs: which are wanted; by default all.
    """

    inputs: list[RequestInput]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[RequestedOutput] = []


class ResponseOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """An output: its elements in ``data``, flat, or ``parameters.binary_data_size`` of them after the JSON."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, int] | None = None
    data: list[float] | None = None


class InferenceResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of ``…/infer``."""

    model_name: str
    model_version: str
    outputs: list[ResponseOutput]
    id: str | None = None


class TensorDescription(msgspec.Struct, frozen=True):
    """An input or output of a model; -1 is a length that may vary."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(msgspec.Struct, frozen=True):
    """What a model takes and gives."""

    name: str
    versions: Sequence[str]
    platform: str
    inputs: list[TensorDescription]
    outputs: list[TensorDescription]


class ModelReady(msgspec.Struct, frozen=True):
    """Whether a model can answer."""

    name: str
    ready: bool


class ServerHealth(msgspec.Struct, frozen=True):
    """Whether the server is there, and whether it can answer; the specification's two spellings of it in one."""

    live: bool
    ready: bool


class ServerMetadata(msgspec.Struct, frozen=True):
    """Who answers."""

    name: str
    version: str
    extensions: tuple[str, ...]


class InferenceError(msgspec.Struct, frozen=True):
    """The body of every error: one sentence."""

    error: str


_decode = BodyDecoder(InferenceRequest, "inputs")


def decoded(body: bytes | bytearray, json_bytes: int | None) -> tuple[InferenceRequest, list[Tensor]]:
    """Return the request in *body*, and its inputs.

    Args:
        body: JSON, and after it the binary data of inputs, in their order.
        json_bytes: how long the JSON is (``Inference-Header-Content-Length``); None: nothing follows it.

    Raises:
        Refused: it is not of that form, or the data is not of the shapes.
    """
    if json_bytes is not None and json_bytes > len(body):
        message = f"Inference-Header-Content-Length is {json_bytes}, and the body has {len(body)} bytes."
        raise Refused(400, "invalid_value", message)
    end = len(body) if json_bytes is None else json_bytes
    request = _decode(bytes(body[:end]))
    binary, at, tensors = memoryview(body)[end:], 0, []
    for one in request.inputs:
        if "binary_data_size" not in one.parameters:
            if one.data is msgspec.UNSET:
                raise Refused(400, "missing_field", f"input {one.name!r} has neither data nor binary_data_size.")
            tensors.append(from_json(one.name, one.datatype, one.shape, one.data))
            continue
        size = _binary_size(one, len(binary) - at)
        tensors.append(from_bytes(one.name, one.datatype, one.shape, binary[at : at + size]))
        at += size
    if at != len(binary):
        message = f"the body has {len(binary)} bytes after its JSON, and its inputs tell of {at}."
        raise Refused(400, "invalid_value", message)
    return request, tensors


def answered(request: InferenceRequest, name: str, version: str, outputs: Sequence[Tensor]) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON where binary data follows."""
    binary = {one.name: one.parameters["binary_data"] for one in request.outputs if "binary_data" in one.parameters}
    otherwise = request.parameters.get("binary_data_output", False)
    told, after = [], []
    for tensor in outputs:
        if binary.get(tensor.name, otherwise) is True:
            after.append(to_bytes(tensor))
            parameters = {"binary_data_size": len(after[-1])}
            told.append(ResponseOutput(tensor.name, tensor.shape, tensor.datatype, parameters))
        else:
            told.append(ResponseOutput(tensor.name, tensor.shape, tensor.datatype, data=tensor.values_E.tolist()))
    head = msgspec.json.encode(InferenceResponse(name, version, told, request.id))
    return (b"".join((head, *after)), len(head)) if after else (head, None)


def _binary_size(one: RequestInput, left: int) -> int:
    size = one.parameters["binary_data_size"]
    if type(size) is not int or not 0 <= size <= left:
        message = (
            f"input {one.name!r} has the binary_data_size {str(size)[:40]}, and {left} bytes are left after the JSON."
        )
        raise Refused(400, "invalid_value", message)
    if one.data is not msgspec.UNSET:
        raise Refused(400, "invalid_value", f"input {one.name!r} has both data and binary_data_size: give one.")
    return size
