"""gRPC as ``orita serve`` begins and ends it: on a port of its own, with the health that probes ask for."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from tests.serving.own_parts import own_parts

from orita.core.errors import MissingExtra, UserError
from orita.core.home import Home
from orita.serving.access.callers import LocalCallers
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.inference_protocol.models import FixedModels
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures

grpc = pytest.importorskip("grpc", reason="the extra 'grpc' is not installed")

from orita.serving.inference_protocol.grpc_health import HEALTH, health_messages  # noqa: E402  (they import grpc)
from orita.serving.inference_protocol.grpc_listening import check_grpc, grpc_listening  # noqa: E402
from orita.serving.inference_protocol.grpc_service import SERVICE  # noqa: E402
from orita.serving.inference_protocol.proto import open_inference_pb2 as pb  # noqa: E402

ASKED, TOLD = health_messages()
ON = ServingConfig(inference_grpc_port=0, shutdown_seconds=5)


class Server:
    """A listening server, whether it wants requests, who watches it, and what they heard last."""

    def __init__(self) -> None:
        self.ready = True
        self.port = 0
        self.channel: Any = None
        self.watching: list[Any] = []
        self.last: list[int] = []

    def method(self, name: str, *, stream: bool = False) -> Any:
        """Return a method of the health service, as its generated clients call it."""
        kind = self.channel.unary_stream if stream else self.channel.unary_unary
        return kind(
            f"/{HEALTH}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=TOLD.FromString,
        )


@asynccontextmanager
async def listening() -> AsyncIterator[Server]:
    """Run a server without models; the caller's channel outlives it."""
    server = Server()
    async with AsyncExitStack() as after:
        async with grpc_listening(
            FixedModels({}), ON, LocalCallers("127.0.0.1"), own_parts(), lambda: server.ready
        ) as port:
            server.port = port or 0
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
            server.channel = await after.enter_async_context(channel)
            yield server
        for watched in server.watching:
            server.last.append((await watched.read()).status)


def test_health_is_told_when_asked() -> None:
    """Of the whole server and of the service, as long as it wants requests; of nothing else."""

    async def ask() -> None:
        async with listening() as server:
            check = server.method("Check")
            for service in ("", SERVICE):
                server.ready = True
                assert (await check(ASKED(service=service), timeout=10)).status == TOLD.SERVING
                server.ready = False
                assert (await check(ASKED(service=service), timeout=10)).status == TOLD.NOT_SERVING
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await check(ASKED(service="other"), timeout=10)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            assert SERVICE in str(caught.value.details())

    asyncio.run(ask())


def test_health_is_told_as_it_changes() -> None:
    """Whoever watches hears of each change, and is let go when the server stops, so that it stops at once."""

    async def watch() -> list[int]:
        heard: list[int] = []
        async with listening() as server:
            calls = [server.method("Watch", stream=True)(ASKED(service=name), timeout=30) for name in ("", "other")]
            heard.append((await calls[0].read()).status)
            server.ready = False
            heard.append((await calls[0].read()).status)
            server.ready = True
            heard.append((await calls[0].read()).status)
            assert (await calls[1].read()).status == TOLD.SERVICE_UNKNOWN
            server.watching.append(calls[0])
        return heard + server.last

    assert asyncio.run(watch()) == [TOLD.SERVING, TOLD.NOT_SERVING, TOLD.SERVING, TOLD.NOT_SERVING]


def test_a_call_belongs_to_its_trace() -> None:
    """The span that answered is told after the answer."""

    async def ask() -> dict[str, str]:
        async with listening() as server:
            live = server.channel.unary_unary(
                f"/{SERVICE}/ServerLive",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=pb.ServerLiveResponse.FromString,
            )
            call = live(pb.ServerLiveRequest(), metadata=(("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"),), timeout=10)
            assert (await call).live
            return dict(await call.trailing_metadata())

    told = asyncio.run(ask())
    assert told["traceresponse"].startswith(f"00-{'a' * 32}-")
    assert "b" * 16 not in told["traceresponse"]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_what_cannot_begin_says_why(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started: the port is taken, or the extra is not installed; and only where it is wanted."""
    with pytest.raises(UserError, match=rf"cannot listen on 127\.0\.0\.1:{taken} for gRPC: .* serving\.inference_grpc"):
        check_grpc(ServingConfig(inference_grpc_port=taken))
    with pytest.raises(UserError, match="is 0 with 2 workers, and each would take another port"):
        check_grpc(ON.model_copy(update={"workers": 2}))
    check_grpc(ON)
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(MissingExtra, match=r"grpc is not installed: pip install 'orita\[grpc\]'"):
        check_grpc(ON)
    check_grpc(ServingConfig())
    check_grpc(ServingConfig(inference_grpc_port=taken, expose_inference=False))


def test_workers_share_a_port() -> None:
    """Two servers on one port, as two workers have it; a server that is alone lets no other in."""

    async def listen() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        models = FixedModels({})
        two = ServingConfig(inference_grpc_port=port, workers=2, shutdown_seconds=1)
        async with grpc_listening(models, two, LocalCallers("127.0.0.1"), own_parts(), lambda: True) as first:
            check_grpc(two)
            async with grpc_listening(models, two, LocalCallers("127.0.0.1"), own_parts(), lambda: True) as second:
                assert first == second == port
        alone = two.model_copy(update={"workers": 1})
        async with grpc_listening(models, alone, LocalCallers("127.0.0.1"), own_parts(), lambda: True):
            with pytest.raises(UserError, match="cannot listen"):
                check_grpc(two)

    asyncio.run(listen())


def _app(folder: Path, **settings: object) -> Starlette:
    return create_app(Home(folder), "feed", HashedFeatures(("item_ctr",)), ServingConfig.model_validate(settings))


def test_it_begins_and_ends_with_the_server(tmp_path: Path) -> None:
    """The port is there within the lifespan; the model that answers is the deployed one, here none."""
    app = _app(tmp_path, inference_grpc_port=0)
    with AsgiClient(app):
        port = app.state.inference.grpc_port
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            check = channel.unary_unary(
                f"/{HEALTH}/Check",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=TOLD.FromString,
            )
            assert check(ASKED(), timeout=10).status == TOLD.NOT_SERVING
    with socket.socket() as again:
        assert again.connect_ex(("127.0.0.1", port)) != 0
    silent = _app(tmp_path / "silent", inference_grpc_port=0, host="0.0.0.0")
    with AsgiClient(silent):
        assert silent.state.inference.grpc_port is None
