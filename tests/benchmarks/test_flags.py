"""The bench of flags evaluates what it says, as often as it says."""

from __future__ import annotations

import pytest
from benchmarks.flags import PEERS, evaluations, spent
from tests.benchmarks.running import last_line

from benchmarks import flags


def test_the_last_line_without_and_with_peers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Microseconds of an evaluation; a peer's nanoseconds of a round are divided by its calls."""
    small = ("--rounds", "2", "--calls", "20")
    assert set(last_line(flags, monkeypatch, capsys, *small)) == {"us"}
    monkeypatch.setattr(flags, "asked", lambda python, stack: lambda name, what: 0.5 if what == "share" else 60_000.0)
    found = last_line(flags, monkeypatch, capsys, *small, "--peers", "a python")
    assert {name: found[f"{name}_us"] for name in PEERS} == dict.fromkeys(PEERS, 3.0)


def test_half_of_those_whom_the_rule_means_are_on() -> None:
    """So that a peer that answers otherwise is seen: near a half of all users."""
    calls = evaluations()
    assert sum(call() for call in calls) / len(calls) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_calls_are_made_in_turn_and_counted(count: int) -> None:
    """Neither more nor fewer, whatever the number of users."""
    made: list[int] = []
    assert spent([lambda user=user: made.append(user) for user in range(3)], count) > 0  # type: ignore[misc]
    assert made == [call % 3 for call in range(count)]
