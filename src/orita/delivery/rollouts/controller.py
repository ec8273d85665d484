"""The controller: looks at every rollout's evidence, second by second, and does what the analysis says.

It stands beside the servers and has no state that matters: what it decides is in control state, what it knows comes
from logs that it reads again when it is started anew. Of several controllers one acts on a system, by a lease; a
decision is refused in its own transaction where the lease is gone, so one that was stopped and wakes up does nothing.
A log that cannot be read is told and tried again: it is no evidence, and takes nobody back.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from orita.control.deployments import Deployments
from orita.control.events import Conflict
from orita.control.leases import Lease, LeaseLost, Leases
from orita.core.clock import Clock, SystemClock
from orita.core.errors import NotFound, OritaError
from orita.core.home import Home
from orita.delivery.rollouts.analysis import Analysis
from orita.delivery.rollouts.evidence import Evidence
from orita.delivery.rollouts.findings import Finding
from orita.delivery.rollouts.looks import Stage, stages_of
from orita.delivery.rollouts.notes import Look, Note
from orita.delivery.rollouts.outcomes import EventNames
from orita.delivery.rollouts.registry_following import RegistryFollowing
from orita.delivery.rollouts.rollout import Rollout, SystemRollouts
from orita.delivery.rollouts.rollouts import Rollouts, lease_name
from orita.delivery.rollouts.trouble import Trouble, trouble_of
from orita.events.log.log import EventLog

__all__ = ["LEASE_SECONDS", "Acted", "Controller"]

LEASE_SECONDS = 10.0
_REWEIGH_SECONDS = 60.0
_LEAST_MOVE = 1.0  # percent: smaller changes of a bandit's shares are not worth an event
_MOST_PAUSE = 32.0
_RECENT = timedelta(days=1)
_REGISTRY_SECONDS = 60.0
_SAY_SECONDS = 5.0

_log = structlog.stdlib.get_logger("orita.rollouts")


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of one look at one rollout.

    Attributes:
        rollout: as it is afterwards.
        did: ``nothing``, ``judged``, ``advanced``, ``reweighted``, ``promoted``, ``rolled_back`` or ``aborted``.
        finding: what the analysis said, None where it was not asked.
    """

    rollout: Rollout
    did: str
    finding: Finding | None


@dataclass(slots=True)
class _Watch:
    """What is known of the rollout of one system; all of it comes from logs."""

    rollout: str
    evidence: Evidence
    analysis: Analysis
    stages: list[Stage] = field(default_factory=list)
    stages_of: datetime | None = None


@dataclass(slots=True)
class _Trouble:
    """How often reading failed, and until when it is not tried again."""

    failures: int = 0
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class _Said:
    """What stands beside the lease, and since when, in seconds of the monotonic clock."""

    note: Note
    at: float


