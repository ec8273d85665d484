"""A face of the server: what callers reach, how that is described, and what runs beside it.

Each part of the server that answers over HTTP is mounted as one; `orita.serving.app.create_app` goes over them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

__all__ = ["Description", "Face"]

Description = Callable[[], dict[str, Any]]
"""Makes ``paths`` and ``components`` of the OpenAPI document; called when the document is first asked for."""


@dataclass(frozen=True, slots=True)
class Face:
    """One face; without arguments, one that is off.

    Attributes:
        routes: what is answered; also the refusals of a face that is off.
        described: how; nothing where callers get refusals alone.
        running: runs what the face needs, from the start of the server until its stop.
    """

    routes: Sequence[Route] = ()
    described: Sequence[Description] = ()
    running: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
