"""What rollouts are: their states, and what each event makes of them.

    running ⇄ paused
    running, paused → promoted | aborted | rolled_back

A system has one rollout at a time that changes what users get, and any shadows beside it. The last that ended are kept
in the state, all of them in the events.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orita.control.aggregates import Kind
from orita.control.events import ControlEvent
from orita.delivery.assignment.conditions import Condition
from orita.delivery.assignment.split import Split
from orita.delivery.rollouts.plan import RolloutPlan

__all__ = [
    "ENDED",
    "ROLLOUT",
    "Acknowledged",
    "Acknowledgement",
    "Beyond",
    "Judged",
    "Moved",
    "Rollout",
    "RolloutState",
    "SystemRollouts",
    "Told",
    "Verdict",
]

RolloutState = Literal["running", "paused", "promoted", "aborted", "rolled_back"]
Verdict = Literal["not_looked_at", "not_enough_traffic", "hold", "advance", "roll_back"]

ENDED = ("promoted", "aborted", "rolled_back")
_KEPT = 20


class Beyond(Struct, frozen=True, kw_only=True):
    """A check that holds a rollout.

    Attributes:
        check: ``scores``, ``drift`` or ``split``.
        version: of which it says so, as its finding names it.
        why: what it says.
    """

    check: str
    version: str
    why: str


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """Somebody looked at what holds a rollout, and it is meant: it holds that rollout no more.

    Attributes:
        beyond: what was looked at.
        by, at, reason: who did, when, and why it is meant.
    """

    beyond: Beyond
    by: str
    at: datetime
    reason: str


class Rollout(Struct, frozen=True, kw_only=True):
    """One rollout.

    Attributes:
        id: UUID version 7; also the salt of its dice.
        system: whose.
        plan: as declared.
        champion: the version that answered when it began, and that everybody else gets.
        state: see the module.
        step: of a canary, from 0; of blue/green 0 before the switch and 1 after it.
        split: who gets which version.
        started_at: when.
        since: when the present split began.
        verdict: what the analysis last said of the present step.
        why: the same in words.
        ended_at: when it ended, None before.
        winner: the version that was promoted, None otherwise.
        segments: the conditions of the segments that the audience names, as they were when it began: a change of them
            afterwards moves nobody.
        acknowledged: what holds it no more, the first first.
    """

    id: str
    system: str
    plan: RolloutPlan
    champion: str
    state: RolloutState
    step: int
    split: Split
    started_at: datetime
    since: datetime
    verdict: Verdict = "not_looked_at"
    why: str = ""
    ended_at: datetime | None = None
    winner: str | None = None
    segments: Mapping[str, Condition] = {}  # msgspec gives each rollout its own
    acknowledged: tuple[Acknowledgement, ...] = ()

    @property
    def salt(self) -> str:
        """What its dice are thrown with."""
        return f"rollout/{self.id}"

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more."""
        return self.state in ENDED

    @property
    def shares(self) -> dict[str, float]:
        """Percent of units by version, the champion's too."""
        return {self.champion: 0.0, **self.split.weights}

    @property
    def last_step(self) -> bool:
        """Whether there is nothing to advance to but the promotion."""
        last = {"canary": len(self.plan.steps) - 1, "blue_green": 1}
        return self.step >= last.get(self.plan.strategy, 0)


class SystemRollouts(Struct, frozen=True):
    """The rollouts of a system: those under way in the order they began, and the last that ended, the latest first."""

    live: tuple[Rollout, ...] = ()
    ended: tuple[Rollout, ...] = ()

    @property
    def routing(self) -> Rollout | None:
        """The one that changes what users get."""
        return next((each for each in self.live if each.plan.routes), None)

    @property
    def shadows(self) -> tuple[Rollout, ...]:
        """Those that score copies."""
        return tuple(each for each in self.live if not each.plan.routes)

    def find(self, id_: str) -> Rollout | None:
        """Return a rollout by its id."""
        return next((each for each in (*self.live, *self.ended) if each.id == id_), None)


class Told(Struct, frozen=True, kw_only=True):
    """The body of an event about a rollout that moves nothing; *evidence* is what the decision rests on."""

    id: str
    evidence: dict[str, Any] = {}


class Moved(Struct, frozen=True, kw_only=True):
    """The body of ``advanced`` and ``reweighted``."""

    id: str
    step: int
    split: Split
    evidence: dict[str, Any] = {}


class Judged(Struct, frozen=True, kw_only=True):
    """The body of ``judged``: the analysis says something else than before."""

    id: str
    verdict: Verdict
    why: str
    evidence: dict[str, Any] = {}


class Acknowledged(Struct, frozen=True, kw_only=True):
    """The body of ``acknowledged``: what holds the rollout no more."""

    id: str
    beyond: tuple[Beyond, ...]


class Ended(Struct, frozen=True, kw_only=True):
    """The body of ``promoted``."""

    id: str
    version: str
    evidence: dict[str, Any] = {}


def _evolve(state: SystemRollouts | None, event: ControlEvent, body: Any) -> SystemRollouts:
    state = state or SystemRollouts()
    if event.type == "started":
        return replace(state, live=(*state.live, msgspec.convert(body, Rollout)))
    before = state.find(body["id"])
    assert before is not None, "an event of a rollout that never began"
    after = _after(before, event, body)
    live = tuple(after if each.id == after.id else each for each in state.live)
    if not after.ended:
        return replace(state, live=live)
    return SystemRollouts(
        tuple(each for each in live if each.id != after.id),
        (after, *state.ended)[:_KEPT],
    )


def _after(rollout: Rollout, event: ControlEvent, body: Any) -> Rollout:
    match event.type:
        case "advanced" | "reweighted":
            moved = msgspec.convert(body, Moved)
            return replace(rollout, step=moved.step, split=moved.split, since=event.at, verdict="not_looked_at", why="")
        case "judged":
            judged = msgspec.convert(body, Judged)
            return replace(rollout, verdict=judged.verdict, why=judged.why)
        case "acknowledged":
            new = msgspec.convert(body, Acknowledged).beyond
            said = (Acknowledgement(beyond=each, by=event.actor, at=event.at, reason=event.reason) for each in new)
            return replace(rollout, acknowledged=(*rollout.acknowledged, *said), verdict="not_looked_at", why="")
        case "paused":
            return replace(rollout, state="paused")
        case "resumed":
            return replace(rollout, state="running")
        case "promoted":
            version = msgspec.convert(body, Ended).version
            return replace(rollout, state="promoted", winner=version, why=event.reason, ended_at=event.at)
        case "rolled_back":
            return replace(rollout, state="rolled_back", why=event.reason, ended_at=event.at)
        case _:
            return replace(rollout, state="aborted", why=event.reason, ended_at=event.at)


ROLLOUT = Kind(
    "rollout",
    SystemRollouts,
    (
        "started",
        "advanced",
        "reweighted",
        "judged",
        "acknowledged",
        "paused",
        "resumed",
        "promoted",
        "aborted",
        "rolled_back",
    ),
    _evolve,
    goes_back="orita rollout abort",
)
