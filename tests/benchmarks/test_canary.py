"""The bench of canaries counts how rollouts end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks.canary import bound, share_of, shown, told
from benchmarks.canary_drill import FAILING, SLOW
from benchmarks.canary_world import Ended, Scenario
from tests.benchmarks.running import last_line

from benchmarks import canary

WORSE, BETTER = -0.05, 0.05


def ended(scenario: Scenario, run: int) -> Ended:
    """Return how a rollout ends: a worse version goes back at 5 %, one in four at 50 %; a better one is promoted."""
    if scenario.lift == WORSE:
        return Ended("rolled_back", 50.0 if run % 4 == 3 else 5.0, 1000 + run, run / 4, ("metric",), False)
    return Ended("promoted" if scenario.lift == BETTER else "running", 100.0, 2000, 1.0, (), run == 0)


def test_the_last_line_counts_what_ended_in_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worse version counts where it had a quarter of users at most; without a drill there is no time of one."""
    asked: list[Scenario] = []

    def ran(scenario: Scenario, *, runs: int, seed: int, processes: int) -> list[Ended]:
        asked.append(scenario)
        return [ended(scenario, run) for run in range(runs)]

    monkeypatch.setattr(canary, "ran", ran)
    found = last_line(canary, monkeypatch, capsys, "--runs", "8", "--drills", "0")
    assert found == {"bad_rolled_back": 0.75, "good_promoted": 1.0, "equal_rolled_back": 0.0}
    assert len(asked) == 6
    asked.clear()
    late = ("--per-second", "30", "--delay", "600", "--window", "3600")
    last_line(canary, monkeypatch, capsys, "--runs", "4", "--no-beside", "--drills", "0", *late)
    assert {(each.per_second, each.delay_seconds, each.window_seconds) for each in asked} == {(30, 600.0, 3600.0)}
    assert [each.lift for each in asked] == [-0.05, 0.05, 0.0]


def test_the_longest_drill_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of three of each broken version unless told otherwise, each of which is shown."""
    monkeypatch.setattr(canary, "ran", lambda scenario, **_: [ended(scenario, run) for run in range(4)])
    seconds = {FAILING: [2.04, 1.0, 7.0], SLOW: [3.0, 5.06, 4.0]}
    monkeypatch.setattr(canary, "drill", lambda broken, *, seed: seconds[broken][seed])
    assert last_line(canary, monkeypatch, capsys, "--drills", "2")["broken_rollback_s"] == 5.1
    assert last_line(canary, monkeypatch, capsys)["broken_rollback_s"] == 7.0
    canary.drilled("50 ms slower", SLOW, 3)
    assert capsys.readouterr().out == "50 ms slower: rolled back 3.0, 5.1, 4.0 s after the rollout began\n"


def test_ends_are_told_with_the_median_of_impressions(capsys: pytest.CaptureFixture[str]) -> None:
    """Each state with its share, why, how often, and how many impressions it took."""
    told("worse", [ended(Scenario(lift=WORSE), run) for run in range(4)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "  rolled_back at 5 % for metric: 0.750 ± 0.217, median 1,001 impressions, 0.2 h",
        "  rolled_back at 50 % for metric: 0.250 ± 0.217, median 1,003 impressions, 0.8 h",
    ]


def test_shares() -> None:
    """With four decimals; a count with its Monte Carlo error."""
    assert share_of([True, False, False]) == 0.3333
    assert shown(50, 100) == "0.500 ± 0.050"


def test_a_step_of_half_the_users_needs_the_fewest(capsys: pytest.CaptureFixture[str]) -> None:
    """Impressions for a power of 95 % are as 1 ÷ share (1 − share), and as alpha tells."""

    def needed(scenario: Scenario) -> dict[str, float]:
        bound(scenario)
        lines = capsys.readouterr().out.splitlines()
        return {line.split()[3]: float(line.split()[5].replace(",", "")) for line in lines}

    plain = needed(Scenario(lift=0.0))
    assert list(plain) == ["1", "5", "25", "50"]
    assert plain["1"] / plain["50"] == pytest.approx(0.25 / 0.0099, rel=1e-3)
    assert needed(replace(Scenario(lift=0.0), alpha=0.05))["50"] < plain["50"]
