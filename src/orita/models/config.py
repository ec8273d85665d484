"""The keys of ``model_config.yaml``: which model, how it is trained, how it is judged."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from orita.core.config import Section
from orita.core.errors import closest

__all__ = [
    "HEADED_TYPES",
    "MODEL_TYPES",
    "EarlyStoppingSection",
    "EvaluationSection",
    "FactorsSection",
    "HeadSection",
    "LightGBMSection",
    "MetricName",
    "ModelSection",
    "ModelType",
    "PopularitySection",
    "TrainingSection",
    "is_metric",
    "metric_at_k",
    "with_own_types",
]

MetricName = Literal[
    "auc",
    "log_loss",
    "precision_at_10",
    "accuracy",
    "ndcg_at_10",
    "recall_at_10",
    "map",
    "mrr",
    "calibration_error",
    "average_precision",
    "brier_score",
    "coverage_at_10",
    "novelty_at_10",
]
"""The usual figures; those at 10 exist at every k from 1 to 10,000: ``ndcg_at_5`` (`metric_at_k`)."""


def metric_at_k(name: str) -> tuple[str, int] | None:
    """Part a name such as ``ndcg_at_5`` into the figure and its k; None for a figure without a k, or no figure."""
    stem, _, digits = name.rpartition("_at_")
    if f"{stem}_at_10" not in get_args(MetricName) or not digits.isdecimal() or len(digits) > 5:
        return None
    k = int(digits)
    return (stem, k) if 1 <= k <= 10_000 and str(k) == digits else None


def is_metric(name: str) -> bool:
    """Tell whether *name* is a figure that an evaluation can give."""
    return name in get_args(MetricName) or metric_at_k(name) is not None


def _known_metric(name: str) -> str:
    if not is_metric(name):
        raise ValueError(f"it is not a figure. {closest(name, get_args(MetricName))} Those at 10 exist at any k.")
    return name


MODEL_TYPES = (
    "two_tower",
    "deep_mlp",
    "dcn_v2",
    "linear",
    "lightgbm",
    "lambdamart",
    "factor_blend",
    "popularity",
)
"""Every type of model that a configuration can name; `orita.models.build` has a builder for each."""

HEADED_TYPES = ("two_tower", "deep_mlp", "dcn_v2", "linear")
"""The types that can have a head for each of several outcomes."""


_OWN_TYPES = "types of model that the system declares"


def with_own_types(names: Iterable[str]) -> Mapping[str, Any] | None:
    """Return what sections are validated with (`Section.known`) where a system declares types of model of its own."""
    own = tuple(names)
    return {_OWN_TYPES: own} if own else None


def _own_types(info: ValidationInfo) -> tuple[str, ...]:
    own: tuple[str, ...] = (info.context or {}).get(_OWN_TYPES, ())
    return own


def _known_type(name: str, info: ValidationInfo) -> str:
    known = (*MODEL_TYPES, *_own_types(info))
    if name not in known:
        raise ValueError(f"it is not a type of model. {closest(name, known)}")
    return name


ModelType = Annotated[str, AfterValidator(_known_type)]


def _can_be_member(name: str) -> str:
    if name == "factor_blend":
        raise ValueError("a blend is no member of a blend.")
    if name not in MODEL_TYPES:
        raise ValueError("a blend is made of built-in types alone.")
    return name


_Member = Annotated[ModelType, AfterValidator(_can_be_member)]


def _plain(value: Any) -> Any:
    """Return a parameter of a user's own type as it is kept: lists as tuples, as everywhere in the configuration."""
    each = [_number(one) for one in (value if isinstance(value, list | tuple) else [value])]
    if not all(one is None or isinstance(one, bool | int | float | str) for one in each):
        raise ValueError("a parameter is a number, a text, true, false, null, or a list of these.")
    if not all(math.isfinite(one) for one in each if isinstance(one, float)):
        raise ValueError("a number must be finite.")
    return tuple(each) if isinstance(value, list | tuple) else each[0]


