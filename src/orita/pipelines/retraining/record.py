"""What was decided about retraining, with its evidence: events of control state, which only grows.

    orita: decided (asked for, or not, or held back) → ended (failed | kept | refused | promoted | rollout)
           promoted → watched … → ended (confirmed | rolled_back | superseded)
           rollout  → ended (promoted | rolled_back | aborted)
    stopped ⇄ resumed

A decision is acknowledged when its event is committed. A task that is begun again after a kill gives the same command
and is given the decision that it made before; an end is recorded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orita.control.aggregates import Change, Keeper, Kind
from orita.control.events import ControlEvent
from orita.core.errors import NotFound, UserError

__all__ = ["RETRAINING", "Decision", "Outcome", "RetrainingRecord", "RetrainingState", "Stopped"]

Outcome = Literal[
    "open",
    "not_due",
    "held",
    "failed",
    "kept",
    "refused",
    "promoted",
    "rollout",
    "confirmed",
    "rolled_back",
    "superseded",
    "aborted",
]

_FAILURES = ("failed", "rolled_back")
_KEPT = 200


class Decision(Struct, frozen=True, kw_only=True):
    """One look at whether a new model is due, and what became of it.

    Attributes:
        id: UUID version 7.
        at: when.
        retrain: whether a training was begun.
        forced: whether somebody asked for it whatever triggers say.
        reasons: one sentence for each condition that asked for it.
        held: one sentence for each thing that kept it from being done.
        champion: what served then.
        outcome: what became of it; ``open``: it is at work, or was killed.
        version: the model that was trained.
        data_to: the last row that it could learn from, ISO 8601.
        why: the outcome in words.
        seconds: what training took so far.
        ended_at: of the latest outcome.
        rollout: the id of the rollout that tries the version.
        watch_until: until when a promoted version is watched; None: it is not.
        looks: how often it was looked at since.
    """

    id: str
    at: datetime
    retrain: bool
    forced: bool = False
    reasons: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    champion: str | None = None
    outcome: Outcome = "open"
    version: str | None = None
    data_to: str = ""
    why: str = ""
    seconds: float = 0.0
    ended_at: datetime | None = None
    rollout: str | None = None
    watch_until: datetime | None = None
    looks: int = 0

    @property
    def pending(self) -> bool:
        """Whether more will become of it."""
        return self.outcome in ("open", "rollout") or (self.outcome == "promoted" and self.watch_until is not None)


class Stopped(Struct, frozen=True):
    """Retraining is stopped: since when, by whom, why."""

    at: datetime
    actor: str
    why: str


class RetrainingState(Struct, frozen=True):
    """The retrainings of a system.

    Attributes:
        decisions: those that began a training, the latest first; the last 200.
        latest: the latest decision of all.
        stopped: None while it goes on.
        resumed_at: failures before it do not count any more.
    """

    decisions: tuple[Decision, ...] = ()
    latest: Decision | None = None
    stopped: Stopped | None = None
    resumed_at: datetime | None = None

    @property
    def failures(self) -> int:
        """How many in a row failed; what is not decided yet neither counts nor ends the row."""
        count = 0
        for each in self.decisions:
            if each.pending:
                continue
            old = self.resumed_at is not None and each.ended_at is not None and each.ended_at <= self.resumed_at
            if old or each.outcome not in _FAILURES:
                break
            count += 1
        return count

    @property
    def current(self) -> Decision | None:
        """The latest decision of which more will become."""
        return next((each for each in self.decisions if each.pending), None)

    def find(self, id_: str) -> Decision | None:
        """Return a decision by its id."""
        known = (*self.decisions, *((self.latest,) if self.latest else ()))
        return next((each for each in known if each.id == id_), None)

    def since(self, moment: datetime) -> tuple[Decision, ...]:
        """Return the decisions that began a training after *moment*, the latest first."""
        return tuple(each for each in self.decisions if each.at > moment)


class Decided(Struct, frozen=True, kw_only=True):
    """The body of ``decided``."""

    decision: Decision
    evidence: dict[str, Any] = {}


class Trained(Struct, frozen=True, kw_only=True):
    """The body of ``trained``: a model came out; seconds are those of this training alone."""

    id: str
    version: str
    seconds: float
    data_to: str = ""


class Ended(Struct, frozen=True, kw_only=True):
    """The body of ``ended``; seconds are added to those of before."""

    id: str
    outcome: Outcome
    version: str | None = None
    seconds: float = 0.0
    rollout: str | None = None
    watch_until: datetime | None = None
    evidence: dict[str, Any] = {}


class Watched(Struct, frozen=True, kw_only=True):
    """The body of ``watched``: one look at a promoted version, which decided nothing."""

    id: str
    evidence: dict[str, Any] = {}


def _evolve(state: RetrainingState | None, event: ControlEvent, body: Any) -> RetrainingState:
    state = state or RetrainingState()
    match event.type:
        case "decided":
            decision = msgspec.convert(body, Decided).decision
            begun = (decision, *state.decisions)[:_KEPT] if decision.retrain else state.decisions
            return replace(state, decisions=begun, latest=decision)
        case "stopped":
            return replace(state, stopped=Stopped(event.at, event.actor, event.reason))
        case "resumed":
            return replace(state, stopped=None, resumed_at=event.at)
    before = state.find(body["id"])
    if before is None:  # of so long ago that it is not kept
        return state
    after = _after(before, event, body)
    latest = after if state.latest is not None and state.latest.id == after.id else state.latest
    kept = tuple(after if each.id == after.id else each for each in state.decisions)
    return replace(state, decisions=kept, latest=latest)


def _after(decision: Decision, event: ControlEvent, body: Any) -> Decision:
    if event.type == "trained":
        made = msgspec.convert(body, Trained)
        seconds = decision.seconds + made.seconds
        return replace(decision, version=made.version, data_to=made.data_to, seconds=seconds)
    if event.type == "watched":
        return replace(decision, looks=decision.looks + 1)
    ended = msgspec.convert(body, Ended)
    return replace(
        decision,
        outcome=ended.outcome,
        version=ended.version or decision.version,
        seconds=decision.seconds + ended.seconds,
        rollout=ended.rollout or decision.rollout,
        watch_until=ended.watch_until,
        why=event.reason,
        ended_at=event.at,
    )


RETRAINING = Kind(
    "retraining",
    RetrainingState,
    ("decided", "trained", "ended", "watched", "stopped", "resumed"),
    _evolve,
    goes_back="orita retraining resume",
)


class RetrainingRecord(Keeper[RetrainingState]):
    """The decisions of one tenant's systems; opened as every `Keeper` is."""

    kind = RETRAINING

    def state(self, system: str) -> RetrainingState:
        """Return how retraining of *system* stands."""
        held = self._of.get(system)
        return RetrainingState() if held is None else held.state

    def history(self, system: str) -> list[ControlEvent]:
        """Return what was decided of *system*, the first first."""
        return self._of.history(system)

    def decide(
        self, system: str, decision: Decision, *, evidence: Mapping[str, Any], actor: str, command: str | None
    ) -> Decision:
        """Record a decision, once for a command; return it, or what was decided under that command before."""
        with self._of.changing(system) as change:
            asked = None if command is None else change.asked_before(command)
            if asked is not None:
                made = msgspec.json.decode(asked.body, type=Decided).decision
                return (change.state or RetrainingState()).find(made.id) or made
            reason = " ".join((*decision.reasons, *decision.held)) or "No condition asks for a new model."
            body = Decided(decision=decision, evidence=dict(evidence))
            change.record("decided", body, actor=actor, reason=reason, command=command)
            return decision

    def trained(self, system: str, id_: str, version: str, *, seconds: float, data_to: str, actor: str) -> None:
        """Record that a model came out, once for a decision."""
        with self._of.changing(system) as change:
            decision = _known(change, system, id_)
            if decision.version is None:
                body = Trained(id=id_, version=version, seconds=seconds, data_to=data_to)
                change.record("trained", body, actor=actor, reason=f"{version} was trained")

    def end(
        self,
        system: str,
        id_: str,
        outcome: Outcome,
        why: str,
        *,
        actor: str,
        evidence: Mapping[str, Any] | None = None,
        version: str | None = None,
        seconds: float = 0.0,
        rollout: str | None = None,
        watch: timedelta | None = None,
        stop_after: int | None = None,
    ) -> tuple[Decision, Stopped | None]:
        """Record what became of a decision; where that is another failure in a row too many, stop, in one transaction.

        Args:
            system: whose.
            id_: of the decision.
            outcome: what became of it.
            why: in words.
            actor: who found it.
            evidence: what it rests on.
            version: the model.
            seconds: of training, beyond those recorded before.
            rollout: the rollout that tries the version.
            watch: for so long a promoted version is watched from now on.
            stop_after: so many failures in a row stop retraining; None: none do.

        Returns:
            The decision, as it is then, and the stop where this made one. An outcome that it has already is not
            recorded again.
        """
        with self._of.changing(system) as change:
            decision = _known(change, system, id_)
            # What failed may be done again, by the retry of its task, and then end well.
            if decision.outcome == outcome or not (decision.pending or decision.outcome == "failed"):
                return decision, None
            body = Ended(
                id=id_,
                outcome=outcome,
                version=version,
                seconds=seconds,
                rollout=rollout,
                watch_until=None if watch is None else change.at + watch,
                evidence=dict(evidence or {}),
            )
            change.record("ended", body, actor=actor, reason=why)
            state = change.state
            assert state is not None, "an event was recorded, and there is no state"
            if stop_after is None or state.stopped is not None or state.failures < stop_after:
                return _known(change, system, id_), None
            told = f"{state.failures} failures in a row, the last: {why}"
            change.record("stopped", {}, actor=actor, reason=told)
            stopped = change.state.stopped if change.state is not None else None
            return _known(change, system, id_), stopped

    def watched(self, system: str, id_: str, *, actor: str, why: str, evidence: Mapping[str, Any]) -> None:
        """Record a look at a promoted version that decided nothing."""
        with self._of.changing(system) as change:
            if _known(change, system, id_).outcome == "promoted":
                change.record("watched", Watched(id=id_, evidence=dict(evidence)), actor=actor, reason=why)

    def stop(self, system: str, *, actor: str, reason: str) -> RetrainingState:
        """Begin no training until it is resumed.

        Raises:
            UserError: it is stopped already.
        """
        with self._of.changing(system) as change:
            if change.state is not None and change.state.stopped is not None:
                stopped = change.state.stopped
                raise UserError(
                    f"retraining of {system!r} is stopped already, since {stopped.at:%Y-%m-%d %H:%M} by "
                    f"{stopped.actor}: 'orita retraining resume' goes on."
                )
            change.record("stopped", {}, actor=actor, reason=reason)
            return change.state or RetrainingState()

    def resume(self, system: str, *, actor: str, reason: str) -> RetrainingState:
        """Go on; failures of before do not count any more.

        Raises:
            UserError: it is not stopped.
        """
        with self._of.changing(system) as change:
            if change.state is None or change.state.stopped is None:
                raise UserError(f"retraining of {system!r} is not stopped: 'orita retraining status' tells how it is.")
            change.record("resumed", {}, actor=actor, reason=reason)
            return change.state


def _known(change: Change[RetrainingState], system: str, id_: str) -> Decision:
    decision = (change.state or RetrainingState()).find(id_)
    if decision is None:
        raise NotFound(f"retraining of {system!r} has no decision {id_!r}: 'orita retraining history' lists them.")
    return decision
