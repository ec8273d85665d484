"""Experiments as control state keeps them: declared, started, stopped; every step with who, when and why.

What an experiment has taken of its layer is in its state, so the layer is what the running experiments of that name
have taken. A stopped experiment does not start again: its key is the salt of its split, so the same users would be in
it, with what it has done to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from orita.control.aggregates import Change, Decisions, Held, Keeper, deciding
from orita.control.events import ControlEvent
from orita.core.errors import NotFound, UserError, closest
from orita.delivery.assignment.experiments import Experiment
from orita.delivery.assignment.layers import Layer
from orita.delivery.experiments.changes import check_change
from orita.delivery.experiments.declarations import ExperimentFile, PredictionSource
from orita.delivery.experiments.life import EXPERIMENT, KeptExperiment, Started, Stopped
from orita.delivery.experiments.rollout_splits import RolloutSplit, find_rollout, split_to_measure
from orita.delivery.rollouts.rollout import ROLLOUT
from orita.delivery.rollouts.rollouts import Rollouts, experiment_of

__all__ = ["Experiments"]


class Experiments(Keeper[KeptExperiment]):
    """The experiments of one tenant; opened as every `Keeper` is."""

    kind = EXPERIMENT

    def get(self, key: str) -> Held[KeptExperiment]:
        """Return an experiment.

        Raises:
            NotFound: there is none of that key.
        """
        return self._of.known(key)

    def all(self) -> dict[str, Held[KeptExperiment]]:
        """Return the experiments by key."""
        return self._of.all()

    def history(self, key: str) -> list[ControlEvent]:
        """Return what was decided of an experiment, the first first."""
        return self._of.history(key)

    def layer(self, name: str) -> Layer:
        """Return a layer as the running experiments have taken it."""
        return _layer(name, {key: held.state for key, held in self.all().items()})

    def assignment(self, key: str) -> Experiment:
        """Return what assigns the units of a running experiment; of one on the prediction log its rollout.

        Raises:
            NotFound: there is none of that key, or its rollout is kept no more.
            UserError: it does not run, or its rollout does not any more.
        """
        kept = self.get(key).state
        if kept.status != "running":
            raise UserError(f"experiment {key!r} is {kept.status}, and assigns nobody: start it first.")
        if isinstance(kept.plan.exposures, PredictionSource):
            states = Rollouts(self.log.database, self.log.tenant).all()
            rollout = find_rollout(states, kept.plan.exposures.rollout)
            if rollout.ended:
                raise UserError(
                    f"rollout {rollout.id} is {rollout.state}, and assigns nobody: stop experiment {key!r}."
                )
            return experiment_of(rollout)
        return kept.plan.assignment(None if kept.plan.layer is None else self.layer(kept.plan.layer.name))

    def declare(self, file: ExperimentFile, *, actor: str, reason: str) -> list[ControlEvent]:
        """Make experiments what *file* says, all or none; those that are so already get no event.

        Raises:
            UserError: one of that key has run before, or runs and would move users or be judged by another rule.
            Unavailable: the database is away or busy.
        """
        made: list[ControlEvent] = []
        with deciding(self.log) as decisions:
            for plan in file.experiments:
                change = decisions.of(EXPERIMENT, plan.key)
                if change.state is not None and change.state.plan == plan:
                    continue
                if change.state is not None and change.state.status == "running":
                    check_change(change.state.plan, plan)
                elif any(event.type == "started" for event in change.history()):
                    raise UserError(
                        f"experiment {plan.key!r} has run before, and its key would split the same users in the same "
                        "way: declare this one under a new key."
                    )
                made.append(change.record("declared", plan, actor=actor, reason=reason))
        return made

    def start(self, key: str, *, actor: str, reason: str = "", at: datetime | None = None) -> ControlEvent:
        """Start a draft: from then on exposures count, and its share of a layer is its own.

        Args:
            key: which.
            actor, reason: who starts it, and why.
            at: when it began, if it is assigned elsewhere and began before; by default now.

        Raises:
            NotFound: there is no such experiment.
            UserError: it is no draft, its layer has not as much free, or *at* is not over yet; its rollout is not
                there, or splits users otherwise than it says.
            Unavailable: the database is away or busy.
        """
        with deciding(self.log) as decisions:
            change, state = _known(decisions, key)
            if state.status != "draft":
                raise UserError(f"experiment {key!r} is {state.status}: only a draft can be started.{_AGAIN}")
            begun = at or change.at
            if begun > change.at:
                raise UserError(f"experiment {key!r} cannot start at {begun.isoformat()}, which is not over yet.")
            slices: tuple[tuple[int, int], ...] = ()
            if (share := state.plan.layer) is not None:
                layer = _layer(share.name, decisions.states(EXPERIMENT)).allocate(key, share.percent)
                slices = layer.slices[key]
            started = Started(at=begun, slices=slices, rollout=_split(decisions, state, begun))
            return change.record("started", started, actor=actor, reason=reason)

    def stop(
        self, key: str, *, actor: str, reason: str, winner: str | None = None, at: datetime | None = None
    ) -> ControlEvent:
        """Stop a running experiment: later exposures do not count; outcomes of earlier ones still come in.

        Args:
            key: which.
            actor, reason: who stops it, and why; it is its conclusion.
            winner: the variant that was chosen, None for none.
            at: when it ended, if it is assigned elsewhere and ended before; by default now.

        Raises:
            NotFound: there is no such experiment.
            UserError: it does not run, *winner* is no variant, or *at* is not between its start and now.
            Unavailable: the database is away or busy.
        """
        with deciding(self.log) as decisions:
            change, state = _known(decisions, key)
            if state.status != "running" or state.started_at is None:
                raise UserError(f"experiment {key!r} is {state.status}: only a running one can be stopped.")
            if winner is not None and winner not in state.plan.weights:
                raise UserError(
                    f"the winner {winner!r} is no variant of experiment {key!r}. {closest(winner, state.plan.weights)}"
                )
            ended = at or change.at
            if not state.started_at < ended <= change.at:
                raise UserError(
                    f"experiment {key!r} cannot stop at {ended.isoformat()}: it must lie after its start, "
                    f"{state.started_at.isoformat()}, and not after now."
                )
            return change.record("stopped", Stopped(at=ended, winner=winner), actor=actor, reason=reason)

    def remove(self, key: str, *, actor: str, reason: str = "") -> ControlEvent:
        """Remove an experiment that does not run; its history stays.

        Raises:
            NotFound: there is no such experiment.
            UserError: it runs.
            Unavailable: the database is away or busy.
        """
        with deciding(self.log) as decisions:
            change, state = _known(decisions, key)
            if state.status == "running":
                raise UserError(f"experiment {key!r} is running: stop it first.")
            return change.record("removed", {}, actor=actor, reason=reason)


_AGAIN = " To run it again, declare it under a new key."


def _known(decisions: Decisions, key: str) -> tuple[Change[KeptExperiment], KeptExperiment]:
    change = decisions.of(EXPERIMENT, key)
    if change.state is None:
        raise NotFound(f"there is no experiment {key!r}. {closest(key, decisions.states(EXPERIMENT))}")
    return change, change.state


def _split(decisions: Decisions, state: KeptExperiment, begun: datetime) -> RolloutSplit | None:
    exposures = state.plan.exposures
    if not isinstance(exposures, PredictionSource):
        return None
    try:
        rollout = find_rollout(decisions.states(ROLLOUT), exposures.rollout)
        return split_to_measure(state.plan, rollout, begun)
    except UserError as error:
        raise UserError(f"experiment {state.plan.key!r} cannot start: {error}") from None


def _layer(name: str, states: Mapping[str, KeptExperiment]) -> Layer:
    taken: Iterable[tuple[str, KeptExperiment]] = states.items()
    slices = {
        key: state.slices
        for key, state in taken
        if state.slices and state.plan.layer is not None and state.plan.layer.name == name
    }
    return Layer(name, slices=slices)
