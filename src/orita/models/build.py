"""From a configuration to a ranker: the one place that knows every type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from orita.core.errors import UserError, closest
from orita.core.extras import require
from orita.models.config import HEADED_TYPES, ModelSection, TrainingSection
from orita.models.ranker import Ranker

__all__ = ["RANKERS", "build_ranker"]


def build_ranker(type_: str, model: ModelSection, training: TrainingSection) -> Ranker:
    """Return a ranker of *type_*, not yet fitted.

    Raises:
        UserError: there is no such type; the sentence lists those that exist; or it has one head and several are asked.
        MissingExtra: the library that trains it is not installed.
    """
    if type_ not in RANKERS:
        raise UserError(
            f"model.type has the value {type_!r}, allowed are {', '.join(RANKERS)}. {closest(type_, RANKERS)}"
        )
    if model.heads and type_ not in HEADED_TYPES:
        raise UserError(
            f"model.heads names {', '.join(model.heads)}, but the type {type_!r} has one head: choose among "
            f"{', '.join(HEADED_TYPES)}, also in 'beside', or leave model.heads out."
        )
    return RANKERS[type_](model, training)


def _two_tower(model: ModelSection, training: TrainingSection) -> Ranker:
    require("torch", extra="train")
    from orita.models.neural import NeuralRanker
    from orita.models.two_tower import TwoTower

    return NeuralRanker("two_tower", TwoTower, model, training)


def _deep_mlp(model: ModelSection, training: TrainingSection) -> Ranker:
    require("torch", extra="train")
    from orita.models.deep_mlp import DeepMlp
    from orita.models.neural import NeuralRanker

    return NeuralRanker("deep_mlp", DeepMlp, model, training)


def _dcn_v2(model: ModelSection, training: TrainingSection) -> Ranker:
    require("torch", extra="train")
    from orita.models.cross_network import CrossNetwork
    from orita.models.neural import NeuralRanker

    return NeuralRanker("dcn_v2", CrossNetwork, model, training)


def _linear(model: ModelSection, training: TrainingSection) -> Ranker:
    require("torch", extra="train")
    from orita.models.linear import Linear
    from orita.models.neural import NeuralRanker

    return NeuralRanker("linear", Linear, model, training)


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
        "two_tower": _two_tower,
        "deep_mlp": _deep_mlp,
        "dcn_v2": _dcn_v2,
        "linear": _linear,
        "lightgbm": _lightgbm,
        "lambdamart": _lambdamart,
        "factor_blend": _factor_blend,
        "popularity": _popularity,
    }
)
