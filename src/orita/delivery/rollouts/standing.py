"""How a rollout stands, for people and programs: who gets what since when, what the analysis says, and who acts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from orita.control.database import ControlDatabase
from orita.control.leases import Acting, Leases
from orita.core.clock import Clock
from orita.core.home import DEFAULT_TENANT
from orita.delivery.rollouts.notes import Look, Note
from orita.delivery.rollouts.plan import RolloutPlan, Strategy
from orita.delivery.rollouts.rollout import Acknowledgement, Rollout, RolloutState, Verdict
from orita.delivery.rollouts.rollouts import Rollouts, lease_name
from orita.delivery.rollouts.trouble import Trouble

__all__ = ["Standing", "Standings"]

_MOST_ENDED = 500


class Standing(Struct, frozen=True, kw_only=True):
    """How a rollout stands.

    Attributes:
        id: its id.
        system: whose it is.
        strategy: how the version reaches users.
        versions: the challengers.
        champion: what everybody else gets.
        state: ``running`` or ``paused``, or how it ended.
        step: from 1.
        steps: how many there are.
        shares: percent of units by version, the champion's too.
        started_at: when it began.
        since: when the present shares began.
        verdict: what the analysis last said of the present step.
        why: the same in words, what is missing among them; of one that ended, the reason.
        evidence: what that rests on; where nobody looks, what the latest decision that rests on figures rests on.
        looked_at: when the controller that acts looked last, and said so; null: nobody looks, or nothing is said yet.
        winner: the version that was promoted, null otherwise.
        ended_at: when it ended, null before.
        controller: who judges and advances it; null: nobody does.
        trouble: what keeps that controller from judging it, since when, and what to do; null: nothing.
        acknowledged: what holds it no more: which check, by whom, when and why.
        plan: as declared.
    """

    id: str
    system: str
    strategy: Strategy
    versions: tuple[str, ...]
    champion: str
    state: RolloutState
    step: int
    steps: int
    shares: dict[str, float]
    started_at: datetime
    since: datetime
    verdict: Verdict
    why: str
    evidence: dict[str, Any]
    looked_at: datetime | None
    winner: str | None
    ended_at: datetime | None
    controller: str | None
    trouble: Trouble | None
    acknowledged: tuple[Acknowledgement, ...]
    plan: RolloutPlan


class _Told(Struct):
    """What the body of an event says of its rollout, and rests on."""

    id: str = ""
    evidence: dict[str, Any] = {}


class Standings:
    """Tells how the rollouts of one tenant stand.

    Evidence is in the history, so it is read from there: once for all rollouts of a system that are asked for together,
    and of one that ended once for all, as nothing is decided of it any more.

    Args:
        where: the SQLite file, PostgreSQL URL or open database of control state.
        tenant: whose.
        clock: the time.
    """

    def __init__(
        self, where: Path | str | ControlDatabase, tenant: str = DEFAULT_TENANT, clock: Clock | None = None
    ) -> None:
        self._rollouts, self._leases = Rollouts(where, tenant, clock), Leases(where, tenant, clock)
        self._of_ended: dict[str, dict[str, Any]] = {}

    def of(self, rollout: Rollout) -> Standing:
        """Return how *rollout* stands."""
        return self.each([rollout])[0]

    def each(self, rollouts: Sequence[Rollout]) -> list[Standing]:
        """Return how *rollouts* stand, in their order."""
        acting = {each.system: self._leases.acting(lease_name(each.system)) for each in rollouts if not each.ended}
        said = [_said(each, acting.get(each.system)) for each in rollouts]
        unsaid = [each for each, (_, look) in zip(rollouts, said, strict=True) if look is None]
        evidence = self._evidence(unsaid)
        return [
            _standing(each, None if each.ended else acting[each.system], note, look, evidence.get(each.id, {}))
            for each, (note, look) in zip(rollouts, said, strict=True)
        ]

    def _evidence(self, rollouts: Sequence[Rollout]) -> dict[str, dict[str, Any]]:
        """Return what the latest decision of each that rests on figures rests on, by id."""
        found: dict[str, dict[str, Any]] = {}
        for system in dict.fromkeys(each.system for each in rollouts):
            ours = [each for each in rollouts if each.system == system]
            known = {each.id: self._of_ended[each.id] for each in ours if each.id in self._of_ended}
            found |= known | self._read(system, {each.id for each in ours if each.id not in known})
            ended = {each.id: found.get(each.id, {}) for each in ours if each.ended}
            self._of_ended = dict(list((self._of_ended | ended).items())[-_MOST_ENDED:])
        return found

    def _read(self, system: str, wanted: set[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for event in self._rollouts.backwards(system) if wanted else ():
            told = msgspec.json.decode(event.body, type=_Told)
            if told.id in wanted and (told.evidence or event.type == "started"):
                found[told.id] = told.evidence
                wanted.remove(told.id)
                if not wanted:
                    break
        return found


def _said(rollout: Rollout, acting: Acting | None) -> tuple[Note, Look | None]:
    """Return what the controller that acts says of a rollout, and its look, if that is of the rollout as it is."""
    note = Note.of(None if acting is None or rollout.ended else acting.note, rollout.id)
    return note, note.look if note.look is not None and note.look.is_of(rollout) else None


def _standing(
    rollout: Rollout, acting: Acting | None, note: Note, look: Look | None, evidence: dict[str, Any]
) -> Standing:
    plan = rollout.plan
    return Standing(
        id=rollout.id,
        system=rollout.system,
        strategy=plan.strategy,
        versions=plan.versions,
        champion=rollout.champion,
        state=rollout.state,
        step=rollout.step + 1,
        steps={"canary": len(plan.steps), "blue_green": 2}.get(plan.strategy, 1),
        shares=rollout.shares,
        started_at=rollout.started_at,
        since=rollout.since,
        verdict=rollout.verdict if look is None else look.verdict,
        why=rollout.why if look is None else look.why,
        evidence=evidence if look is None else look.evidence,
        looked_at=None if look is None else look.at,
        winner=rollout.winner,
        ended_at=rollout.ended_at,
        controller=None if acting is None else acting.holder,
        trouble=note.trouble,
        acknowledged=rollout.acknowledged,
        plan=plan,
    )
