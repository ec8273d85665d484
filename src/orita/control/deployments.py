"""Which version of a system answers, since when, by whom and why.

The state is a list of events that only grows. The *lineage* is what it amounts to: the versions in the order
in which they became champion, without those that were taken back. A deployment puts a version on top of the
lineage; a rollback takes the top off. So after A, B and a rollback, A answers and nothing lies below it: B
was taken back, it is not "previous". Deploying the previous version is going back, however it is spelled, and
is recorded as a rollback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from orita.control.aggregates import Change, Decisions, Keeper, Kind
from orita.control.events import Conflict, ControlEvent
from orita.core.errors import NotFound, UserError, closest

__all__ = [
    "DEPLOYMENT",
    "Deployment",
    "DeploymentConflict",
    "DeploymentState",
    "Deployments",
    "champion_within",
    "deploy_within",
    "lineage",
]

Way = Literal["deploy", "rollback"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


class DeploymentConflict(Conflict):
    """Somebody deployed since the caller looked; the sentence says what is there now."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One change of champion.

    Attributes:
        sequence: 1, 2, 3 … for each system of a tenant.
        system: whose champion changed.
        version: what answers from then on, such as ``v1.2.3``.
        at: when, in UTC.
        actor: who did it.
        reason: why, in words.
        kind: ``deploy``, or ``rollback`` when it took back what was there.
    """

    sequence: int
    system: str
    version: str
    at: datetime
    actor: str
    reason: str
    kind: Way = "deploy"


class Deployed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an event: what answers from then on, and whether that went back."""

    version: str
    kind: Way


class DeploymentState(msgspec.Struct, frozen=True):
    """What the deployments of a system amount to: the latest one, and the lineage."""

    latest: Deployment
    lineage: tuple[str, ...]


def _evolve(state: DeploymentState | None, event: ControlEvent, body: Any) -> DeploymentState:
    made = _deployment(event, msgspec.convert(body, Deployed))
    return DeploymentState(made, _onward(state.lineage if state is not None else (), made))


DEPLOYMENT = Kind("deployment", DeploymentState, ("deployed",), _evolve, goes_back="orita models promote VERSION")


class Deployments(Keeper[DeploymentState]):
    """The deployments of one tenant's systems; opened as every `Keeper` is."""

    kind = DEPLOYMENT

    def deploy(
        self, system: str, version: str, *, actor: str, reason: str, expected_sequence: int | None = None
    ) -> Deployment:
        """Make *version* the champion of *system*.

        Args:
            system: letters, digits, ``.``, ``_``, ``+``, ``-``; likewise *version*.
            version: the name of a package in the package store.
            actor: who deploys.
            reason: why.
            expected_sequence: the sequence the caller last saw (0: nothing deployed); None: do not check.

        Raises:
            DeploymentConflict: the sequence is not the expected one.
            UserError: a name is not allowed.
        """
        with self._of.changing(system) as change:
            _check_sequence(system, change, expected_sequence)
            return _deployed(change, system, version, actor, reason)

    def rollback(
        self,
        system: str,
        *,
        actor: str,
        reason: str,
        to: str | None = None,
        expected_sequence: int | None = None,
    ) -> Deployment:
        """Take the champion back: to the version before it, or down to version *to* of the lineage.

        Raises:
            NotFound: there is no earlier version, or *to* is not among them.
            DeploymentConflict: the sequence is not the expected one.
        """
        with self._of.changing(system) as change:
            _check_sequence(system, change, expected_sequence)
            earlier = change.state.lineage[:-1] if change.state is not None else ()
            if not earlier:
                raise NotFound(f"system {system!r} has no earlier version to go back to: deploy one first.")
            if to is not None and to not in earlier:
                raise NotFound(f"version {to!r} was not champion of {system!r} before. {closest(to, earlier)}")
            return _record(change, Deployed(to or earlier[-1], "rollback"), actor, reason)

    def current(self, system: str) -> Deployment | None:
        """Return the last change of champion of *system*, None before the first."""
        held = self._of.get(system)
        return None if held is None else held.state.latest

    def history(self, system: str) -> list[Deployment]:
        """Return every change of champion of *system*, oldest first."""
        return [
            _deployment(event, msgspec.json.decode(event.body, type=Deployed)) for event in self._of.history(system)
        ]

    def previous(self, system: str) -> str | None:
        """Return the version that a rollback goes to: champion before the current one became champion."""
        versions = self.lineage(system)
        return versions[-2] if len(versions) > 1 else None

    def lineage(self, system: str) -> list[str]:
        """Return the versions of *system* in the order they became champion, those taken back left out."""
        held = self._of.get(system)
        return [] if held is None else list(held.state.lineage)

    def systems(self) -> list[str]:
        """Return the names of the systems that were ever deployed."""
        return self._of.log.names(DEPLOYMENT.name)


def deploy_within(decisions: Decisions, system: str, version: str, *, actor: str, reason: str) -> Deployment:
    """Make *version* the champion of *system*, in a transaction in which other things are decided too.

    Raises:
        UserError: a name is not allowed.
    """
    return _deployed(decisions.of(DEPLOYMENT, system), system, version, actor, reason)


def champion_within(decisions: Decisions, system: str) -> str | None:
    """Return the version that is deployed as a transaction sees it, None where none is."""
    state = decisions.of(DEPLOYMENT, system).state
    return None if state is None else state.latest.version


def lineage(events: Iterable[Deployment]) -> list[str]:
    """Return the versions that *events*, oldest first, leave behind, in the order they became champion."""
    versions: tuple[str, ...] = ()
    for event in events:
        versions = _onward(versions, event)
    return list(versions)


def _onward(versions: tuple[str, ...], made: Deployment) -> tuple[str, ...]:
    if made.kind == "deploy":
        return versions if versions[-1:] == (made.version,) else (*versions, made.version)
    versions = versions[:-1]  # first, so that of A, B, A going back to A ends at the first A
    while versions and versions[-1] != made.version:
        versions = versions[:-1]
    return versions


def _deployed(change: Change[DeploymentState], system: str, version: str, actor: str, reason: str) -> Deployment:
    _check_name("system", system)
    _check_name("version", version)
    back = change.state is not None and change.state.lineage[-2:-1] == (version,)
    return _record(change, Deployed(version, "rollback" if back else "deploy"), actor, reason)


def _record(change: Change[DeploymentState], deployed: Deployed, actor: str, reason: str) -> Deployment:
    return _deployment(change.record("deployed", deployed, actor=actor, reason=reason), deployed)


def _deployment(event: ControlEvent, deployed: Deployed) -> Deployment:
    return Deployment(event.version, event.name, deployed.version, event.at, event.actor, event.reason, deployed.kind)


def _check_name(field: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{field} {name!r} is not a name: use 1 to 128 letters, digits, '.', '_', '+' or '-', "
            "starting with a letter or digit."
        )


def _check_sequence(system: str, change: Change[DeploymentState], expected: int | None) -> None:
    if expected is None or expected == change.version:
        return
    latest = change.state.latest if change.state is not None else None
    there = f"{latest.version} by {latest.actor}" if latest is not None else "nothing deployed"
    raise DeploymentConflict(
        f"system {system!r} is at sequence {change.version} ({there}), expected {expected}: "
        "look at what was deployed meanwhile, then decide again."
    )