def _number(value: Any) -> Any:
    """Return what 1e-4 means: YAML takes it, without a dot, for a text."""
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


_EXPONENT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+")
_Parameter = Annotated[Any, AfterValidator(_plain)]

_Metric = Annotated[str, AfterValidator(_known_metric)]
_Width = Annotated[int, Field(ge=1, le=8192)]
_Share = Annotated[float, Field(ge=0.0, lt=1.0)]
_Penalty = Annotated[float, Field(ge=0.0, le=1000.0)]


class LightGBMSection(Section):
    """Settings of the rankers of trees; a missing ``num_leaves`` grows with the number of training rows.

    *early_stopping* is the figure on validation rows by which growing ends, after *patience* trees without a gain; with
    ``none`` all *max_trees* grow. ``log_loss`` moves more evenly than ``auc`` where validation rows are few.
    """

    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    max_trees: Annotated[int, Field(ge=1, le=20_000)] = 1000
    num_leaves: Annotated[int, Field(ge=2, le=4096)] | None = None
    min_rows_in_leaf: Annotated[int, Field(ge=1)] = 100
    feature_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    bagging_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    lambda_l2: _Penalty = 10.0
    early_stopping: Literal["none", "auc", "log_loss"] = "auc"
    patience: Annotated[int, Field(ge=1)] = 50
    threads: Annotated[int, Field(ge=1, le=256)] = 2


class FactorsSection(Section):
    """Settings of ``type: factor_blend``: features named *answers* + item id hold what the user answered that item.

    *members* are the types above the factors. *user_traits* and *item_traits* name features that say what somebody or
    something is like before any answer (``genre`` stands for all that begin with ``genre_``). *shrinkage* is how many
    people's worth of evidence keeps an item's loadings small, unless many items tell otherwise; *folds* is into how
    many parts users are split, so that members learn from what factors of others say.
    """

    answers: Annotated[str, Field(min_length=1)] = "answer_"
    members: Annotated[tuple[_Member, ...], Field(min_length=1)] = ("lightgbm", "deep_mlp")
    user_traits: tuple[str, ...] = ()
    item_traits: tuple[str, ...] = ()
    factors: Annotated[int, Field(ge=1, le=64)] = 8
    shrinkage: Annotated[float, Field(gt=0.0)] = 100.0
    rounds: Annotated[int, Field(ge=1, le=1000)] = 30
    folds: Annotated[int, Field(ge=2, le=20)] = 5


class PopularitySection(Section):
    """Settings of ``type: popularity``: how many average rows are added to each item before its rate is taken."""

    smoothing: Annotated[float, Field(gt=0.0)] = 20.0


class HeadSection(Section):
    """One head: what its loss weighs in training, and, for an amount such as seconds, the most that is told apart.

    A larger amount counts as *cap*; without one the largest of the training rows is taken.
    """

    weight: Annotated[float, Field(gt=0.0, le=1000.0)] = 1.0
    cap: Annotated[float, Field(gt=0.0, le=1e12)] | None = None


