"""Whoever asks says how long it waits; whoever waits for another machine hears it, across calls and threads."""

from __future__ import annotations

import anyio
import anyio.to_thread

from orita.core.patience import patience, seconds_to_wait


def test_without_a_word_everybody_waits_as_they_do() -> None:
    """Outside of a block the time is the waiter's own."""
    assert seconds_to_wait(7.0) == 7.0
    with patience(0.5):
        assert 0 < seconds_to_wait(7.0) <= 0.5
        assert seconds_to_wait(0.001) == 0.001
    assert seconds_to_wait(7.0) == 7.0


def test_within_another_the_shorter_holds() -> None:
    """A block does not give more time than the one around it; none is none, not less."""
    with patience(0.5):
        with patience(60):
            assert seconds_to_wait(7.0) <= 0.5
        with patience(-1):
            assert seconds_to_wait(7.0) == 0


def test_it_goes_into_threads() -> None:
    """What anyio runs in a thread knows it."""

    async def asked() -> float:
        with patience(0.5):
            return await anyio.to_thread.run_sync(seconds_to_wait, 7.0)

    assert anyio.run(asked) <= 0.5
