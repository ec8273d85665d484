"""``/v2`` as the specification has it, over real packages."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from tests.models.clicks import SCHEMA, clicks
from tests.serving.inference_protocol.slow_source import SlowSource
from tests.serving.own_parts import own_parts

from orita.core.errors import NotFound, Unavailable
from orita.models.package import Package
from orita.serving.inference_protocol.models import FixedModels
from orita.serving.inference_protocol.openapi import describe_inference
from orita.serving.inference_protocol.routes import InferenceRoutes
from orita.serving.resilience.admission import Ticket
from orita.serving.resilience.contracts import Priority
from orita.testing.asgi import Answer, AsgiClient

ROWS = clicks(12)
WIDTH = len(SCHEMA)
JSON_LENGTH = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def client(models: FixedModels) -> Iterator[AsgiClient]:
    """A client of the routes alone."""
    with AsgiClient(Starlette(routes=InferenceRoutes(models, own_parts(), max_body=200_000).routes)) as client:
        yield client


def tensor(name: str, datatype: str, shape: Sequence[int], data: object, **more: object) -> dict[str, Any]:
    """Return an input as JSON."""
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": data, **more}


def numbers(x_NF: Any) -> list[Any]:
    """Return *x_NF* nested, null where it is missing."""
    return [[None if np.isnan(value) else float(value) for value in row] for row in x_NF]


def three(rows: int = len(ROWS)) -> list[dict[str, Any]]:
    """Return the inputs of the first *rows* rows."""
    return [
        tensor("features", "FP32", [rows, WIDTH], numbers(ROWS.x_NF[:rows])),
        tensor("users", "INT64", [rows], ROWS.users_N[:rows].tolist()),
        tensor("items", "INT64", [rows], ROWS.items_N[:rows].tolist()),
    ]


def refused(answer: Answer, status: int, *words: str) -> None:
    """Check that *answer* is an error of the protocol: one sentence under one key."""
    assert answer.status == status, answer.text
    assert list(answer.json()) == ["error"]
    for word in words:
        assert word in answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"


def test_the_server_says_what_it_is(client: AsgiClient) -> None:
    """Server metadata, with and without the slash that one file of the specification has."""
    for path in ("/v2", "/v2/"):
        answer = client.get(path).json()
        assert sorted(answer) == ["extensions", "name", "version"]
        assert (answer["name"], answer["extensions"]) == ("orita", ["binary_tensor_data"])


def test_health(client: AsgiClient) -> None:
    """Live and ready, with the key that the specification has and the one that its readers use."""
    assert client.get("/v2/health/live").json() == {"live": True, "ready": True}
    assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
    for path in ("/v2/models/feed/ready", "/v2/models/feed/versions/v1.2.3/ready"):
        assert client.get(path).json() == {"name": "feed", "ready": True}


def test_a_model_says_what_it_takes_and_gives(client: AsgiClient) -> None:
    """Ids where it knows ids, heads where it has several."""
    x = {"name": "features", "datatype": "FP32", "shape": [-1, WIDTH]}
    ids = [{"name": name, "datatype": "INT64", "shape": [-1]} for name in ("users", "items")]
    scores = {"name": "scores", "datatype": "FP32", "shape": [-1]}
    feed = client.get("/v2/models/feed").json()
    assert feed == {
        "name": "feed", "versions": ["v1.2.3"], "platform": "onnx_onnxv1", "inputs": [x, *ids], "outputs": [scores]
    }  # fmt: skip
    assert client.get("/v2/models/feed/versions/v1.2.3").json() == feed
    assert client.get("/v2/models/plain").json()["inputs"] == [x]
    heads = {"name": "heads", "datatype": "FP32", "shape": [-1, 3]}
    assert client.get("/v2/models/headed").json()["outputs"] == [scores, heads]


def test_scores_are_those_of_the_package(client: AsgiClient, feed: Package) -> None:
    """Bit for bit, nested or flat, with a missing value as null."""
    wanted = feed.score(ROWS.users_N, ROWS.items_N, ROWS.x_NF)
    flat = three()
    flat[0]["data"] = [value for row in flat[0]["data"] for value in row]
    for inputs in (three(), flat, three()[::-1]):
        answer = client.post("/v2/models/feed/infer", json={"id": "42", "inputs": inputs}).json()
        (scores,) = answer.pop("outputs")
        assert answer == {"model_name": "feed", "model_version": "v1.2.3", "id": "42"}
        assert (scores["name"], scores["datatype"], scores["shape"]) == ("scores", "FP32", [len(ROWS)])
        np.testing.assert_array_equal(np.array(scores["data"], np.float32), wanted)


def test_ids_may_be_texts_and_columns(client: AsgiClient, feed: Package) -> None:
    """BYTES name the same ids as numbers do, as packages have it; [N, 1] is [N]."""
    wanted = feed.score(ROWS.users_N, ROWS.items_N, ROWS.x_NF)
    inputs = three()
    inputs[1] = tensor("users", "BYTES", [len(ROWS), 1], [[str(user)] for user in ROWS.users_N])
    inputs[2] = tensor("items", "BYTES", [len(ROWS)], [str(item) for item in ROWS.items_N])
    scores = client.post("/v2/models/feed/infer", json={"inputs": inputs}).json()["outputs"][0]
    np.testing.assert_array_equal(np.array(scores["data"], np.float32), wanted)


def test_heads(client: AsgiClient, headed: Package) -> None:
    """All outputs by default, or those that are wanted, in that order."""
    p_NH = headed.score_heads(ROWS.users_N, ROWS.items_N, ROWS.x_NF)
    scores_N = headed.score(ROWS.users_N, ROWS.items_N, ROWS.x_NF)
    both = client.post("/v2/models/headed/infer", json={"inputs": three()}).json()["outputs"]
    assert [output["name"] for output in both] == ["scores", "heads"]
    np.testing.assert_array_equal(np.array(both[0]["data"], np.float32), scores_N)
    np.testing.assert_array_equal(np.array(both[1]["data"], np.float32).reshape(both[1]["shape"]), p_NH)
    asked = {"inputs": three(), "outputs": [{"name": "heads"}]}
    (heads,) = client.post("/v2/models/headed/infer", json=asked).json()["outputs"]
    assert heads == both[1]


def test_a_model_without_ids_takes_features_alone(client: AsgiClient, plain: Package) -> None:
    """And passes over ids that are given, so that one caller suits every model."""
    wanted = plain.score(ROWS.users_N, ROWS.items_N, ROWS.x_NF)
    for inputs in (three()[:1], three()):
        (scores,) = client.post("/v2/models/plain/infer", json={"inputs": inputs}).json()["outputs"]
        np.testing.assert_array_equal(np.array(scores["data"], np.float32), wanted)


def test_no_rows(client: AsgiClient) -> None:
    """No rows have no scores."""
    inputs = [tensor("features", "FP32", [0, WIDTH], []), *(tensor(n, "INT64", [0], []) for n in ("users", "items"))]
    (scores,) = client.post("/v2/models/feed/infer", json={"inputs": inputs}).json()["outputs"]
    assert (scores["shape"], scores["data"]) == ([0], [])


def binary(inputs: Sequence[tuple[str, str, Sequence[int], bytes]], **more: object) -> tuple[bytes, dict[str, str]]:
    """Return a body whose inputs are binary, and its header."""
    told = [
        {"name": n, "datatype": d, "shape": list(s), "parameters": {"binary_data_size": len(b)}}
        for n, d, s, b in inputs
    ]
    head = json.dumps({"inputs": told, **more}).encode()
    return head + b"".join(data for *_, data in inputs), {JSON_LENGTH: str(len(head))}


def packed(texts: Sequence[str]) -> bytes:
    """Return BYTES as they lie in binary data."""
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


def three_binary(rows: int = len(ROWS)) -> list[tuple[str, str, Sequence[int], bytes]]:
    """Return the inputs of the first *rows* rows as binary data, the users as texts."""
    return [
        ("features", "FP64", [rows, WIDTH], ROWS.x_NF[:rows].astype("<f8").tobytes()),
        ("users", "BYTES", [rows], packed([str(user) for user in ROWS.users_N[:rows]])),
        ("items", "INT64", [rows], ROWS.items_N[:rows].astype("<i8").tobytes()),
    ]


@pytest.mark.parametrize(
    ("more", "first", "second"),
    [
        ({}, False, False),
        ({"parameters": {"binary_data_output": True}}, True, True),
        ({"outputs": [{"name": "scores"}, {"name": "heads", "parameters": {"binary_data": True}}]}, False, True),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "scores", "parameters": {"binary_data": False}}, {"name": "heads"}],
            },
            False,
            True,
        ),
    ],
)
def test_binary_data(client: AsgiClient, headed: Package, more: dict[str, Any], first: bool, second: bool) -> None:
    """Inputs after the JSON; outputs too where that is asked of all of them, or of one, which wins."""
    body, headers = binary(three_binary(), **more)
    answer = client.post("/v2/models/headed/infer", body=body, headers=headers)
    assert answer.status == 200, answer.text
    end = int(answer.headers.get(JSON_LENGTH.lower(), len(answer.body)))
    assert (
        (end < len(answer.body)) == (first or second) == (answer.headers["content-type"] == "application/octet-stream")
    )
    outputs, rest = json.loads(answer.body[:end])["outputs"], answer.body[end:]
    wanted = {
        "scores": headed.score(ROWS.users_N, ROWS.items_N, ROWS.x_NF),
        "heads": headed.score_heads(ROWS.users_N, ROWS.items_N, ROWS.x_NF),
    }
    for output, is_binary in zip(outputs, (first, second), strict=True):
        if is_binary:
            size = output["parameters"]["binary_data_size"]
            found, rest = np.frombuffer(rest[:size], "<f4"), rest[size:]
            assert "data" not in output
        else:
            found = np.array(output["data"], np.float32)
        np.testing.assert_array_equal(found.reshape(output["shape"]), wanted[output["name"]])
    assert rest == b""


def test_what_is_not_there(client: AsgiClient) -> None:
    """Models, versions, paths and methods: each an error of the protocol that says what there is."""
    refused(client.get("/v2/models/fed"), 404, "model 'fed' is not here. Did you mean 'feed'?")
    refused(client.get("/v2/models/fed/ready"), 404, "'fed'")
    refused(client.get("/v2/models/feed/versions/v9.9.9/ready"), 404, "no version 'v9.9.9'", "v1.2.3")
    refused(client.post("/v2/models/fed/infer", json={"inputs": three()}), 404, "'fed'")
    refused(client.get("/v2/modules"), 404, "GET /v2/modules", "no such path")
    wrong = client.get("/v2/models/feed/infer")
    refused(wrong, 405, "allowed are POST")
    assert wrong.headers["allow"] == "POST"
    refused(client.post("/v2/health/live", json={}), 405, "allowed are GET, HEAD")
    refused(client.post("/v2", json={}), 405, "allowed are GET, HEAD")
    refused(client.get("/v2/models/feed/"), 404, "no such path")


def changed(index: int, **fields: object) -> dict[str, Any]:
    """Return a request of one row, one of whose inputs is changed; a field of None is left out."""
    inputs = three(1)
    inputs[index] = {name: value for name, value in (inputs[index] | fields).items() if value is not None}
    return {"inputs": inputs}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, ["inputs is missing"]),
        ({"inputs": 5}, ["inputs has the value 5, expected array"]),
        ({"inputs": []}, ["input 'features' is missing", f"[N, {WIDTH}]"]),
        ({"inputs": three(1)[:2]}, ["input 'items' is missing"]),
        ({"inputs": three(1) + three(1)[:1]}, ["input 'features' is named more than once"]),
        (changed(0, name="feature"), ["input 'feature' is not known. Did you mean 'features'?"]),
        (changed(0, datatype="FP16"), ["datatype 'FP16', allowed are FP32, FP64, INT64, BYTES"]),
        (changed(0, datatype="INT64", data=[1] * WIDTH), ["datatype INT64, allowed are FP32 and FP64"]),
        (changed(1, datatype="FP32", data=[1.0]), ["input 'users' has the datatype FP32, allowed are INT64 and BYTES"]),
        (changed(0, shape=[1, WIDTH + 1]), [f"its shape [1, {WIDTH + 1}]"]),
        (changed(0, shape=[WIDTH, 1], data=[1.0] * WIDTH), ["expected [N,"]),
        (changed(0, shape=[-1, WIDTH]), ["shape [-1,", "0 or more"]),
        (changed(0, shape=[1] * 9), ["up to 8 lengths"]),
        (changed(0, shape=[2**62, 2**62], data=[1.0]), ["has 1 values, and its shape"]),
        (changed(0, data=None), ["input 'features' has neither data nor binary_data_size"]),
        (changed(0, data=[["a"] * WIDTH]), ["input 'features' has data that is not FP32"]),
        (changed(0, data=[[1.0], [2.0]], shape=[2, WIDTH]), ["not nested as its shape"]),
        (changed(0, data=[1e39] * WIDTH), ["an infinite value, or one too large for FP32, in row 0 as 'user_hist"]),
        (changed(1, data=[2**64]), ["input 'users' has data that is not INT64"]),
        (changed(1, data=[1.5]), ["input 'users' has data that is not INT64"]),
        (changed(1, data=[1, 2], shape=[2]), ["input 'users' has the shape [2], expected [1]"]),
        ({"inputs": three(1), "outputs": [{"name": "score"}]}, ["output 'score' is not known", "'scores'"]),
        ({"inputs": three(1), "outputs": [{"name": "heads"}]}, ["output 'heads' is not known"]),
        ({"inputs": three(1), "outputs": [{"name": "scores"}] * 2}, ["output 'scores' is named more than once"]),
        ({"inputs": three(1), "id": 5}, ["id has the value 5, expected str"]),
    ],
)
def test_what_is_wrong_is_said(client: AsgiClient, request_: dict[str, Any], words: list[str]) -> None:
    """Each wrong request is a 400 with a sentence that names the input and what is allowed."""
    refused(client.post("/v2/models/feed/infer", json=request_), 400, *words)


def test_bodies_that_are_none(client: AsgiClient) -> None:
    """What is not JSON, too deep, or too long."""
    refused(client.post("/v2/models/feed/infer", body=b"{"), 400, "not valid JSON")
    refused(client.post("/v2/models/feed/infer", body=b"\xff\xfe"), 400)
    refused(client.post("/v2/models/feed/infer", body=b'{"inputs":' + b"[" * 100_000), 400)
    deep = (
        b'{"inputs":[{"name":"features","datatype":"FP32","shape":[1],"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}"
    )
    refused(client.post("/v2/models/feed/infer", body=deep), 400)
    refused(client.post("/v2/models/feed/infer", body=b" " * 200_001), 413, "more than 200000 bytes")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda head, body: (str(len(body) + 1), body), ["Inference-Header-Content-Length is", "the body has"]),
        (lambda head, body: ("-1", body), ["Inference-Header-Content-Length has the value b'-1'"]),
        (lambda head, body: (head, body + b"x"), ["bytes after its JSON, and its inputs tell of"]),
        (lambda head, body: (head, body[:-1]), ["input 'items' has the binary_data_size 8, and 7 bytes are left"]),
        (lambda head, body: (head, body.replace(b'"INT64"', b'"FP32" ')), ["2 values, and its shape [1] has 1"]),
        (lambda head, body: (head, body.replace(b"\x01\x00\x00\x00", b"\x09\x00\x00\x00")), ["not BYTES"]),
        (lambda head, body: (head, body.replace(b'": 8}', b'":-8}')), ["the binary_data_size -8"]),
    ],
)
def test_binary_data_that_is_not_what_it_says(client: AsgiClient, change: Any, words: list[str]) -> None:
    """Lengths that disagree are refused before anything is read beyond an end."""
    inputs = three_binary(1)
    inputs[1] = ("users", "BYTES", [1], packed(["7"]))
    body, headers = binary(inputs)
    length, body = change(headers[JSON_LENGTH], body)
    refused(client.post("/v2/models/feed/infer", body=body, headers={JSON_LENGTH: length}), 400, *words)


@given(body=st.binary(max_size=300), length=st.integers(0, 310))
def test_no_body_is_a_failure_of_the_server(client: AsgiClient, body: bytes, length: int) -> None:
    """Whatever the bytes are, the answer is a 400 in the form of the protocol."""
    refused(client.post("/v2/models/feed/infer", body=body, headers={JSON_LENGTH: str(length)}), 400)


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_no_changed_byte_is_a_failure_of_the_server(client: AsgiClient, place: int, byte: int) -> None:
    """A sound binary request with one other byte is answered or refused, and never a 500."""
    body, headers = binary(three_binary(2), parameters={"binary_data_output": True})
    broken = bytearray(body)
    broken[place % len(body)] = byte
    answer = client.post("/v2/models/headed/infer", body=bytes(broken), headers=headers)
    assert answer.status in {200, 400}, answer.text


def test_openapi_describes_every_route(models: FixedModels) -> None:
    """Every path and method that is answered is described, and its example is answered."""
    described = describe_inference()
    routes = InferenceRoutes(models, own_parts(), max_body=1000).routes
    answered = {(route.path, method.lower()) for route in routes for method in route.methods or ()}
    told = {(path, method) for path, item in described["paths"].items() for method in ("get", "post") if method in item}
    assert told == {(path, method) for path, method in answered if method != "head" and path != "/v2/"}
    names = [
        item[method]["operationId"] for item in described["paths"].values() for method in item if method != "parameters"
    ]
    assert len(set(names)) == len(names)
    schemas = described["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", json.dumps(described)):
        assert name in schemas


def test_the_request_id_comes_back(client: AsgiClient) -> None:
    """In the header, given or made, also of errors."""
    assert client.get("/v2", {"X-Request-Id": "r-1"}).headers["x-request-id"] == "r-1"
    assert len(client.get("/v2/nothing").headers["x-request-id"]) == 36
    refused(client.get("/v2", {"X-Request-Id": "a b"}), 400, "X-Request-Id")


class Moody:
    """A source whose models fail in several ways."""

    ready = False

    def versions(self, name: str, /) -> Sequence[str]:
        """Know every name."""
        return ()

    def loaded(self, name: str, version: str | None, /) -> Package | None:
        """Have nothing in memory."""
        return None

    def load(self, name: str, version: str | None, /) -> Package:
        """Fail as the name says."""
        if name == "away":
            raise Unavailable("model 'away' is not deployed yet: promote one.")
        if name == "gone":
            raise NotFound("model 'gone' is not here.")
        raise RuntimeError("/secret/path is broken")


def test_a_model_that_cannot_answer_now() -> None:
    """503 and when to come back; why a package is broken is for the server's log."""
    routes = InferenceRoutes(Moody(), own_parts(), max_body=1000)
    with AsgiClient(Starlette(routes=routes.routes)) as client:
        away = client.post("/v2/models/away/infer", json={"inputs": []})
        refused(away, 503, "not deployed yet")
        assert away.headers["retry-after"] == "1"
        broken = client.get("/v2/models/broken")
        refused(broken, 503, "cannot be loaded; the server's log has the reason")
        assert "secret" not in broken.text
        refused(client.get("/v2/models/gone"), 404)
        ready = client.get("/v2/models/away/ready")
        assert (ready.status, ready.json()) == (503, {"name": "away", "ready": False})
        assert client.get("/v2/health/live").status == 200
        assert client.get("/v2/health/ready").json() == {"live": True, "ready": False}
        assert client.get("/v2/health/ready").status == 503
    assert routes.requests["infer", 503] == 1


