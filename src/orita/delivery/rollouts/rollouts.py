"""The commands of rollouts: each is one transaction, with who, when and why.

Whoever acts unattended acts under a lease and says which step it saw: a controller that was away for a minute is
refused (`orita.control.leases`), and one that judged an earlier step is too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from orita.control.aggregates import Change, Decisions, Keeper, deciding
from orita.control.deployments import champion_within, deploy_within
from orita.control.events import Conflict, ControlEvent
from orita.control.leases import Lease
from orita.core.errors import NotFound, UserError
from orita.core.ids import uuid7
from orita.delivery.assignment.experiments import Experiment
from orita.delivery.assignment.split import Split
from orita.delivery.flags.kept import SEGMENT
from orita.delivery.rollouts.checking import check_plan, check_who_takes_part, segments_of
from orita.delivery.rollouts.plan import RolloutPlan
from orita.delivery.rollouts.rollout import (
    ROLLOUT,
    Acknowledged,
    Beyond,
    Ended,
    Judged,
    Moved,
    Rollout,
    SystemRollouts,
    Told,
    Verdict,
)

__all__ = ["Rollouts", "experiment_of", "lease_name"]


class Rollouts(Keeper[SystemRollouts]):
    """The rollouts of one tenant's systems; opened as every `Keeper` is."""

    kind = ROLLOUT

    def current(self, system: str) -> SystemRollouts:
        """Return the rollouts of *system* as they are now."""
        held = self._of.get(system)
        return SystemRollouts() if held is None else held.state

    def all(self) -> dict[str, SystemRollouts]:
        """Return the rollouts of all systems that ever had one."""
        return {name: held.state for name, held in self._of.all().items()}

    def under_way(self, system: str, id_: str | None = None) -> Rollout:
        """Return the rollout of that id, or whose id begins so; None: the one that changes what users get.

        Raises:
            NotFound: there is no such rollout under way.
        """
        return _under_way(self.current(system), system, id_)

    def history(self, system: str) -> list[ControlEvent]:
        """Return what was decided of the rollouts of *system*, the first first."""
        return self._of.history(system)

    def backwards(self, system: str) -> Iterator[ControlEvent]:
        """Yield what was decided of the rollouts of *system*, the latest first; read only as far as it is asked for."""
        return self._of.backwards(system)

    def start(self, system: str, plan: RolloutPlan, *, actor: str, reason: str) -> Rollout:
        """Begin a rollout; segments that its audience names count as they are now.

        Raises:
            UserError: the plan cannot be carried out, nothing is deployed yet, a challenger is the champion, the
                audience cannot be read, or an override names none of the versions.
            Conflict: another rollout that changes what users get is under way.
        """
        with deciding(self.log) as decisions:
            change, rollout = _to_begin(decisions, system, plan)
            change.record("started", rollout, actor=actor, reason=reason)
        return rollout

    def check(self, system: str, plan: RolloutPlan) -> None:
        """Refuse what `start` would refuse now, and begin nothing: before packages are published and verified.

        Raises:
            UserError, Conflict: as `start`.
        """
        with deciding(self.log) as decisions:
            _to_begin(decisions, system, plan)

    def pause(self, system: str, id_: str | None = None, *, actor: str, reason: str) -> Rollout:
        """Leave everybody where they are until it is resumed; harm that is proven takes the version back all the same.

        Raises:
            NotFound: there is no such rollout under way.
            UserError: it is paused already.
        """
        with self._changing(system, id_) as (_, change, rollout):
            if rollout.state == "paused":
                raise UserError(f"rollout {rollout.id} is paused already.")
            change.record("paused", Told(id=rollout.id), actor=actor, reason=reason)
            return _now(change, rollout.id)

    def resume(self, system: str, id_: str | None = None, *, actor: str, reason: str) -> Rollout:
        """Go on with a rollout that is paused.

        Raises:
            NotFound: there is no such rollout under way.
            UserError: it is not paused.
        """
        with self._changing(system, id_) as (_, change, rollout):
            if rollout.state != "paused":
                raise UserError(f"rollout {rollout.id} is running, not paused.")
            change.record("resumed", Told(id=rollout.id), actor=actor, reason=reason)
            return _now(change, rollout.id)

    def acknowledge(self, rollout: Rollout, beyond: Sequence[Beyond], *, actor: str, reason: str) -> Rollout:
        """Record that what holds *rollout* was looked at and is meant; it holds it no more.

        Args:
            rollout: which.
            beyond: what holds it (`orita.delivery.rollouts.acknowledgements.holding`).
            actor, reason: who, and why it is meant.

        Raises:
            NotFound: it is not under way any more.
            UserError: no reason is given.
            Conflict: all of it was acknowledged meanwhile.
        """
        if not reason.strip():
            raise UserError("reason is empty: say why what the checks found is meant, for who looks next.")
        with self._changing(rollout.system, rollout.id) as (_, change, now):
            said = {(each.beyond.check, each.beyond.version) for each in now.acknowledged}
            new = tuple(each for each in beyond if (each.check, each.version) not in said)
            if not new:
                raise Conflict(f"somebody acknowledged what holds rollout {now.id} meanwhile: look again.")
            change.record("acknowledged", Acknowledged(id=now.id, beyond=new), actor=actor, reason=reason)
            return _now(change, now.id)

    def abort(
        self, system: str, id_: str | None = None, *, actor: str, reason: str, lease: Lease | None = None
    ) -> Rollout:
        """End it: everybody gets the champion.

        Raises:
            NotFound: there is no such rollout under way.
            LeaseLost: somebody else acts now.
        """
        with self._changing(system, id_, lease) as (_, change, rollout):
            change.record("aborted", Told(id=rollout.id), actor=actor, reason=reason)
            return _now(change, rollout.id)

    def roll_back(
        self,
        system: str,
        id_: str,
        *,
        actor: str,
        reason: str,
        evidence: Mapping[str, Any],
        seen: Rollout | None = None,
        lease: Lease | None = None,
    ) -> Rollout:
        """End it as it does harm: everybody gets the champion.

        Raises:
            NotFound: there is no such rollout under way.
            Conflict: it is not as it was *seen* any more, such as paused.
            LeaseLost: somebody else acts now.
        """
        with self._changing(system, id_, lease) as (_, change, rollout):
            _check_same(seen or rollout, rollout)
            told = Told(id=rollout.id, evidence=dict(evidence))
            change.record("rolled_back", told, actor=actor, reason=reason)
            return _now(change, rollout.id)

    def judge(
        self,
        rollout: Rollout,
        verdict: Verdict,
        why: str,
        *,
        actor: str,
        evidence: Mapping[str, Any],
        lease: Lease | None = None,
    ) -> Rollout:
        """Record what the analysis says of *rollout*, where that is another verdict than before.

        Raises:
            NotFound: it is not under way any more.
            Conflict: it went to another step meanwhile, or is paused.
            LeaseLost: somebody else acts now.
        """
        with self._changing(rollout.system, rollout.id, lease) as (_, change, now):
            _check_runs(rollout, now)
            if now.verdict != verdict:
                judged = Judged(id=now.id, verdict=verdict, why=why, evidence=dict(evidence))
                change.record("judged", judged, actor=actor, reason=why)
            return _now(change, now.id)

    def advance(
        self,
        rollout: Rollout,
        *,
        actor: str,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
        lease: Lease | None = None,
    ) -> Rollout:
        """Go to the next step of a canary, or switch blue/green; who has the version keeps it.

        Raises:
            NotFound: it is not under way any more.
            Conflict: it went to another step meanwhile, or is paused.
            UserError: it has no further step.
            LeaseLost: somebody else acts now.
        """
        with self._changing(rollout.system, rollout.id, lease) as (_, change, now):
            _check_runs(rollout, now)
            if not now.plan.routes:
                raise UserError(f"rollout {now.id} is a shadow, which has no steps: 'orita rollout abort' ends it.")
            if now.last_step:
                raise UserError(f"rollout {now.id} has no further step: promote it, or abort it.")
            step = now.step + 1
            share = now.plan.steps[step].share if now.plan.strategy == "canary" else 100.0
            moved = _moved(now, step, {now.plan.versions[0]: share}, evidence)
            change.record("advanced", moved, actor=actor, reason=reason)
            return _now(change, now.id)

    def reweigh(
        self,
        rollout: Rollout,
        weights: Mapping[str, float],
        *,
        actor: str,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
        lease: Lease | None = None,
    ) -> Rollout:
        """Give each challenger of an A/B test or bandit another share; as few as can be move.

        Args:
            rollout: as it was seen.
            weights: percent by challenger; the champion has the rest.
            actor, reason, evidence, lease: as of `advance`.

        Raises:
            UserError: it is of another strategy, or the weights are no split of its versions.
            NotFound, Conflict, LeaseLost: as `advance`.
        """
        with self._changing(rollout.system, rollout.id, lease) as (_, change, now):
            _check_runs(rollout, now)
            if now.plan.strategy not in ("ab", "bandit"):
                raise UserError(f"rollout {now.id} is a {now.plan.strategy}: only shares of 'ab' and 'bandit' are set.")
            if set(weights) != set(now.plan.versions):
                raise UserError(f"weights are of {sorted(weights)}: give one for each of {list(now.plan.versions)}.")
            change.record("reweighted", _moved(now, now.step, weights, evidence), actor=actor, reason=reason)
            return _now(change, now.id)

    def promote(
        self,
        system: str,
        id_: str | None = None,
        *,
        version: str | None = None,
        actor: str,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
        seen: Rollout | None = None,
        lease: Lease | None = None,
    ) -> Rollout:
        """Make a challenger the champion, and end the rollout, in one transaction.

        Args:
            system: whose.
            id_: which rollout; None: the one that changes what users get.
            version: which challenger, where there are several.
            seen: the rollout as the caller saw it; None: however it is.
            actor, reason, evidence, lease: as of `advance`.

        Raises:
            NotFound: there is no such rollout under way.
            UserError: it is a shadow, whose answers nobody has seen; there are several challengers and none is named,
                or another one is.
            Conflict: another version was deployed since the rollout began, or it is not as it was *seen* any more.
            LeaseLost: somebody else acts now.
        """
        with self._changing(system, id_, lease) as (decisions, change, rollout):
            _check_same(seen or rollout, rollout)
            if not rollout.plan.routes:
                shadow = version or rollout.plan.versions[0]
                raise UserError(
                    f"rollout {rollout.id} is a shadow, nobody has seen what {shadow} answers: it cannot be promoted. "
                    f"Let some see it first: 'orita deploy {shadow} --strategy canary'."
                )
            winner = _winner(rollout, version)
            champion = champion_within(decisions, system)
            if champion != rollout.champion:
                raise Conflict(
                    f"{champion} was deployed since rollout {rollout.id} of {winner} began against {rollout.champion}: "
                    "abort it, then begin anew."
                )
            deploy_within(decisions, system, winner, actor=actor, reason=reason)
            ended = Ended(id=rollout.id, version=winner, evidence=dict(evidence or {}))
            change.record("promoted", ended, actor=actor, reason=reason)
            return _now(change, rollout.id)

    @contextmanager
    def _changing(
        self, system: str, id_: str | None, lease: Lease | None = None
    ) -> Iterator[tuple[Decisions, Change[SystemRollouts], Rollout]]:
        with deciding(self.log, lease) as decisions:
            change = decisions.of(ROLLOUT, system)
            yield decisions, change, _under_way(change.state or SystemRollouts(), system, id_)


