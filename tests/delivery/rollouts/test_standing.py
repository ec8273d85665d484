"""How rollouts stand, and how much of the history is read to tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from orita.control.deployments import Deployments
from orita.control.events import ControlEvent, ControlLog
from orita.core.home import Home
from orita.delivery.rollouts import Rollout, RolloutPlan, Rollouts
from orita.delivery.rollouts.rollout import Verdict
from orita.delivery.rollouts.standing import Standings

WHO: dict[str, Any] = {"actor": "ann", "reason": "because"}


@pytest.fixture
def rollouts(tmp_path: Path) -> Rollouts:
    """Two systems with a champion each, and no rollout."""
    home = Home(tmp_path)
    for system in ("feed", "ads"):
        Deployments(home.control).deploy(system, "v1", **WHO)
    return Rollouts(home.control)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the events that are read, a number for each time."""
    counts: list[int] = []
    latest = ControlLog.latest

    def counted(self: ControlLog, *args: Any, **options: Any) -> list[ControlEvent]:
        events = latest(self, *args, **options)
        counts.append(len(events))
        return events

    monkeypatch.setattr(ControlLog, "latest", counted)
    return counts


def begin(rollouts: Rollouts, looks: int, system: str = "feed", version: str = "v2") -> Rollout:
    """Begin a rollout of which so many verdicts are kept, the first of them the only one with figures."""
    rollout = rollouts.start(system, RolloutPlan(strategy="canary", versions=(version,)), **WHO)
    for number in range(looks):
        evidence = {} if number else {"first": f"{system} {version}"}
        verdict: Verdict = "hold" if number % 2 else "not_enough_traffic"
        rollout = rollouts.judge(rollout, verdict, "w", actor="c", evidence=evidence)
    return rollout


def by_hand(rollouts: Rollouts, rollout: Rollout) -> dict[str, Any]:
    """Return the latest evidence that the whole history has of a rollout."""
    bodies = [msgspec.json.decode(event.body) for event in rollouts.history(rollout.system)]
    told: list[dict[str, Any]] = [
        body["evidence"] for body in bodies if body["id"] == rollout.id and "evidence" in body
    ]
    return next((each for each in reversed(told) if each), {})


def test_each_rests_on_its_own_evidence(rollouts: Rollouts) -> None:
    """The latest that has figures, of those under way and those that ended, of any system; none where none has."""
    asked = []
    for version, looks in (("v2", 3), ("v3", 0), ("v4", 70)):
        asked.append(begin(rollouts, looks, version=version))
        rollouts.abort("feed", **WHO)
    asked += [begin(rollouts, 2, "ads"), begin(rollouts, 5, version="v5")]
    now = {each.id: each for state in rollouts.all().values() for each in (*state.live, *state.ended)}
    standings = Standings(rollouts.log.database)
    for _ in range(2):
        told = standings.each([now[each.id] for each in asked])
        assert [each.id for each in told] == [each.id for each in asked]
        assert [each.evidence for each in told] == [by_hand(rollouts, each) for each in asked]
        assert [each.evidence for each in told] == [
            {"first": "feed v2"},
            {},
            {"first": "feed v4"},
            {"first": "ads v2"},
            {"first": "feed v5"},
        ]


def test_history_is_read_once_for_all_and_as_far_as_needed(rollouts: Rollouts, read: list[int]) -> None:
    """Once for the rollouts of a system together; of those that ended never again."""
    for version in ("v2", "v3", "v4"):
        begin(rollouts, 60, version=version)
        rollouts.abort("feed", **WHO)
    live = begin(rollouts, 1, version="v5")
    ended = rollouts.current("feed").ended
    standings, events = Standings(rollouts.log.database), len(rollouts.history("feed"))
    standings.each([live, *ended])
    assert sum(read) == events
    read.clear()
    assert standings.each(ended)[0].evidence == {"first": "feed v4"}
    assert read == []
    standings.each([live, *ended])
    assert read == [50]


def test_a_whole_history_is_the_latest_first(rollouts: Rollouts) -> None:
    """Page by page, each event once."""
    begin(rollouts, 120)
    assert list(rollouts.backwards("feed")) == rollouts.history("feed")[::-1]
    assert list(rollouts.backwards("nothing")) == []
