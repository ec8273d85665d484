"""W3C Trace Context: what the Recommendation calls valid is carried on, all else begins a new trace."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from orita.serving.http.trace_context import TraceContext, current_trace, in_trace, trace_of
from orita.serving.tracing.middleware import TraceMiddleware
from orita.testing.asgi import AsgiClient

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
PARENT = b"00-%b-%b-01" % (TRACE, SPAN)
_WRITTEN = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")


def traced(*parents: bytes, states: tuple[bytes, ...] = ()) -> TraceContext:
    """Return the trace of a request that has one."""
    found = trace_of(parents, states)
    assert found is not None
    return found


def test_a_trace_is_carried_on() -> None:
    """The trace stays, the caller's span becomes the parent, and the answer names a span of its own."""
    found = traced(PARENT)
    assert (found.trace_id.encode(), found.parent_id.encode(), found.sampled) == (TRACE, SPAN, True)
    assert re.fullmatch("[0-9a-f]{16}", found.span_id)
    assert found.span_id.encode() != SPAN
    header = b"00-%b-%b-01" % (TRACE, found.span_id.encode())
    assert found.response == (b"traceresponse", header)
    assert found.onward == [(b"traceparent", header)]
    assert trace_of([], [b"vendor=1"]) is None


@pytest.mark.parametrize(
    ("parent", "sampled"),
    [
        (b"00-%b-%b-00" % (TRACE, SPAN), False),
        (b"00-%b-%b-02" % (TRACE, SPAN), False),
        (b"00-%b-%b-ff" % (TRACE, SPAN), True),
        (b"01-%b-%b-01" % (TRACE, SPAN), True),
        (b"cc-%b-%b-01-what-comes-later" % (TRACE, SPAN), True),
        (b"cc-%b-%b-01-" % (TRACE, SPAN), True),
    ],
)
def test_flags_and_later_versions(parent: bytes, sampled: bool) -> None:
    """Only the flag ``sampled`` is known; of a later version what this one knows is read, and this one is written."""
    found = traced(parent)
    assert (found.trace_id.encode(), found.sampled) == (TRACE, sampled)
    assert found.response[1].startswith(b"00-")
    assert found.response[1].endswith(b"-01" if sampled else b"-00")


@pytest.mark.parametrize(
    "parents",
    [
        (b"",),
        (PARENT, PARENT),
        (b"ff-%b-%b-01" % (TRACE, SPAN),),
        (PARENT + b"-more",),
        (PARENT + b".",),
        (b"cc-%b-%b-01.what" % (TRACE, SPAN),),
        (PARENT.upper(),),
        (b"00-%b-%b-01" % (b"0" * 32, SPAN),),
        (b"00-%b-%b-01" % (TRACE, b"0" * 16),),
        (b"00-%b-%b-1" % (TRACE, SPAN),),
        (b"00-%b-%b-0x" % (TRACE, SPAN),),
        (b"0-%b-%b-01" % (TRACE, SPAN),),
        (PARENT[:-1],),
        (b" " + PARENT,),
    ],
)
def test_what_is_malformed_begins_a_new_trace(parents: tuple[bytes, ...]) -> None:
    """Nothing of it is taken over, its state neither."""
    found = traced(*parents, states=(b"vendor=1",))
    assert found.trace_id.encode() != TRACE
    assert (found.parent_id, found.sampled, found.state) == ("", False, "")
    assert _WRITTEN.fullmatch(found.response[1])


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes_give_a_trace(parent: bytes, state: bytes) -> None:
    """Whatever comes, what goes out is well-formed."""
    found = traced(parent, states=(state,))
    assert _WRITTEN.fullmatch(found.response[1])
    assert found.state.isascii()


@pytest.mark.parametrize(
    ("states", "kept"),
    [
        ((b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ((b"a=1", b"b=2, c=3"), "a=1,b=2,c=3"),
        ((b"a=1 , , b=2",), "a=1,b=2"),
        ((b"fw529a3039@dt=FfSA, 0t@v=a b",), "fw529a3039@dt=FfSA,0t@v=a b"),
        ((b"a=" + b"x" * 256,), "a=" + "x" * 256),
        ((b"a=" + b"x" * 257,), ""),
        ((b"a" * 256 + b"=1",), "a" * 256 + "=1"),
        ((b"a" * 257 + b"=1",), ""),
        ((b"a=1,a=2",), ""),
        ((b"A=1",), ""),
        ((b"0a=1",), ""),
        ((b"a@b@c=1",), ""),
        ((b"a@" + b"v" * 15 + b"=1",), ""),
        ((b"a=1=2",), ""),
        ((b"a=",), ""),
        ((b"a=\xc3\xa9",), ""),
        ((b",".join(b"k%d=1" % n for n in range(32)),), ",".join(f"k{n}=1" for n in range(32))),
        ((b",".join(b"k%d=1" % n for n in range(33)),), ""),
    ],
)
def test_state_is_passed_on_or_dropped_whole(states: tuple[bytes, ...], kept: str) -> None:
    """A malformed ``tracestate`` does not touch the trace."""
    found = traced(PARENT, states=states)
    assert (found.trace_id.encode(), found.state) == (TRACE, kept)
    assert found.onward[1:] == ([(b"tracestate", kept.encode())] if kept else [])


def test_lines_of_the_log_name_the_trace() -> None:
    """Within the block, and not after it."""
    found = traced(PARENT)
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        with in_trace(found):
            assert current_trace() is found
            structlog.get_logger().info("within")
        structlog.get_logger().info("after")
    assert lines[0]["trace_id"] == found.trace_id
    assert lines[0]["span_id"] == found.span_id
    assert "trace_id" not in lines[1]
    assert current_trace() is None


def test_answers_of_asgi() -> None:
    """The handler knows the trace, the answer names it; a request without one gets none."""

    def tell(_: Request) -> JSONResponse:
        trace = current_trace()
        return JSONResponse(None if trace is None else trace._asdict())

    app = Starlette(routes=[Route("/", tell)])
    app.add_middleware(TraceMiddleware)
    with AsgiClient(app) as client:
        headers = {"traceparent": PARENT.decode(), "tracestate": "a=1"}
        answer = client.get("/", headers=headers)
        told: dict[str, Any] = answer.json()
        assert (told["trace_id"].encode(), told["parent_id"].encode(), told["state"]) == (TRACE, SPAN, "a=1")
        assert answer.headers["traceresponse"] == f"00-{TRACE.decode()}-{told['span_id']}-01"
        bare = client.get("/")
        assert bare.json() is None
        assert "traceresponse" not in bare.headers


def test_predictions(make_app: Callable[..., Starlette], deploy: Callable[..., None]) -> None:
    """By either way through the server, whether the request is answered or refused."""
    deploy("v1.0.0")
    app = make_app()
    body = b'{"user_id": 7, "item_ids": [1]}'
    with AsgiClient(app) as client:
        for content, status in ((body, 200), (b"{}", 422)):
            answer = client.post("/predict", body=content, headers={"traceparent": PARENT.decode()})
            reply = app.state.quick.fixed[b"/predict"].reply([(b"traceparent", PARENT)], content)
            assert (answer.status, reply.status) == (status, status)
            for told in (answer.headers["traceresponse"].encode(), dict(reply.headers)[b"traceresponse"]):
                assert told.startswith(b"00-%b-" % TRACE)
                assert not told.endswith(SPAN + b"-01")
        assert b"traceresponse" not in dict(app.state.quick.fixed[b"/predict"].reply([], body).headers)
