"""One description of a call for both clients: a method that gives the course of the call, which one runs by blocking
and the other by awaiting.

    class JobCalls(Asks):
        @asked
        def find(self, job: str, **options: Unpack[CallOptions]) -> Course[Job]: ...

    class Jobs(JobCalls, Blocking): ...            # find(job) -> Job
    class AsyncJobs(JobCalls, Awaiting): ...       # find(job) -> Coroutine[..., Job]

So names, arguments, types and docstrings exist once; type checkers and editors see each client's own method.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from orita.client.asking import Asker, CallOptions
from orita.client.exchange import Attempt, Broken, Call, Course, Reply

if TYPE_CHECKING:
    from orita.client.transport import AsyncTransport, Transport

__all__ = ["Asks", "Awaiting", "Blocking", "asked"]

P = ParamSpec("P")
T = TypeVar("T")


class Asks:
    """Who has calls to make."""

    _asker: Asker

    def _start(self, call: Call[T], options: CallOptions) -> Course[T]:
        """Return the course of *call*."""
        return self._asker.start(call, **options)


class Blocking(Asks):
    """Runs courses and blocks."""

    def __init__(self, asker: Asker, transport: Transport) -> None:
        self._asker, self._transport = asker, transport

    def _run(self, course: Course[T]) -> T:
        """Return the end of *course*."""
        step = next(course)
        while True:
            outcome: Reply | Broken | None = None
            if isinstance(step, Attempt):
                outcome = self._transport.send(step)
            else:
                self._transport.pause(step.seconds)
            try:
                step = course.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer


class Awaiting(Asks):
    """Runs courses on an event loop."""

    def __init__(self, asker: Asker, transport: AsyncTransport) -> None:
        self._asker, self._transport = asker, transport

    async def _run(self, course: Course[T]) -> T:
        """Return the end of *course*."""
        step = next(course)
        while True:
            outcome: Reply | Broken | None = None
            if isinstance(step, Attempt):
                outcome = await self._transport.send(step)
            else:
                await self._transport.pause(step.seconds)
            try:
                step = course.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer


class asked(Generic[P, T]):  # noqa: N801 - it stands where property and classmethod stand
    """Makes a method that gives a course one that runs it: it answers in `Blocking`, and is awaited in `Awaiting`."""

    def __init__(self, course: Callable[Concatenate[Any, P], Course[T]]) -> None:
        @functools.wraps(course)
        def method(asks: Blocking | Awaiting, *args: P.args, **kwargs: P.kwargs) -> Any:
            return asks._run(course(asks, *args, **kwargs))

        self._method = method

    @overload
    def __get__(self, asks: Blocking, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, asks: Awaiting, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, asks: None, owner: type) -> Callable[..., Any]: ...
    def __get__(self, asks: Blocking | Awaiting | None, owner: type) -> Any:
        return self._method if asks is None else MethodType(self._method, asks)
