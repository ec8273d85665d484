"""Who has a turn together at the door: those of one company that are next to each other, each for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from orita.core.clock import ManualClock
from orita.serving.batching.contracts import Waiting
from orita.serving.resilience.admission import Admission
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.limit import BudgetLimit
from orita.serving.resilience.turnstile import Company, Turnstile

NEVER = float("inf")


class Kept:
    """Keeps who was together."""

    most = 3

    def __init__(self) -> None:
        self.runs: list[list[bytes]] = []

    def takes(self, body: bytes | bytearray, /) -> bool:
        """Take all but those that say no."""
        return not body.startswith(b"no")

    @contextmanager
    def together(self, requests: Sequence[Waiting], /) -> Iterator[None]:
        """Keep them."""
        self.runs.append([bytes(request.body) for request in requests])
        yield


def at_once(sent: Sequence[tuple[bytes, object]], fails: bytes = b"") -> tuple[list[list[bytes]], list[bytes], int]:
    """Return who was together, who was answered in which order, and how many are inside afterwards."""
    joint, answered = Kept(), list[bytes]()
    turnstile = Turnstile(Admission(BudgetLimit(0.015, least=32)), ManualClock())

    async def ask() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)

        def answer(body: bytes) -> bool:
            if body == fails:
                raise ConnectionError("the caller is gone")
            answered.append(body)
            return True

        for body, alike in sent:
            company = None if alike is None else Company(joint, alike, body)
            turnstile.go(Priority.NORMAL, NEVER, 0.0, partial(answer, body), lambda _: None, lambda: False, company)
        while turnstile.admission.inside:
            await asyncio.sleep(0)

    asyncio.run(ask())
    return joint.runs, answered, turnstile.admission.inside


def test_those_next_to_each_other_go_together() -> None:
    """Up to as many as are allowed, alike, taken, and in line; nobody overtakes."""
    a, b = object(), object()
    sent = [(b"0", a), (b"1", a), (b"2", a), (b"3", a), (b"4", a), (b"5", b), (b"6", b), (b"no7", b), (b"8", b)]
    sent += [(b"9", None), (b"10", b), (b"11", b)]
    runs, answered, _ = at_once(sent)
    assert answered == [body for body, _ in sent]
    assert runs == [[b"1", b"2", b"3"], [b"5", b"6"], [b"10", b"11"]]


def test_one_whose_answer_fails_takes_no_slot_with_it() -> None:
    """Whatever happens to one, the others of its turn are answered, and so are those behind them."""
    runs, answered, inside = at_once([(b"%d" % n, None if n == 0 else Kept) for n in range(6)], fails=b"2")
    assert runs == [[b"1", b"2", b"3"], [b"4", b"5"]]
    assert answered == [b"0", b"1", b"3", b"4", b"5"]
    assert inside == 0
