"""The protocol over gRPC: a real server on a port, over real packages."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from tests.models.clicks import SCHEMA, clicks
from tests.serving.inference_protocol.slow_source import SlowSource
from tests.serving.own_parts import own_parts

from orita.core.errors import UserError
from orita.models.package import Package
from orita.serving.access.callers import Caller, Callers, LocalCallers, Permission, Visitor
from orita.serving.http.refusal import Refused
from orita.serving.inference_protocol.models import FixedModels, ModelSource
from orita.serving.resilience.admission import Ticket
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.parts import Parts

grpc = pytest.importorskip("grpc", reason="the extra 'grpc' is not installed")

from orita.serving.inference_protocol.grpc_service import SERVICE, GrpcInference  # noqa: E402  (they import grpc)
from orita.serving.inference_protocol.proto import open_inference_pb2 as pb  # noqa: E402

ROWS = clicks(12)
WIDTH = len(SCHEMA)

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def port(models: FixedModels) -> Iterator[int]:
    """Where a server runs that everybody may ask."""
    with running(models, LocalCallers("127.0.0.1")) as found:
        yield found


@contextmanager
def running(models: ModelSource, callers: Callers, parts: Parts | None = None) -> Iterator[int]:
    """Run a server; give its port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = GrpcInference(models, callers, parts or own_parts(), max_message=200_000)
    try:
        yield asyncio.run_coroutine_threadsafe(server.start("127.0.0.1:0"), loop).result(10)
        asyncio.run_coroutine_threadsafe(server.stop(1.0), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def call(port: int) -> Iterator[Call]:
    """Call a method of the service."""
    with calling(port) as send:
        yield send


@contextmanager
def calling(port: int, metadata: tuple[tuple[str, str], ...] = ()) -> Iterator[Call]:
    """Call methods as a client that was generated from the same specification does."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:

        def send(name: str, request: Any, timeout: float = 20) -> Any:
            kind = getattr(pb, name + "Response")
            method = channel.unary_unary(
                f"/{SERVICE}/{name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=kind.FromString,
            )
            return method(request, timeout=timeout, metadata=metadata)

        yield send


def inputs(rows: int = len(ROWS)) -> list[Any]:
    """Return the inputs of the first *rows* rows in the fields of their datatypes."""
    tensor = pb.ModelInferRequest.InferInputTensor
    return [
        tensor(
            name="features",
            datatype="FP32",
            shape=[rows, WIDTH],
            contents={"fp32_contents": ROWS.x_NF[:rows].ravel().tolist()},
        ),
        tensor(
            name="users",
            datatype="BYTES",
            shape=[rows],
            contents={"bytes_contents": [str(user).encode() for user in ROWS.users_N[:rows]]},
        ),
        tensor(name="items", datatype="INT64", shape=[rows], contents={"int64_contents": ROWS.items_N[:rows].tolist()}),
    ]


def refused(call: Call, name: str, request: Any, code: str, *words: str) -> None:
    """Check that the call ends with the status *code* and a sentence."""
    with pytest.raises(grpc.RpcError) as caught:
        call(name, request)
    assert caught.value.code().name == code
    for word in words:
        assert word in caught.value.details()


def test_the_server_and_its_models(call: Call) -> None:
    """Health and metadata say what REST says."""
    assert call("ServerLive", pb.ServerLiveRequest()).live
    assert call("ServerReady", pb.ServerReadyRequest()).ready
    assert call("ModelReady", pb.ModelReadyRequest(name="feed", version="v1.2.3")).ready
    assert call("ServerMetadata", pb.ServerMetadataRequest()).name == "orita"
    model = call("ModelMetadata", pb.ModelMetadataRequest(name="headed"))
    assert (model.name, list(model.versions), model.platform) == ("headed", ["v1.2.3"], "onnx_onnxv1")
    assert [(t.name, t.datatype, list(t.shape)) for t in model.inputs] == [
        ("features", "FP32", [-1, WIDTH]),
        ("users", "INT64", [-1]),
        ("items", "INT64", [-1]),
    ]
    assert [(t.name, list(t.shape)) for t in model.outputs] == [("scores", [-1]), ("heads", [-1, 3])]


def test_scores_are_those_of_the_package(call: Call, headed: Package) -> None:
    """Bit for bit, in the field of the datatype where the inputs came so, with a missing value as NaN."""
    answer = call("ModelInfer", pb.ModelInferRequest(model_name="headed", id="42", inputs=inputs()))
    assert (answer.model_name, answer.model_version, answer.id) == ("headed", "v1.2.3", "42")
    scores, heads = answer.outputs
    wanted = headed.score(ROWS.users_N, ROWS.items_N, ROWS.x_NF)
    np.testing.assert_array_equal(np.array(scores.contents.fp32_contents, np.float32), wanted)
    p_NH = headed.score_heads(ROWS.users_N, ROWS.items_N, ROWS.x_NF)
    np.testing.assert_array_equal(np.array(heads.contents.fp32_contents, np.float32).reshape(heads.shape), p_NH)


def test_raw_contents(call: Call, feed: Package) -> None:
    """Little-endian bytes in, little-endian bytes out."""
    given = inputs()
    given[1].datatype = "INT64"
    for one in given:
        one.ClearField("contents")
    raw = [ROWS.x_NF.tobytes(), ROWS.users_N.astype("<i8").tobytes(), ROWS.items_N.astype("<i8").tobytes()]
    request = pb.ModelInferRequest(
        model_name="feed", inputs=given, raw_input_contents=raw, outputs=[{"name": "scores"}]
    )
    answer = call("ModelInfer", request)
    assert not answer.outputs[0].HasField("contents")
    wanted = feed.score(ROWS.users_N, ROWS.items_N, ROWS.x_NF)
    np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], "<f4"), wanted)


def test_what_is_wrong_is_said(call: Call) -> None:
    """A status of gRPC, and the sentence that REST has."""
    tensor = pb.ModelInferRequest.InferInputTensor
    refused(call, "ModelMetadata", pb.ModelMetadataRequest(name="fed"), "NOT_FOUND", "Did you mean 'feed'?")
    refused(call, "ModelReady", pb.ModelReadyRequest(name="feed", version="v9"), "NOT_FOUND", "no version 'v9'")

    def infer(*words: str, **fields: Any) -> None:
        request = pb.ModelInferRequest(**({"model_name": "feed", "inputs": inputs(1)} | fields))
        refused(call, "ModelInfer", request, "INVALID_ARGUMENT", *words)

    infer("input 'items' is missing", inputs=inputs(1)[:2])
    infer("output 'score' is not known", outputs=[{"name": "score"}])
    infer("raw_input_contents has 1 tensors for 3 inputs", raw_input_contents=[b""])
    infer("datatype 'FP16'", inputs=[tensor(name="features", datatype="FP16", shape=[1])])
    infer("0 values, and its shape [1] has 1", inputs=[tensor(name="features", datatype="FP32", shape=[1])])
    both = tensor(name="features", datatype="FP32", shape=[1], contents={"fp32_contents": [1], "int_contents": [1]})
    infer("has int_contents: give fp32_contents alone", inputs=[both])
    bad = tensor(name="users", datatype="BYTES", shape=[1], contents={"bytes_contents": [b"\xff"]})
    infer("input 'users' has an element that is not UTF-8", inputs=[bad])
    infinite = inputs(1)
    infinite[0].contents.fp32_contents[0] = float("inf")
    infer("infinite value", "in row 0", inputs=infinite)


def test_a_message_that_is_too_long(call: Call) -> None:
    """It is refused before it is read."""
    refused(call, "ModelInfer", pb.ModelInferRequest(model_name="x" * 300_000), "RESOURCE_EXHAUSTED")


def test_an_address_that_is_taken(port: int, models: FixedModels) -> None:
    """One sentence, as for HTTP."""

    async def second() -> None:
        await GrpcInference(models, LocalCallers("127.0.0.1"), own_parts(), max_message=1000).start(f"127.0.0.1:{port}")

    with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port} for gRPC"):
        asyncio.run(second())


class Doorkeeper:
    """Lets those in who say a word, and remembers what was asked of it."""

    everybody: frozenset[Permission] = frozenset()

    def __init__(self) -> None:
        self.asked: list[tuple[Permission | None, str | None]] = []

    async def caller(self, permission: Permission | None, visitor: Visitor, /) -> Caller:
        """Return who calls."""
        self.asked.append((permission, visitor.peer))
        said = dict(visitor.headers).get(b"authorization")
        if said is None:
            raise Refused(401, "unauthorized", "nobody knows you.")
        if said != b"Bearer word":
            raise Refused(403, "forbidden", "you may not.")
        return Caller("ada")


def test_every_call_but_probes_asks_who_it_is(models: FixedModels) -> None:
    """Calls need the permission that they need over REST; who is not known or may not gets gRPC's own status."""
    keeper = Doorkeeper()
    asks = {
        "ServerMetadata": pb.ServerMetadataRequest(),
        "ModelReady": pb.ModelReadyRequest(name="feed"),
        "ModelMetadata": pb.ModelMetadataRequest(name="feed"),
        "ModelInfer": pb.ModelInferRequest(model_name="feed", inputs=inputs()),
    }
    with running(models, keeper) as port:
        with calling(port) as send:
            assert send("ServerLive", pb.ServerLiveRequest()).live
            assert send("ServerReady", pb.ServerReadyRequest()).ready
            assert keeper.asked == []
        for word, status in (((), "UNAUTHENTICATED"), ((("authorization", "x"),), "PERMISSION_DENIED")):
            with calling(port, word) as send:
                for name, request in asks.items():
                    with pytest.raises(grpc.RpcError) as refused:
                        send(name, request)
                    assert refused.value.code().name == status, name
        permissions = ["model:read", "model:read", "model:read", "model:predict"]
        assert keeper.asked == [(permission, "127.0.0.1") for permission in permissions] * 2
        with calling(port, (("authorization", "Bearer word"),)) as send:
            assert len(send("ModelInfer", asks["ModelInfer"]).outputs) == 1


def test_a_call_has_its_turn_at_the_door(models: FixedModels) -> None:
    """Without room it is told when to come back."""
    parts = own_parts(most=1)
    inside = Ticket(Priority.NORMAL, float("inf"), 0.0)
    assert parts.turnstile.admission.arrive(inside, 0.0)
    ask = pb.ModelInferRequest(model_name="feed", inputs=inputs())
    with running(models, LocalCallers("127.0.0.1"), parts) as port:
        with calling(port) as send:
            with pytest.raises(grpc.RpcError) as refused:
                send("ModelInfer", ask)
            assert refused.value.code().name == "UNAVAILABLE"
            assert int(dict(refused.value.trailing_metadata())["grpc-retry-pushback-ms"]) >= 1000
            parts.turnstile.admission.leave(inside, 0.0, answered=False)
            assert len(send("ModelInfer", ask).outputs) == 1
        with calling(port, (("x-request-timeout-ms", "soon"),)) as send:
            with pytest.raises(grpc.RpcError) as refused:
                send("ModelInfer", ask)
            assert refused.value.code().name == "INVALID_ARGUMENT"


def test_a_call_waits_for_a_model_as_long_as_it_says(feed: Package) -> None:
    """In its metadata, or as deadline of the call; by then its status says so."""
    source = SlowSource(feed)
    ask = pb.ModelInferRequest(model_name="feed", inputs=inputs())
    with running(source, LocalCallers("127.0.0.1")) as port:
        with calling(port, (("x-request-timeout-ms", "50"),)) as send, pytest.raises(grpc.RpcError) as refused:
            send("ModelInfer", ask)
        assert refused.value.code().name == "DEADLINE_EXCEEDED"
        assert "is still being loaded" in refused.value.details()
        source.may_end.set()
        with calling(port) as send:
            assert len(send("ModelInfer", ask).outputs) == 1
    assert source.loads == 1
