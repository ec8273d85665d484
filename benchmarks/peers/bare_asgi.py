"""The bare server: an ASGI application on uvicorn that does decode, model and encode, and nothing else.

What a user who needs only speed would write by hand, with msgspec for the JSON.
``python -m benchmarks.peers.bare_asgi FOLDER``
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from benchmarks.peers.scoring import Scorer


class Context(msgspec.Struct):
    """What the request says of itself."""

    device: str | None = None


class PredictRequest(msgspec.Struct):
    """Which items to rank for whom."""

    user_id: int
    item_ids: list[int]
    context: Context | None = None


class RankedItem(msgspec.Struct):
    """One item of an answer."""

    item_id: int
    score: float
    rank: int


class PredictAnswer(msgspec.Struct):
    """The answer."""

    user_id: int
    predictions: list[RankedItem]
    model_version: str
    latency_ms: float


def application(folder: Path) -> Callable[..., Awaitable[None]]:
    """Return the application."""
    scorer = Scorer(folder)
    decode, encode = msgspec.json.Decoder(PredictRequest).decode, msgspec.json.Encoder().encode

    async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        started = time.perf_counter()
        asked = decode(body)
        best_first = scorer.ranked(asked.user_id, asked.item_ids)
        items = [RankedItem(item, score, rank) for rank, (item, score) in enumerate(best_first, 1)]
        content = encode(PredictAnswer(asked.user_id, items, "v1", (time.perf_counter() - started) * 1000))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return answer


def serve(app: Any) -> None:
    """Serve *app* on a free port, as fast as uvicorn does, and print where."""
    import socket

    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"address": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    settings = uvicorn.Config(app, http="httptools", loop="uvloop", access_log=False, log_level="error", lifespan="off")
    uvicorn.Server(settings).run(sockets=[listener])


if __name__ == "__main__":
    serve(application(Path(sys.argv[1])))