def lease_name(system: str) -> str:
    """Return the name of the lease under which somebody acts unattended on the rollouts of *system*."""
    return f"rollouts/{system}"


def experiment_of(rollout: Rollout) -> Experiment:
    """Return a rollout as assignment sees it.

    Raises:
        UserError: its audience cannot be read or asks for the time, or an override names none of its versions.
    """
    plan = rollout.plan
    return Experiment(
        rollout.salt,
        rollout.split,
        by=plan.by,
        holdouts=plan.holdouts,
        audience=plan.audience,
        overrides=plan.overrides,
        segments=rollout.segments,
    )


def _to_begin(decisions: Decisions, system: str, plan: RolloutPlan) -> tuple[Change[SystemRollouts], Rollout]:
    """Return the rollout that *plan* is, and the change that may record it.

    Raises:
        UserError, Conflict: as `Rollouts.start`.
    """
    check_plan(plan)
    champion = champion_within(decisions, system)
    if champion is None:
        raise UserError(
            f"system {system!r} has no champion to compare with: 'orita models promote' makes the first one."
        )
    if champion in plan.versions:
        raise UserError(f"{champion} is the champion of {system!r} already: name another version.")
    segments = {name: segment.condition for name, segment in decisions.states(SEGMENT).items()}
    check_who_takes_part(plan, champion, segments)
    change = decisions.of(ROLLOUT, system)
    under_way = (change.state or SystemRollouts()).routing
    if plan.routes and under_way is not None:
        raise Conflict(
            f"system {system!r} has a rollout of {', '.join(under_way.plan.versions)} under way "
            f"({under_way.id}): promote or abort it first."
        )
    rollout = Rollout(
        id=uuid7(),
        system=system,
        plan=plan,
        champion=champion,
        state="running",
        step=0,
        split=Split.of(_whole(plan.first_weights, champion)),
        started_at=change.at,
        since=change.at,
        segments=segments_of(plan.audience, segments),
    )
    experiment_of(rollout)  # what every server will make of it
    return change, rollout


