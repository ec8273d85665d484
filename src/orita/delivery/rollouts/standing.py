"""How a rollout stands, for people and programs: who gets what since when, what the analysis says, and who acts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from orita.control.database import ControlDatabase
from orita.control.leases import Leases
from orita.core.clock import Clock
from orita.core.home import DEFAULT_TENANT
from orita.delivery.rollouts.notes import Note
from orita.delivery.rollouts.plan import RolloutPlan, Strategy
from orita.delivery.rollouts.rollout import Acknowledgement, Rollout, RolloutState, Verdict
from orita.delivery.rollouts.rollouts import Rollouts, lease_name
from orita.delivery.rollouts.trouble import Trouble

__all__ = ["Standing", "Standings"]


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


class Standings:
    """Tells how the rollouts of one tenant stand.

    Args:
        where: the SQLite file, PostgreSQL URL or open database of control state.
        tenant: whose.
        clock: the time.
    """

    def __init__(
        self, where: Path | str | ControlDatabase, tenant: str = DEFAULT_TENANT, clock: Clock | None = None
    ) -> None:
        self._rollouts, self._leases = Rollouts(where, tenant, clock), Leases(where, tenant, clock)

    def of(self, rollout: Rollout) -> Standing:
        """Return how *rollout* stands."""
        plan = rollout.plan
        acting = None if rollout.ended else self._leases.acting(lease_name(rollout.system))
        note = Note.of(None if acting is None else acting.note, rollout.id)
        look = note.look if note.look is not None and note.look.is_of(rollout) else None
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
            evidence=self._evidence(rollout) if look is None else look.evidence,
            looked_at=None if look is None else look.at,
            winner=rollout.winner,
            ended_at=rollout.ended_at,
            controller=None if acting is None else acting.holder,
            trouble=note.trouble,
            acknowledged=rollout.acknowledged,
            plan=plan,
        )

    def _evidence(self, rollout: Rollout) -> dict[str, Any]:
        for event in reversed(self._rollouts.history(rollout.system)):
            body = msgspec.json.decode(event.body)
            if body.get("id") == rollout.id and body.get("evidence"):
                evidence: dict[str, Any] = body["evidence"]
                return evidence
        return {}
