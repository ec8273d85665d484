"""The short way to ``…/infer``: it says what the long way says, and knows what to leave to it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from tests.models.clicks import SCHEMA, clicks
from tests.serving.own_parts import own_parts

from orita.core.errors import Unavailable
from orita.models.package import Package
from orita.serving.access.own_pages import OwnPages
from orita.serving.http.refusal import Refused, body_too_large
from orita.serving.inference_protocol.models import FixedModels
from orita.serving.inference_protocol.quick import QUICK_BYTES, InferenceQuick, QuickPaths
from orita.serving.inference_protocol.routes import InferenceRoutes
from orita.testing.asgi import AsgiClient

ROWS = clicks(5)
INFER = b"/v2/models/feed/infer"

Both = tuple[AsgiClient, QuickPaths, InferenceRoutes]


@pytest.fixture(scope="module")
def both(models: FixedModels) -> Iterator[Both]:
    """The long way, the short way, and the routes that both belong to."""
    routes = InferenceRoutes(models, own_parts(), max_body=200_000)
    with AsgiClient(Starlette(routes=routes.routes)) as client:
        yield client, QuickPaths({}, routes, 1024, OwnPages("127.0.0.1")), routes


def request_of(rows: int = len(ROWS), **more: Any) -> dict[str, Any]:
    """Return a request for the first *rows* rows."""
    tensors = [
        ("features", "FP32", [rows, len(SCHEMA)], np.nan_to_num(ROWS.x_NF[:rows]).ravel().tolist()),
        ("users", "INT64", [rows], ROWS.users_N[:rows].tolist()),
        ("items", "INT64", [rows], ROWS.items_N[:rows].tolist()),
    ]
    names = ("name", "datatype", "shape", "data")
    return {"inputs": [dict(zip(names, tensor, strict=True)) for tensor in tensors], **more}


def test_both_ways_say_the_same(both: Both) -> None:
    """Of every model and version, right or wrong: status, content, headers; and both are counted together."""
    client, quick, routes = both
    wanted = [{"name": "scores", "parameters": {"binary_data": True}}, {"name": "heads"}]
    contents: list[dict[str, Any]] = [
        request_of(id="42"),
        request_of(outputs=wanted),
        {"inputs": []},
        {},
        {"inputs": 3},
    ]
    cases = [(path, each) for path in ("feed", "feed/versions/v1.2.3", "headed", "plain") for each in contents]
    before = sum(routes.requests.values())
    for path, content in cases:
        url, body = f"/v2/models/{path}/infer", json.dumps(content).encode()
        headers = [(b"content-length", b"%d" % len(body)), (b"x-request-id", b"r1")]
        long = client.post(url, body=body, headers={"X-Request-Id": "r1"})
        route = quick.route(url.encode(), headers)
        assert route is not None
        short = route.reply(headers, body)
        assert (short.status, short.content) == (long.status, long.body)
        told = {name.decode(): value.decode() for name, value in short.headers}
        told |= {"content-type": short.content_type.decode(), "content-length": str(len(short.content))}
        assert told == long.headers
    assert sum(routes.requests.values()) == before + 2 * len(cases)


def test_binary_data(both: Both, feed: Package) -> None:
    """Bytes in, bytes out."""
    _, quick, _ = both
    told = {"inputs": [], "parameters": {"binary_data_output": True}}
    after = b""
    for one, values in zip(request_of()["inputs"], (ROWS.x_NF, ROWS.users_N, ROWS.items_N), strict=True):
        content = values.astype("<f4" if one["name"] == "features" else "<i8").tobytes()
        told["inputs"].append({**one, "parameters": {"binary_data_size": len(content)}})  # type: ignore[attr-defined]
        del told["inputs"][-1]["data"]  # type: ignore[index]
        after += content
    head = json.dumps(told).encode()
    headers = [
        (b"content-length", b"%d" % len(head + after)),
        (b"inference-header-content-length", b"%d" % len(head)),
    ]
    route = quick.route(INFER, headers)
    assert route is not None
    reply = route.reply(headers, head + after)
    length = int(dict(reply.headers)[b"inference-header-content-length"])
    scores = struct.unpack(f"<{len(ROWS)}f", reply.content[length:])
    assert reply.content_type == b"application/octet-stream"
    np.testing.assert_array_equal(np.array(scores, np.float32), feed.score(ROWS.users_N, ROWS.items_N, ROWS.x_NF))


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (INFER, [(b"content-length", b"%d" % (QUICK_BYTES + 1))]),
        (INFER, [(b"content-length", b"9" * 30)]),
        (INFER, [(b"transfer-encoding", b"chunked")]),
        (b"/v2/models/fed/infer", [(b"content-length", b"1")]),
        (b"/v2/models/feed/versions/v9/infer", [(b"content-length", b"1")]),
        (b"/v2/models/fe%65d/infer", [(b"content-length", b"1")]),
        (b"/v2/models/feed/infer?a=1", [(b"content-length", b"1")]),
        (b"/v2/models/feed/ready", [(b"content-length", b"1")]),
        (b"/v2/models/\xff/infer", [(b"content-length", b"1")]),
        (b"/predict", [(b"content-length", b"1")]),
    ],
)
def test_what_goes_the_long_way(both: Both, path: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Long bodies, those of unknown length, what is not there, and paths that are written oddly."""
    _, quick, _ = both
    assert quick.route(path, headers) is None


