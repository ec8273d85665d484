"""Requests that come to the door of a server in one moment, without sockets: one has its turn, the others wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette

from orita.serving.http.reply import Reply

__all__ = ["Sent", "asked_at_once"]


@dataclass(frozen=True)
class Sent:
    """A request: a body, or what is one in JSON; and whether its caller hangs up before it is answered."""

    asked: Mapping[str, Any] | bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = "/predict"
    gone: bool = False

    @property
    def body(self) -> bytes:
        """The bytes of the body, an object of its own."""
        asked = self.asked
        return bytes(bytearray(asked)) if isinstance(asked, bytes) else json.dumps(asked).encode()


def asked_at_once(app: Starlette, requests: Sequence[Sent]) -> list[tuple[int, Reply]]:
    """Return which requests were answered, in the order of the answers, and how."""
    answers: list[tuple[int, Reply]] = []

    async def ask() -> None:
        async with app.router.lifespan_context(app):
            for number, sent in enumerate(requests):
                headers = [(name.encode(), value.encode()) for name, value in sent.headers.items()]
                body = sent.body
                route = app.state.quick.route(sent.path.encode(), [*headers, (b"content-length", b"%d" % len(body))])
                assert route is not None
                gone = number > 0 and sent.gone
                route.enter(headers, body, lambda reply, n=number: answers.append((n, reply)), lambda gone=gone: gone)
            admission = app.state.service.parts.turnstile.admission
            while admission.inside:
                await asyncio.sleep(0)

    asyncio.run(ask())
    return answers
