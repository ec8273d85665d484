"""The keys of ``model_config.yaml``: which model, how it is trained, how it is judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from orita.core.config import Section
from orita.core.errors import closest

__all__ = [
    "MODEL_TYPES",
    "EarlyStoppingSection",
    "EvaluationSection",
    "LightGBMSection",
    "MetricName",
    "ModelSection",
    "ModelType",
    "PopularitySection",
    "TrainingSection",
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
]

MODEL_TYPES = ("two_tower", "deep_mlp", "dcn_v2", "linear", "lightgbm", "popularity")
"""Every type of model that a configuration can name; `orita.models.build` has a builder for each."""


def _known_type(name: str) -> str:
    if name not in MODEL_TYPES:
        raise ValueError(f"it is not a type of model. {closest(name, MODEL_TYPES)}")
    return name


ModelType = Annotated[str, AfterValidator(_known_type)]

_Width = Annotated[int, Field(ge=1, le=8192)]
_Share = Annotated[float, Field(ge=0.0, lt=1.0)]
_Penalty = Annotated[float, Field(ge=0.0, le=1000.0)]


class LightGBMSection(Section):
    """Settings of ``type: lightgbm``; a missing ``num_leaves`` grows with the number of training rows."""

    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    max_trees: Annotated[int, Field(ge=1, le=20_000)] = 1000
    num_leaves: Annotated[int, Field(ge=2, le=4096)] | None = None
    min_rows_in_leaf: Annotated[int, Field(ge=1)] = 100
    feature_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    bagging_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    lambda_l2: _Penalty = 10.0
    patience: Annotated[int, Field(ge=1)] = 50
    threads: Annotated[int, Field(ge=1, le=256)] = 2


class PopularitySection(Section):
    """Settings of ``type: popularity``: how many average rows are added to each item before its rate is taken."""

    smoothing: Annotated[float, Field(gt=0.0)] = 20.0


class ModelSection(Section):
    """The ``model`` section: a type, and the shape of its network; a type reads the keys that concern it."""

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
    popularity: PopularitySection = PopularitySection()


class EarlyStoppingSection(Section):
    """When training ends before its last epoch: no gain above *min_delta* for *patience* epochs."""

    patience: Annotated[int, Field(ge=1)] = 3
    min_delta: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.001
    metric: Literal["auc", "log_loss"] = "auc"


class TrainingSection(Section):
    """The ``training`` section, read by the neural rankers.

    The learning rate is multiplied by *learning_rate_decay* after each epoch without a gain above ``min_delta``: models
    with id tables overfit within a few epochs, and smaller steps find what the first ones stepped over.
    """

    batch_size: Annotated[int, Field(ge=1, le=1_048_576)] = 1024
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.001
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    optimizer: Literal["adam"] = "adam"
    early_stopping: EarlyStoppingSection = EarlyStoppingSection()
    learning_rate_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    weight_decay: _Penalty = 1e-5
    id_weight_decay: _Penalty = 1e-5
    log_every: Annotated[int, Field(ge=1)] = 50


class EvaluationSection(Section):
    """The ``evaluation`` section: which figures, which slices, how many resamples an interval takes."""

    metrics: Annotated[tuple[MetricName, ...], Field(min_length=1)] = ("auc", "log_loss", "precision_at_10")
    slices: tuple[str, ...] = ()
    resamples: Annotated[int, Field(ge=20, le=100_000)] = 200
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