class Controller:
    """Acts on the rollouts of a home.

    Args:
        home: whose.
        log: the event log, where outcomes are.
        systems: which systems; None: all that have a rollout.
        names: of the columns of events, by system; others have those of `EventNames`.
        holder: the name under which it holds leases; another for each process.
        clock: the time.
        settle: seconds that answers have to reach the prediction log.
        reweigh_seconds: between two changes of a bandit's shares.
        follow: lets the registry agree with what is deployed of a system (its alias ``champion``); called in a thread
            after a promotion, again where it fails. None: there is no registry here.
    """

    def __init__(
        self,
        home: Home,
        log: EventLog,
        *,
        systems: Iterable[str] | None = None,
        names: dict[str, EventNames] | None = None,
        holder: str | None = None,
        clock: Clock | None = None,
        settle: float = 1.0,
        reweigh_seconds: float = _REWEIGH_SECONDS,
        follow: Callable[[str], object] | None = None,
    ) -> None:
        self._home, self._events, self._clock = home, log, clock or SystemClock()
        self._systems = None if systems is None else tuple(systems)
        self._names, self._settle, self._reweigh_seconds = names or {}, settle, reweigh_seconds
        self.holder = holder or f"{socket.gethostname()}/{os.getpid()}"
        self._rollouts = Rollouts(home.control, home.tenant, clock)
        self._deployments = Deployments(home.control, home.tenant, clock)
        self._own_leases = Leases(home.control, home.tenant, clock)
        self._held: dict[str, Lease] = {}
        self._renewed: dict[str, float] = {}  # in seconds of the monotonic clock: what a lease says is another clock's
        self._lease_seconds = LEASE_SECONDS
        self._watched: dict[str, _Watch] = {}
        self._trouble: dict[str, _Trouble] = {}
        self._said: dict[str, _Said] = {}
        self._registry = None if follow is None else RegistryFollowing(follow, self._clock)
        self._begun = False

    def run(self, every: float, stopping: threading.Event, told: Callable[[Acted], object] = lambda _: None) -> None:
        """Look every so many seconds until *stopping*, and give the leases back.

        Args:
            every: seconds between the beginnings of two looks.
            stopping: set by whoever wants it to end.
            told: is given what each look came to.
        """
        self._lease_seconds = max(LEASE_SECONDS, 3 * every)
        try:
            while not stopping.is_set():
                began = self._clock.monotonic()
                for acted in self.look():
                    told(acted)
                stopping.wait(max(every - (self._clock.monotonic() - began), 0.0))
        finally:
            self.release()

    def look(self) -> list[Acted]:
        """Look once at every system, and do what is to be done."""
        now = self._clock.now()  # before states are read: what somebody decides from now on is of the next look
        try:
            states = self._rollouts.all()
        except OritaError as error:
            _log.warning("rollouts_not_read", reason=str(error))
            return []
        rollouts = [state.routing for state in states.values()]
        acted = [self._at(rollout, now) for rollout in rollouts if rollout is not None and self._wanted(rollout)]
        for system in set(self._held) - {each.rollout.system for each in acted if each is not None}:
            self._leave(system)
        if self._registry is not None:
            if not self._begun:
                self._resume(self._registry, states.values())
            self._registry.look()
        self._begun = True
        return [each for each in acted if each is not None]

    def release(self) -> None:
        """Give the leases back, so that another controller need not wait for their end; let the registry follow."""
        for system in list(self._held):
            self._leave(system)
        if self._registry is not None:
            self._registry.wait(_REGISTRY_SECONDS)

    def _resume(self, registry: RegistryFollowing, states: Iterable[SystemRollouts]) -> None:
        """Let the registry follow what a controller promoted that may have died before it told the registry."""
        for last in (state.ended[0] for state in states if state.ended):
            recent = last.ended_at is not None and self._clock.now() - last.ended_at < _RECENT
            if last.winner is not None and recent and self._wanted(last):
                registry.promoted(last.system)

    def _wanted(self, rollout: Rollout) -> bool:
        return self._systems is None or rollout.system in self._systems

    def _at(self, rollout: Rollout, now: datetime) -> Acted | None:
        """Look at one rollout; None where it is another controller's, or nothing could be learned."""
        system, told = rollout.system, {"system": rollout.system, "rollout": rollout.id}
        try:
            lease = self._leased(system)
            if lease is None:
                self._watched.pop(system, None)
                return None
            return self._looked(rollout, lease, now)
        except LeaseLost as error:
            _log.warning("lease_lost", reason=str(error), **told)
            self._held.pop(system, None)
            self._watched.pop(system, None)
        except (Conflict, NotFound) as error:
            _log.info("rollout_moved", reason=str(error), **told)
            return Acted(rollout, "nothing", None)
        except Exception as error:  # a file that is damaged may raise anything: one rollout's trouble ends no other's
            failures = self._failed(system)
            _log.error("rollout_not_looked_at", alert=True, reason=str(error), failures=failures, **told)
            self._tell_of(rollout, error)
            return Acted(rollout, "nothing", None)
        return None

    def _leased(self, system: str) -> Lease | None:
        """Return the lease for *system*, taken or renewed."""
        name, lease, now = lease_name(system), self._held.get(system), self._clock.monotonic()
        if lease is not None and now - self._renewed[system] < self._lease_seconds / 2:
            return lease
        if lease is not None:
            lease = self._own_leases.renew(lease, self._lease_seconds)
        else:
            lease = self._own_leases.take(name, self.holder, self._lease_seconds)
            if lease is not None:
                self._said.pop(system, None)  # beside a lease that was taken is nothing
                _log.info("lease_taken", system=system, holder=self.holder, token=lease.token)
        if lease is not None:
            self._held[system], self._renewed[system] = lease, now
        return lease

    def _leave(self, system: str) -> None:
        self._watched.pop(system, None)
        lease = self._held.pop(system, None)
        if lease is not None:
            try:
                self._own_leases.release(lease)
            except OritaError as error:
                _log.warning("lease_not_released", system=system, reason=str(error))

    def _looked(self, rollout: Rollout, lease: Lease, now: datetime) -> Acted:
        deployed = self._deployments.current(rollout.system)
        if deployed is None or deployed.version != rollout.champion:
            there = "nothing" if deployed is None else deployed.version
            reason = f"{there} is deployed since, not {rollout.champion}, which the rollout compares with."
            ended = self._rollouts.abort(rollout.system, rollout.id, actor=self._actor, reason=reason, lease=lease)
            return self._done(ended, "aborted", None)
        trouble = self._trouble.setdefault(rollout.system, _Trouble())
        if self._clock.monotonic() < trouble.until:
            return Acted(rollout, "nothing", None)
        watch = self._watch(rollout)
        try:
            # A long history takes longer than a lease: it is renewed after every piece.
            for look in watch.evidence.looks(watch.stages, now, lambda: self._leased(rollout.system)):
                watch.analysis.take(look)
                self._leased(rollout.system)
        except LeaseLost:
            raise
        except Exception:
            self._watched.pop(rollout.system, None)  # half of a reading is no evidence: begin anew
            raise
        trouble.failures = 0
        found = watch.analysis.judge(rollout, now)
        self._say(rollout, watch.evidence.trouble(now), Look.of(found, rollout, now))
        return self._act(rollout, watch.analysis, found, self._held.get(rollout.system, lease), now)

    def _watch(self, rollout: Rollout) -> _Watch:
        watch = self._watched.get(rollout.system)
        if watch is None or watch.rollout != rollout.id:
            names = self._names.get(rollout.system)
            evidence = Evidence(self._home, rollout, self._events, names, settle=self._settle)
            watch = _Watch(rollout.id, evidence, Analysis(rollout.plan, rollout.champion))
            self._watched[rollout.system] = watch
        if watch.stages_of != rollout.since:
            watch.stages = stages_of(self._rollouts.history(rollout.system), rollout.id)
            watch.stages_of = rollout.since
        return watch

    def _act(self, rollout: Rollout, analysis: Analysis, found: Finding, lease: Lease, now: datetime) -> Acted:
        if found.verdict == "roll_back":
            ended = self._rollouts.roll_back(
                rollout.system,
                rollout.id,
                actor=self._actor,
                reason=found.why,
                evidence=found.evidence,
                seen=rollout,
                lease=lease,
            )
            return self._done(ended, "rolled_back", found)
        if rollout.state == "paused":
            return Acted(rollout, "nothing", found)
        if found.verdict == "advance":
            return self._advance(rollout, found, lease)
        if rollout.verdict != found.verdict:
            rollout = self._rollouts.judge(
                rollout, found.verdict, found.why, actor=self._actor, evidence=found.evidence, lease=lease
            )
            return self._done(rollout, "judged", found)
        held = any(each.says == "beyond" for each in found.checks)
        due = (now - rollout.since).total_seconds() >= self._reweigh_seconds
        if rollout.plan.strategy == "bandit" and due and not held:
            return self._reweigh(rollout, analysis, found, lease)
        return Acted(rollout, "nothing", found)

    def _advance(self, rollout: Rollout, found: Finding, lease: Lease) -> Acted:
        actor, told = self._actor, found.evidence
        if rollout.last_step:
            ended = self._rollouts.promote(
                rollout.system, rollout.id, actor=actor, reason=found.why, evidence=told, seen=rollout, lease=lease
            )
            return self._done(ended, "promoted", found)
        moved = self._rollouts.advance(rollout, actor=actor, reason=found.why, evidence=told, lease=lease)
        return self._done(moved, "advanced", found)

    def _reweigh(self, rollout: Rollout, analysis: Analysis, found: Finding, lease: Lease) -> Acted:
        shares, wanted = rollout.shares, analysis.wanted_shares(rollout.plan.least_share)
        if wanted is None or max(abs(shares[version] - share) for version, share in wanted.items()) < _LEAST_MOVE:
            return Acted(rollout, "nothing", found)
        weights = {version: wanted[version] for version in rollout.plan.versions}
        why = "Shares follow how likely each version is to be the best."
        moved = self._rollouts.reweigh(
            rollout, weights, actor=self._actor, reason=why, evidence=found.evidence, lease=lease
        )
        return self._done(moved, "reweighted", found)

    def _done(self, rollout: Rollout, did: str, found: Finding | None) -> Acted:
        _log.info(
            f"rollout_{did}",
            system=rollout.system,
            rollout=rollout.id,
            step=rollout.step,
            shares=rollout.shares,
            verdict=None if found is None else found.verdict,
            why=rollout.why if found is None else found.why,
        )
        if did == "promoted" and self._registry is not None:
            self._registry.promoted(rollout.system)
        return Acted(rollout, did, found)

    def _failed(self, system: str) -> int:
        trouble = self._trouble.setdefault(system, _Trouble())
        trouble.failures += 1
        trouble.until = self._clock.monotonic() + min(2.0 ** (trouble.failures - 1), _MOST_PAUSE)
        return trouble.failures

    def _tell_of(self, rollout: Rollout, error: Exception) -> None:
        """Say beside the lease what keeps this controller from looking at a rollout."""
        try:
            self._say(rollout, trouble_of(error, self._clock.now()))
        except OritaError as also:  # control state is away, or the lease is lost: then nobody reads it there
            _log.warning("trouble_not_said", system=rollout.system, rollout=rollout.id, reason=str(also))

    def _say(self, rollout: Rollout, trouble: Trouble | None, look: Look | None = None) -> None:
        """Have beside the lease what is found: at once where it is another, else every few seconds."""
        lease, said, now = self._held.get(rollout.system), self._said.get(rollout.system), self._clock.monotonic()
        if lease is None:
            return
        before = said.note if said is not None and said.note.rollout == rollout.id else Note(rollout=rollout.id)
        if trouble is not None:
            trouble = trouble.going_on(before.trouble)
        note = Note(rollout=rollout.id, look=look or before.look, trouble=trouble)
        if note == before or (_gist(note) == _gist(before) and said is not None and now - said.at < _SAY_SECONDS):
            return
        self._own_leases.tell(lease, note.kept())
        self._said[rollout.system] = _Said(note, now)

    @property
    def _actor(self) -> str:
        return f"controller {self.holder}"


def _gist(note: Note) -> tuple[object, ...]:
    """Return what has to be known at once."""
    look, trouble = note.look, note.trouble
    return look and (look.since, look.acknowledged, look.verdict), trouble and trouble.remedy