def test_who_asks_for_a_model_that_is_loaded_waits_as_long_as_it_says(plain: Package) -> None:
    """By then 504; the model is loaded once, whoever waits for it, and answers those who come later."""
    source = SlowSource(plain)
    ask = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, WIDTH], "data": [0.0] * WIDTH}]}
    with AsgiClient(Starlette(routes=InferenceRoutes(source, own_parts(), max_body=10_000).routes)) as client:
        hurried = {"x-request-timeout-ms": "50"}
        refused(client.post("/v2/models/plain/infer", json=ask, headers=hurried), 504, "is still being loaded")
        refused(client.get("/v2/models/plain", headers=hurried), 504, "is still being loaded")
        ready = client.get("/v2/models/plain/ready", headers=hurried)
        assert (ready.status, ready.json()["ready"]) == (503, False)
        source.may_end.set()
        assert client.post("/v2/models/plain/infer", json=ask).status == 200
        assert source.loads == 1
        wrong = client.post("/v2/models/plain/infer", json=ask, headers={"x-request-timeout-ms": "soon"})
        refused(wrong, 400, "X-Request-Timeout-Ms")


def test_inference_has_its_turn_at_the_door(models: FixedModels) -> None:
    """Where there is no room, 503 and when to come back; the request counts as shed."""
    parts = own_parts(most=1)
    assert parts.turnstile.admission.arrive(Ticket(Priority.NORMAL, float("inf"), 0.0), 0.0)  # somebody is inside
    with AsgiClient(Starlette(routes=InferenceRoutes(models, parts, max_body=10_000).routes)) as client:
        answer = client.post("/v2/models/plain/infer", json={"inputs": []})
    refused(answer, 503, "no room")
    assert int(answer.headers["retry-after"]) >= 1
    assert parts.turnstile.admission.shed[Priority.NORMAL] == 1


def test_many_rows_are_scored_beside_the_loop(client: AsgiClient, plain: Package) -> None:
    """A long table is answered like a short one."""
    rows = clicks(1500)
    body, headers = binary([("features", "FP32", [1500, WIDTH], rows.x_NF.tobytes())])
    (scores,) = client.post("/v2/models/plain/infer", body=body, headers=headers).json()["outputs"]
    np.testing.assert_array_equal(
        np.array(scores["data"], np.float32), plain.score(rows.users_N, rows.items_N, rows.x_NF)
    )
