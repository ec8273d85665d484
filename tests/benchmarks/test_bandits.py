"""The bench of bandits tells regrets and costs of each policy, and ratios where there is a peer."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.bandits import calls, ratio_of_means
from benchmarks.peers import bandits as peer
from tests.benchmarks.running import last_line

from benchmarks import bandits

ROOT = Path(__file__).parents[2]


def test_the_last_line_has_every_policy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a peer there is no ratio."""
    monkeypatch.setattr(bandits, "dearer", lambda name: {"slate_1": 1.0})
    found = last_line(bandits, monkeypatch, capsys, "--seeds", "2", "--decisions", "20")
    per_policy = ("regret", "regret_error", "pick_us", "update_us", "slate_1_us")
    assert set(found) == {"pick_us", *(f"{name}_{what}" for name in peer.POLICIES for what in per_policy)}
    assert found["pick_us"] == found["thompson_pick_us"]


def test_ratios_are_the_largest_of_the_five(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A peer that loses half as much in linear Thompson sampling, and as much as it does else, makes it 2."""
    lost = {name: [1.0, 3.0] for name in (*peer.POLICIES, peer.AS_SHIPPED)}

    def asked(python: str, policy: str, seeds: int, decisions: int, batch: int) -> dict[str, object]:
        assert (python, seeds, decisions, batch) == ("a python", 2, 20, 5)
        return {"regret": [each / 2 if policy == "lin_thompson" else each for each in lost[policy]], "us": [1.0, 2.0]}

    monkeypatch.setattr(bandits, "asked", asked)
    monkeypatch.setattr(bandits, "dearer", lambda name: {})
    monkeypatch.setattr(peer, "microseconds", lambda *given: (1.0, 2.0))
    monkeypatch.setattr(peer, "regret", lambda name, seed, *given: lost[name][seed])
    arguments = ("--peers", "a python", "--seeds", "2", "--decisions", "20", "--batch", "5")
    found = last_line(bandits, monkeypatch, capsys, *arguments)
    assert (found["ratio_regret"], found["lin_thompson_ratio"], found["thompson_ratio"]) == (2.0, 2.0, 1.0)
    assert (found["ratio_regret_as_shipped"], found["lin_thompson_peer_pick_us"]) == (1.0, 1.0)


def test_runs_of_the_same_luck_have_a_ratio_without_error() -> None:
    """Its error is that of what the two do not share."""
    assert ratio_of_means([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == (2.0, 0.0)
    ratio, error = ratio_of_means([1.0, 3.0], [2.0, 2.0])
    assert [ratio, error] == pytest.approx([1.0, 0.5])


def test_regret_is_what_the_best_arm_earns_more() -> None:
    """Who always picks the best loses what the first turn costs, who picks the worst all of it; ours lies between."""
    first = sum(0.5 - mean for mean in peer.MEANS)

    def always(arm: int) -> float:
        return peer.regret("thompson", 0, 110, 10, lambda count, contexts: [arm] * count, lambda *given: None)

    assert always(9) == pytest.approx(first)
    assert always(0) == pytest.approx(first + 100 * 0.45)
    assert always(9) < peer.regret("thompson", 0, 110, 10, *calls("thompson", 0)) < always(0)


def test_the_documents_tell_the_same_ratios() -> None:
    """What the README shows of each policy is what decision 0053 has, rounded."""
    (row,) = [line for line in (ROOT / "README.md").read_text().splitlines() if "benchmarks.bandits" in line]
    shown = [float(each.split()[0]) for each in row.split("|")[2].partition(";")[0].split(",")]
    table = (ROOT / "docs" / "decisions" / "0053-bandits.md").read_text().partition("## Measured")[2].splitlines()
    names = ("ε-greedy", "UCB1", "Thompson", "LinUCB", "linear Thompson")
    cells = {each[1].strip(): each[4] for line in table if len(each := line.split("|")) > 5}
    assert shown == [pytest.approx(float(cells[name].split()[0]), abs=0.005) for name in names]
