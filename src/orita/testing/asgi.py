"""A client that calls an ASGI application in this process: no socket, no server, the lifespan included."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Scope

__all__ = ["Answer", "AsgiClient"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class AsgiClient:
    """Calls *app*, whose lifespan is the ``with`` block; the event loop runs in a thread of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> AsgiClient:
        self._thread.start()
        self._lifespan = _Lifespan(self.app)
        self._await(self._lifespan.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._await(self._lifespan.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a GET request."""
        return self.send("GET", path, [], headers)

    def post(
        self,
        path: str,
        *,
        json: object = None,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a POST request of *json*, or of a *body* whole or in pieces."""
        content = _encoded(json) if body is None else body
        pieces = [content] if isinstance(content, bytes) else list(content)
        return self.send("POST", path, pieces, headers, whole=isinstance(content, bytes))

    def send(
        self,
        method: str,
        path: str,
        pieces: list[bytes],
        headers: Mapping[str, str] | None = None,
        *,
        whole: bool = False,
    ) -> Answer:
        """Send a request whose body comes in *pieces*, with its length in the header if it is *whole*.

        *path* may end in a query (``/jobs?wait=false``).
        """
        path, _, query = path.partition("?")
        raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        if whole:
            raw.append((b"content-length", str(len(pieces[0])).encode()))
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": raw,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        return self._await(_call(self.app, scope, pieces))

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(timeout=60)


async def _call(app: ASGIApp, scope: Scope, pieces: list[bytes]) -> Answer:
    waiting = list(pieces) or [b""]
    status, headers, body = 0, {}, bytearray()
    answered = asyncio.Event()

    async def receive() -> Message:
        if not waiting:
            await answered.wait()  # the caller does not hang up before
            return {"type": "http.disconnect"}
        piece = waiting.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                answered.set()

    try:
        await app(scope, receive, send)
    except Exception:  # frameworks raise again, for the server's log, what they have answered with 500
        if not status:
            raise
    return Answer(status, headers, bytes(body))


class _Lifespan:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def start(self) -> None:
        self._orders: asyncio.Queue[str] = asyncio.Queue()
        self._reports: asyncio.Queue[Message] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())
        await self._order("startup")

    async def stop(self) -> None:
        await self._order("shutdown")
        await self._task

    async def _run(self) -> None:
        async def receive() -> Message:
            return {"type": f"lifespan.{await self._orders.get()}"}

        scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        await self._app(scope, receive, self._reports.put)

    async def _order(self, step: str) -> None:
        await self._orders.put(step)
        report = await self._reports.get()
        if report["type"] != f"lifespan.{step}.complete":
            raise RuntimeError(f"lifespan {step} failed: {report.get('message', report)}")


def _encoded(value: object) -> bytes:
    return json.dumps(value).encode()
