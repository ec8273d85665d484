"""From a configuration to a ranker: the one place that knows every type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from orita.core.errors import UserError, nearest
from orita.core.extras import require
from orita.models.config import HEADED_TYPES, ModelSection, TrainingSection
from orita.models.objectives import HasHeads
from orita.models.own_rankers import Maker, make_own
from orita.models.ranker import Ranker

__all__ = ["RANKERS", "build_ranker"]


def build_ranker(
    type_: str, model: ModelSection, training: TrainingSection, own: Mapping[str, Maker] = MappingProxyType({})
) -> Ranker:
    """Return a ranker of *type_*, not yet fitted.

    Args:
        type_: which type.
        model, training: the configuration.
        own: what makes rankers of the user's own types (`System.own_rankers`), by type.

    Raises:
        UserError: there is no such type; the sentence lists those that exist; or it has one head and several are asked;
            or one of the user's own cannot be made with its parameters.
        MissingExtra: the library that trains it is not installed.
    """
    known = (*RANKERS, *own)
    if type_ not in known:
        near = nearest(type_, known)
        meant = f" Did you mean {near!r}?" if near else ""
        raise UserError(f"model.type has the value {type_!r}, allowed are {', '.join(known)}.{meant}")
    made = make_own(type_, own[type_], model.parameters.get(type_, {})) if type_ in own else None
    if model.heads and type_ not in HEADED_TYPES and not isinstance(made, HasHeads):
        raise UserError(
            f"model.heads names {', '.join(model.heads)}, but the type {type_!r} has one head: choose among "
            f"{', '.join(HEADED_TYPES)}, also in 'beside', or leave model.heads out."
        )
    return RANKERS[type_](model, training) if made is None else made


def _neural(type_: str, model: ModelSection, training: TrainingSection) -> Ranker:
    require("torch", extra="train")
    from orita.models.networks import NETWORKS
    from orita.models.neural import NeuralRanker

    return NeuralRanker(type_, NETWORKS[type_], model, training)


def _lightgbm(model: ModelSection, training: TrainingSection) -> Ranker:
    require("lightgbm", extra="train")
    from orita.models.gradient_boosting import GradientBoosting

    return GradientBoosting(model)


def _lambdamart(model: ModelSection, training: TrainingSection) -> Ranker:
    require("lightgbm", extra="train")
    from orita.models.lambdamart import LambdaMart

    return LambdaMart(model)


def _factor_blend(model: ModelSection, training: TrainingSection) -> Ranker:
    from orita.models.factor_blend import FactorBlend

    return FactorBlend(model.factors, {type_: RANKERS[type_](model, training) for type_ in model.factors.members})


def _popularity(model: ModelSection, training: TrainingSection) -> Ranker:
    from orita.models.popularity import Popularity

    return Popularity(model)


RANKERS: Mapping[str, Callable[[ModelSection, TrainingSection], Ranker]] = MappingProxyType(
    {
        **{type_: partial(_neural, type_) for type_ in ("two_tower", "deep_mlp", "dcn_v2", "linear")},
        "lightgbm": _lightgbm,
        "lambdamart": _lambdamart,
        "factor_blend": _factor_blend,
        "popularity": _popularity,
    }
)