def test_models_that_are_not_at_hand(feed: Package) -> None:
    """A model that would have to be loaded, or cannot answer, goes the long way; so does all where there is no /v2."""

    class Away(FixedModels):
        def loaded(self, name: str, version: str | None, /) -> Any:
            if name == "away":
                raise Unavailable("it is away")

    headers = [(b"content-length", b"1")]
    quick = QuickPaths({}, InferenceRoutes(Away({"feed": feed}), own_parts(), max_body=1), None, OwnPages("127.0.0.1"))
    assert quick.route(INFER, headers) is None
    assert quick.route(b"/v2/models/away/infer", headers) is None
    narrow = InferenceRoutes(FixedModels({"feed": feed}), own_parts(), max_body=1000)
    bounded = QuickPaths({}, narrow, None, OwnPages("127.0.0.1"))
    assert bounded.route(INFER, [(b"content-length", b"1000")]) is not None
    assert bounded.route(INFER, [(b"content-length", b"1001")]) is None
    fixed = InferenceQuick(InferenceRoutes(FixedModels({}), own_parts(), max_body=1), "feed", feed)
    only = QuickPaths({b"/predict": fixed}, None, None, OwnPages("127.0.0.1"))
    assert only.route(b"/predict", []) is only.fixed[b"/predict"] is fixed
    assert only.route(INFER, headers) is None


def test_refusals_from_outside(feed: Package) -> None:
    """What the connection refuses has the protocol's form too, with the id that the request gave, if it is one."""
    route = InferenceQuick(InferenceRoutes(FixedModels({}), own_parts(), max_body=1), "feed", feed)
    reply = route.refuse(body_too_large(5), [(b"x-request-id", b"r1")])
    assert (reply.status, list(json.loads(reply.content))) == (413, ["error"])
    assert dict(reply.headers) == {b"connection": b"close", b"x-request-id": b"r1"}
    busy = route.refuse(Refused(503, "overloaded", "busy", retry_after=2), [(b"x-request-id", b"\x00")])
    assert dict(busy.headers)[b"retry-after"] == b"2"
    assert len(dict(busy.headers)[b"x-request-id"]) == 36


def test_a_broken_model_is_a_500(feed: Package, capsys: pytest.CaptureFixture[str]) -> None:
    """The caller gets the protocol's form, the log the trace."""
    body = json.dumps(request_of()).encode()
    route = InferenceQuick(InferenceRoutes(FixedModels({}), own_parts(), max_body=1), "feed", None)  # type: ignore[arg-type]
    reply = route.reply([(b"x-request-id", b"r1")], body)
    assert (reply.status, list(json.loads(reply.content))) == (500, ["error"])
    assert dict(reply.headers) == {b"x-request-id": b"r1"}
    assert "inference_failed" in "".join(capsys.readouterr())