class ModelSection(Section):
    """The ``model`` section: a type, and the shape of its network; a type reads the keys that concern it.

    *calibration* is fitted on validation rows and kept in the package, whatever the type.

    *heads* names outcomes that are learned beside the label, each by a head of its own; *objective* says what one unit
    of each is worth in the served score (`orita.models.objectives`), and decides nothing in training.

    *parameters* are what types of your own are made with, by type: keyword arguments, each a number, a text, true,
    false, null, or a list of these.
    """

    type: ModelType = "two_tower"
    user_tower_dims: Annotated[tuple[_Width, ...], Field(max_length=8)] = (256, 128)
    item_tower_dims: Annotated[tuple[_Width, ...], Field(max_length=8)] = (256, 128)
    hidden_dims: Annotated[tuple[_Width, ...], Field(max_length=8)] = (256, 128)
    crosses: Annotated[int, Field(ge=1, le=8)] = 2
    cross_rank: _Width = 32
    embedding_dim: _Width = 128
    id_embedding_dim: _Width = 16
    dropout: _Share = 0.3
    id_dropout: _Share = 0.3
    lightgbm: LightGBMSection = LightGBMSection()
    calibration: Literal["none", "isotonic", "platt"] = "none"
    heads: dict[str, HeadSection] = {}
    objective: dict[str, Annotated[float, Field(ge=-1e9, le=1e9)]] = {}
    factors: FactorsSection = FactorsSection()
    popularity: PopularitySection = PopularitySection()
    parameters: dict[str, dict[str, _Parameter]] = {}

    @field_validator("parameters")
    @classmethod
    def _parameters_are_read(cls, value: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
        for name in value:
            if name in MODEL_TYPES:
                raise ValueError(f"{name} is a built-in type, which has keys of its own; parameters are of your own")
            if name not in _own_types(info):
                raise ValueError(
                    f"{name} is no type that the system declares, as its rankers(…) do. "
                    f"{closest(name, _own_types(info))}"
                )
        return value

    @field_validator("heads")
    @classmethod
    def _type_has_heads(cls, value: dict[str, HeadSection], info: ValidationInfo) -> dict[str, HeadSection]:
        type_ = info.data.get("type", HEADED_TYPES[0])
        if value and type_ not in (*HEADED_TYPES, *_own_types(info)):
            raise ValueError(f"the type {type_} has one head; take {', '.join(HEADED_TYPES)}, or leave heads out")
        return value

    @field_validator("objective")
    @classmethod
    def _objective_weighs_heads(cls, value: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        own = info.data.get("type") in _own_types(info)  # which says itself what heads it has
        if value and not own and not info.data.get("heads", True):
            raise ValueError("it weighs heads, and model.heads names none; name outcomes there, or leave it out")
        if value and not any(value.values()):
            raise ValueError("all weights are 0; give one another value")
        return value


class EarlyStoppingSection(Section):
    """When training ends before its last epoch: no gain above *min_delta* for *patience* epochs."""

    patience: Annotated[int, Field(ge=1)] = 3
    min_delta: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.001
    metric: Literal["auc", "log_loss"] = "auc"


class TrainingSection(Section):
    """The ``training`` section, read by the neural rankers.

    The learning rate is multiplied by *learning_rate_decay* after each epoch without a gain above ``min_delta``: models
    with id tables overfit within a few epochs, and smaller steps find what the first ones stepped over. *schedule* is
    the shape of the learning rate over all epochs beside that, after a warm-up of some steps.

    A checkpoint is written after each epoch, and after so many steps or seconds since the last one.
    """

    batch_size: Annotated[int, Field(ge=1, le=1_048_576)] = 1024
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.001
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    optimizer: Literal["adam"] = "adam"
    early_stopping: EarlyStoppingSection = EarlyStoppingSection()
    learning_rate_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: _Penalty = 1e-5
    id_weight_decay: _Penalty = 1e-5
    log_every: Annotated[int, Field(ge=1)] = 50
    checkpoint_steps: Annotated[int, Field(ge=1)] = 1000
    checkpoint_seconds: Annotated[float, Field(gt=0.0)] = 60.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: Literal["auto", "always", "never"] = "auto"
    processes: Annotated[int, Field(ge=1, le=1024)] = 1


class EvaluationSection(Section):
    """The ``evaluation`` section: which figures, which slices, how many resamples, and whether a report is written."""

    metrics: Annotated[tuple[_Metric, ...], Field(min_length=1)] = ("auc", "log_loss", "precision_at_10")
    slices: tuple[str, ...] = ()
    resamples: Annotated[int, Field(ge=20, le=100_000)] = 200
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    report: bool = True
