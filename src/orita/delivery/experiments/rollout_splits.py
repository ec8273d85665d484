"""Experiments on the prediction log: a rollout's dice choose the variants there, so the rollout says who gets what.

An experiment needs shares that stand still. What it measures is one split of one rollout, kept with its start: answers
that another split chose do not count, and where the shares change, or the rollout ends, the experiment's time is over,
as then units get another variant within their windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from orita.core.errors import NotFound, UserError, closest
from orita.core.home import Home
from orita.delivery.assignment.split import points_of
from orita.delivery.experiments.declarations import ExperimentPlan, PredictionSource
from orita.delivery.rollouts.rollout import Rollout, SystemRollouts
from orita.delivery.rollouts.rollouts import Rollouts

__all__ = ["RolloutSplit", "check_left_to_rollout", "find_rollout", "split_changed_at", "split_to_measure"]

_LEFT_TO_ROLLOUT = ("layer", "audience", "overrides")
_STILL = ("ab", "segment")
_CHANGES = ("advanced", "reweighted", "promoted", "aborted", "rolled_back")


class RolloutSplit(Struct, frozen=True, kw_only=True):
    """The split of a rollout that an experiment measures.

    Attributes:
        system: whose rollout it is.
        since: when the split began; the log has it with each answer that the dice chose.
        overriding: challengers that overrides of the rollout give: where the log has them without the rollout, no dice
            chose.
    """

    system: str
    since: datetime
    overriding: tuple[str, ...] = ()


def check_left_to_rollout(plan: ExperimentPlan) -> None:
    """Refuse what an experiment on the prediction log cannot say, as the rollout decides it.

    Raises:
        UserError: it says it.
    """
    assert isinstance(plan.exposures, PredictionSource)
    if plan.by not in ("user_id", ("user_id",)):
        raise UserError(f"the prediction log knows users by user_id, and by is {plan.by!r}: leave by out.")
    for field in _LEFT_TO_ROLLOUT:
        if getattr(plan, field):
            instead = "rollouts have none" if field == "layer" else f"declare {field} in the plan of the rollout"
            raise UserError(
                f"{field} is given, and of the prediction log it is the rollout that says who gets what: leave {field} "
                f"out; {instead}."
            )


def find_rollout(states: Mapping[str, SystemRollouts], id_: str) -> Rollout:
    """Return a rollout by its whole id.

    Args:
        states: the rollouts of each system.
        id_: as ``exposures.rollout`` says it.

    Raises:
        NotFound: there is none, or it ended too long ago to be kept.
    """
    for state in states.values():
        if (found := state.find(id_)) is not None:
            return found
    known = [each.id for state in states.values() for each in (*state.live, *state.ended)]
    raise NotFound(f"exposures.rollout is {id_!r}, and there is no such rollout. {closest(id_, known)}")


def split_to_measure(plan: ExperimentPlan, rollout: Rollout, begun: datetime) -> RolloutSplit:
    """Return the split of *rollout* that an experiment that began at *begun* measures.

    Raises:
        UserError: the plan says what the rollout decides, or something else than the rollout does; the shares of the
            rollout move by themselves, or were others when the experiment began.
    """
    check_left_to_rollout(plan)
    declared = rollout.plan
    if declared.strategy not in _STILL:
        raise UserError(
            f"rollout {rollout.id} is a {declared.strategy}, and an experiment needs shares that stand still: take a "
            f"rollout of the strategy {' or '.join(_STILL)}."
        )
    if declared.by != ("user_id",):
        raise UserError(f"rollout {rollout.id} splits by {', '.join(declared.by)}, and an experiment on it by user_id.")
    shares = {version: share for version, share in rollout.shares.items() if share > 0}
    if len(shares) < 2:
        raise UserError(
            f"rollout {rollout.id} gives everybody {', '.join(shares)}: there is nobody to compare them with."
        )
    if _points(shares) != _points(plan.weights):
        raise UserError(
            f"variants are {_told(plan.weights)}, and rollout {rollout.id} gives {_told(shares)}: declare its versions "
            "with their shares."
        )
    if other := [each for each in plan.holdouts if each not in declared.holdouts]:
        raise UserError(
            f"the holdout {other[0].name!r} of {other[0].percent:g} % is none of rollout {rollout.id}, which keeps "
            f"nobody out for it. {closest(other[0].name, [each.name for each in declared.holdouts])}"
        )
    _check_time(rollout, begun)
    overriding = sorted({each.variant for each in declared.overrides} - {rollout.champion})
    return RolloutSplit(system=rollout.system, since=rollout.since, overriding=tuple(overriding))


def split_changed_at(home: Home, id_: str, split: RolloutSplit) -> datetime | None:
    """Return when the shares of a rollout changed, or it ended, after *split* began; None: they are so still."""
    return next(
        (
            event.at
            for event in Rollouts(home.control, home.tenant).history(split.system)
            if event.type in _CHANGES and event.at > split.since and msgspec.json.decode(event.body)["id"] == id_
        ),
        None,
    )


def _check_time(rollout: Rollout, begun: datetime) -> None:
    if begun < rollout.since:
        raise UserError(
            f"the experiment cannot start at {begun.isoformat()}: rollout {rollout.id} has these shares since "
            f"{rollout.since.isoformat()}."
        )
    if rollout.ended_at is not None and begun >= rollout.ended_at:
        raise UserError(
            f"rollout {rollout.id} is {rollout.state} since {rollout.ended_at.isoformat()}: an experiment on what it "
            "was is started with a time before (--at)."
        )


def _points(weights: Mapping[str, float]) -> dict[str, int]:
    return {name: points_of(f"the weight of {name!r}", weight) for name, weight in weights.items()}


def _told(weights: Mapping[str, float]) -> str:
    parts: Iterable[str] = (f"{name} {weight:g} %" for name, weight in weights.items())
    return ", ".join(parts)