def _whole(weights: Mapping[str, float], champion: str) -> dict[str, float]:
    """Return weights with the champion's, which is the last: everybody else gets it."""
    return {**weights, champion: round(100 - sum(weights.values()), 4)}


def _moved(rollout: Rollout, step: int, weights: Mapping[str, float], evidence: Mapping[str, Any] | None) -> Moved:
    ordered = {version: weights[version] for version in rollout.plan.versions}
    split = rollout.split.reweighted(_whole(ordered, rollout.champion))
    return Moved(id=rollout.id, step=step, split=split, evidence=dict(evidence or {}))


def _winner(rollout: Rollout, version: str | None) -> str:
    versions = rollout.plan.versions
    if version is None and len(versions) > 1:
        raise UserError(f"rollout {rollout.id} has several challengers, {', '.join(versions)}: say which one wins.")
    if version is not None and version not in versions:
        raise UserError(f"{version} is no challenger of rollout {rollout.id}: allowed are {', '.join(versions)}.")
    return version or versions[0]


def _check_same(seen: Rollout, now: Rollout) -> None:
    if (seen.step, seen.split, seen.state) != (now.step, now.split, now.state):
        raise Conflict(
            f"rollout {now.id} is {now.state} at step {now.step + 1} now, it was {seen.state} at step {seen.step + 1} "
            "when it was looked at: look again, then decide."
        )


def _check_runs(seen: Rollout, now: Rollout) -> None:
    _check_same(seen, now)
    if now.state == "paused":
        raise Conflict(f"rollout {now.id} is paused, which leaves everybody where they are: resume it first.")


def _under_way(state: SystemRollouts, system: str, id_: str | None) -> Rollout:
    if id_ is None:
        found = state.routing or (state.live[0] if len(state.live) == 1 else None)
        if found is None:
            several = f" Name one: {', '.join(each.id for each in state.live)}." if state.live else ""
            raise NotFound(f"system {system!r} has no rollout under way.{several}")
        return found
    match [each for each in state.live if each.id.startswith(id_)]:
        case [only]:
            return only
        case []:
            ended = state.find(id_)
            told = f"is {ended.state} since {ended.ended_at:%Y-%m-%d %H:%M:%S}" if ended else "was never begun"
            raise NotFound(f"rollout {id_!r} of {system!r} is not under way: it {told}.")
        case _:
            raise UserError(f"several rollouts of {system!r} begin with {id_!r}: give more of the id.")


def _now(change: Change[SystemRollouts], id_: str) -> Rollout:
    rollout = (change.state or SystemRollouts()).find(id_)
    assert rollout is not None, "a rollout is gone in its own transaction"
    return rollout
