"""What can be decided of rollouts, in threads: they read files, control state and the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from orita.control.events import Conflict
from orita.core.clock import Clock
from orita.core.errors import NotFound, OritaError, Unavailable, UserError, closest
from orita.core.home import Home
from orita.delivery.rollouts.acknowledgements import check_names, holding
from orita.delivery.rollouts.checking import check_metric
from orita.delivery.rollouts.plan import RolloutPlan
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.rollouts import Rollouts
from orita.delivery.rollouts.standing import Standing, Standings
from orita.serving.access.callers import Caller
from orita.serving.features.jobs import BoundedWork
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused
from orita.serving.models.verified import load_beside_requests
from orita.serving.protocols import FeatureSource, PackageLoader
from orita.serving.resources.catalogue import ModelCatalogue
from orita.serving.resources.known import KnownModel, ModelRegistry

__all__ = ["Command", "RolloutDecisions"]

_log = structlog.stdlib.get_logger("orita.serving")

T = TypeVar("T")

Command = Callable[[Rollouts, Rollout, str], Rollout]
"""Decides something of a rollout; the text is who does."""

_RETRY_SECONDS = 1


class RolloutDecisions:
    """Reads and changes the rollouts of one system.

    Args:
        home: where packages and control state are.
        system: whose rollouts may be changed; those of others are told.
        features: must know what a version reads.
        load: opens a package.
        registry: publishes packages; None: those that are in the package store can be tried.
        clock: the time.
        outcomes: types of the columns of interactions, by which a version can be judged; None: any.
    """

    def __init__(
        self,
        home: Home,
        system: str,
        features: FeatureSource,
        load: PackageLoader,
        registry: ModelRegistry | None,
        clock: Clock,
        outcomes: Mapping[str, str] | None = None,
    ) -> None:
        self._outcomes = outcomes
        self._system, self._features, self._load, self._registry = system, features, load, registry
        self._folder = home.packages / system
        self._catalogue = ModelCatalogue(home, system, clock, registry)
        self._rollouts = Rollouts(home.control, home.tenant, clock)
        self._standings = Standings(home.control, home.tenant, clock)
        self._reading = BoundedWork(2, 64, "rollouts_busy")
        self._changing = BoundedWork(1, 8, "rollouts_busy")

    async def all(self, system: str | None) -> list[Standing]:
        """Return how the rollouts of *system* stand, or those of all."""

        def found() -> list[Standing]:
            of_system = {name: state for name, state in self._rollouts.all().items() if system in (None, name)}
            kept = [rollout for state in of_system.values() for rollout in (*state.live, *state.ended)]
            return self._standings.each(kept)

        return await self._done(self._reading, found)

    async def get(self, id_: str) -> Standing:
        """Return how one stands.

        Raises:
            Refused: 404, there is none.
        """
        return await self._done(self._reading, lambda: self._standings.of(self._found(id_)))

    async def start(self, plan: RolloutPlan, reason: str, caller: Caller) -> Standing:
        """Begin a rollout, after it was checked, its packages published and verified; return how it stands.

        Raises:
            Refused: 409, another is under way, or a version cannot be tried; 422, there is no such version, or the plan
                is wrong.
        """

        def start() -> Standing:
            known = {model.version: model for model in self._catalogue.all()}
            for version in plan.versions:
                self._check_known(version, known)
            with _planning():
                if self._outcomes is not None:
                    check_metric(plan, self._outcomes)
                self._rollouts.check(self._system, plan)  # before packages are verified, which takes its time
            for version in plan.versions:
                self._make_ready(known[version])
            with _planning():
                rollout = self._rollouts.start(self._system, plan, actor=caller.name, reason=reason)
            return self._standings.of(rollout)

        return await self._done(self._changing, start)

    async def change(self, id_: str, command: Command, caller: Caller) -> Standing:
        """Decide something of a rollout under way; return how it stands then.

        Raises:
            Refused: 404, there is no such rollout; 409, it cannot be decided now, or the rollout is of another system.
        """
        return await self._done(self._changing, partial(self._changed, id_, command, caller))

    async def acknowledge(self, id_: str, checks: Sequence[str], reason: str, caller: Caller) -> Standing:
        """Record that *checks*, or all that hold the rollout now, were looked at and are meant.

        Raises:
            Refused: as `change`; 409, a check does not hold it; 422, there is no such check that could.
        """

        def acknowledged(rollouts: Rollouts, rollout: Rollout, actor: str) -> Rollout:
            beyond = holding(rollout, self._standings.of(rollout).evidence, checks)
            return rollouts.acknowledge(rollout, beyond, actor=actor, reason=reason)

        try:
            check_names(checks)
        except UserError as error:
            raise Refused(422, "invalid_value", str(error)) from None
        return await self.change(id_, acknowledged, caller)

    async def promote(self, id_: str, version: str | None, reason: str, caller: Caller) -> Standing:
        """Make a version the champion; the registry's alias follows, as far as there is a registry.

        Raises:
            Refused: as `change`.
        """

        def promoted(rollouts: Rollouts, rollout: Rollout, actor: str) -> Rollout:
            return rollouts.promote(rollout.system, rollout.id, version=version, actor=actor, reason=reason)

        def promote() -> Standing:
            standing = self._changed(id_, promoted, caller)
            if self._registry is not None and standing.winner is not None:
                self._follow(self._registry, standing.winner)
            return standing

        return await self._done(self._changing, promote)

    def _changed(self, id_: str, command: Command, caller: Caller) -> Standing:
        rollout = self._found(id_)
        if rollout.system != self._system:
            message = f"rollout {rollout.id} is of the system {rollout.system!r}: ask a server of that."
            raise Refused(409, "other_system", message)
        try:
            return self._standings.of(command(self._rollouts, rollout, caller.name))
        except UserError as error:
            raise Refused(409, "rollout_refused", str(error)) from None

    def _found(self, id_: str) -> Rollout:
        for state in self._rollouts.all().values():
            rollout = state.find(id_)
            if rollout is not None:
                return rollout
        raise NotFound(f"there is no rollout {id_[:80]!r}: GET /api/v1/rollouts lists them.")

    def _check_known(self, version: str, known: Mapping[str, KnownModel]) -> None:
        if version not in known:
            message = f"plan.versions has {version[:80]!r}: there is no such model. {closest(version[:80], known)}"
            raise Refused(422, "invalid_value", message)

    def _make_ready(self, model: KnownModel) -> None:
        """Have a version in the package store, whole, and of features that are known.

        Raises:
            Refused: 409, it cannot be.
        """
        try:
            self._publish(model)
            package = load_beside_requests(self._load, self._folder / model.version, model.version)
            self._features.reader(package.schema)
        except UserError as error:
            raise Refused(409, "version_not_ready", f"{model.version} cannot be tried: {error}") from None

    def _publish(self, model: KnownModel) -> None:
        if model.stage == "retired":
            raise UserError("it is retired, put it to the stage 'available' first.")
        if (self._folder / model.version).is_dir():
            return
        if self._registry is None:
            raise UserError(f"it is not published: 'orita models publish {model.version}' does that.")
        self._registry.publish(model.version)

    def _follow(self, registry: ModelRegistry, version: str) -> None:
        try:
            registry.publish(version)  # which begins by letting the alias follow what is deployed
        except OritaError as error:
            _log.warning("registry_not_followed", version=version, error=str(error))

    async def _done(self, line: BoundedWork, work: Callable[[], T]) -> T:
        """Return what *work* answers in a thread.

        Raises:
            Refused: it refuses, or control state or the registry cannot be had.
        """
        try:
            return await line.run(work)
        except Refused:
            raise
        except NotFound as error:
            raise Refused(404, "rollout_not_found", str(error)) from None
        except (Unavailable, SQLAlchemyError, OSError) as error:
            _log.error("rollouts_unavailable", alert=True, error=repr(error))
            message = "rollouts cannot be read or changed now; the server's log has the reason."
            raise Refused(503, "rollouts_unavailable", message, retry_after=_RETRY_SECONDS) from None
        except Exception as error:  # the edge: the caller gets the documented form, the log the trace
            raise failure("rollouts_failed", error) from None


@contextmanager
def _planning() -> Iterator[None]:
    """Refuse what is said of a plan."""
    try:
        yield
    except Conflict as error:
        raise Refused(409, "rollout_under_way", str(error)) from None
    except UserError as error:
        raise Refused(422, "invalid_plan", str(error)) from None
