"""What a request may say of its objective: weights of heads, each within bounds that the configuration declares.

What a caller weighs decides what people are shown, so nothing may be weighed that was not declared, and nothing beyond.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from orita.core.errors import UserError, closest
from orita.models.objectives import Head, check_objective
from orita.serving.http.refusal import Refused
from orita.serving.protocols import PackageLoader, ScoringPackage

__all__ = ["asked_objective", "telling_of_bounds"]

_log = structlog.stdlib.get_logger("orita.serving")


def telling_of_bounds(load: PackageLoader, bounds: Mapping[str, tuple[float, float]]) -> PackageLoader:
    """Return *load*, telling the log of *bounds* for what is no head of the package: they let nobody weigh anything."""

    def load_and_tell(folder: Path) -> ScoringPackage:
        package = load(folder)
        heads = [head.name for head in package.heads] if bounds else []
        if unknown := [name for name in bounds if name not in heads]:
            _log.warning("objective_bounds_of_no_head", version=package.version, bounds=unknown, heads=heads)
        return package

    return load_and_tell


def asked_objective(
    asked: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    heads: Sequence[Head],
    own: Mapping[str, float],
) -> dict[str, float]:
    """Return what one unit of each head is worth in this request: as *asked*, and else as the model declares.

    Args:
        asked: weights by head.
        bounds: which heads may be weighed, and between which weights; another head may be named with its own weight.
        heads: the heads of the model that answers.
        own: the weights that the model declares; a head that is not among them weighs 0.

    Raises:
        Refused: 422, no bounds are declared for a head, a weight lies beyond them, or the model cannot be weighed so.
    """
    if not bounds:
        message = "objective cannot be given here: serving.objective_bounds declares no head that a request may weigh."
        raise Refused(422, "objective_not_allowed", message)
    if not heads:
        raise Refused(
            422, "objective_not_allowed", "the model that answers has one head, so there is nothing to weigh."
        )
    names = [head.name for head in heads]
    for name, weight in asked.items():
        if name not in names:
            message = f"objective weighs {name[:80]!r}, which is no head of the model. {closest(name[:80], names)}"
            raise Refused(422, "invalid_value", message)
        _check_bounds(name, weight, bounds, own.get(name, 0.0))
    weights = {name: float(asked.get(name, own.get(name, 0.0))) for name in names}
    try:
        check_objective(weights, heads)
    except UserError as error:
        raise Refused(422, "invalid_value", str(error)) from None
    return weights


def _check_bounds(name: str, weight: float, bounds: Mapping[str, tuple[float, float]], own: float) -> None:
    if name in bounds:
        low, high = bounds[name]
        if not low <= weight <= high:
            message = f"objective.{name} has the value {weight:g}, allowed are weights from {low:g} to {high:g}."
            raise Refused(422, "invalid_value", message)
    elif weight != own:
        message = (
            f"objective.{name} has the value {weight:g}, and serving.objective_bounds declares no bounds for it: leave "
            f"it out, or give the model's own weight, {own:g}."
        )
        raise Refused(422, "objective_not_allowed", message)
