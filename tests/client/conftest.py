"""Both clients under one face, so that every promise is one of both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Unpack

import pytest

from orita.client import AsyncClient, Client
from orita.client.asking import ClientOptions


@pytest.fixture(autouse=True)
def _installed() -> None:
    """Skip where there is nothing to ask with."""
    pytest.importorskip("httpcore2", reason="the extra 'client' is not installed")


class Asked:
    """A client whose methods answer at once, whichever it is; a method of the feature store is ``features.online``."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, name: str, *args: Any, **options: Any) -> Any:
        """Return what the method *name* answers."""
        return self._call(name, *args, **options)


@pytest.fixture(params=["blocking", "async"])
def opened(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Open a client of each kind: ``with opened(url, …) as ask: ask("health")``."""

    @contextmanager
    def blocking(url: str, **options: Unpack[ClientOptions]) -> Iterator[Asked]:
        with Client(url, **options) as client:
            yield Asked(lambda name, *args, **more: _method(client, name)(*args, **more))

    @contextmanager
    def on_a_loop(url: str, **options: Unpack[ClientOptions]) -> Iterator[Asked]:
        with asyncio.Runner() as runner:
            client = AsyncClient(url, **options)
            try:
                yield Asked(lambda name, *args, **more: _run(runner, _method(client, name)(*args, **more)))
            finally:
                runner.run(client.close())

    return blocking if request.param == "blocking" else on_a_loop


def _method(client: object, name: str) -> Any:
    for part in name.split("."):
        client = getattr(client, part)
    return client


def _run(runner: asyncio.Runner, asked: Any) -> Any:
    return _drawn(runner, asked) if isinstance(asked, AsyncIterator) else runner.run(asked)


def _drawn(runner: asyncio.Runner, pages: AsyncIterator[Any]) -> Iterator[Any]:
    """Yield what *pages* yields, each drawn when it is wanted."""

    async def draw() -> Any:
        return await anext(pages)

    while True:
        try:
            yield runner.run(draw())
        except StopAsyncIteration:
            return
