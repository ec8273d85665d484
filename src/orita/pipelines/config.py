"""The three configuration files, each as one typed section."""

from __future__ import annotations

from orita.core.config import Section
from orita.events.config import ValidationConfig
from orita.events.world.config import WorldConfig
from orita.features.config import FeatureSection, SplitSection
from orita.models.config import EvaluationSection, ModelSection, ModelType, TrainingSection
from orita.models.package.card import CardText

__all__ = ["DataConfig", "ModelConfig"]


class DataConfig(Section):
    """``data_config.yaml``."""

    data_generation: WorldConfig = WorldConfig()
    validation: ValidationConfig = ValidationConfig()
    feature_engineering: FeatureSection = FeatureSection()
    split: SplitSection = SplitSection()


class ModelConfig(Section):
    """``model_config.yaml``.

    Attributes:
        model: the type that is trained, and its shape.
        training: how neural models are trained.
        evaluation: how models are judged.
        card: what people say about the model, for its card.
        beside: further types to train on the same rows; the best on validation rows is registered.
        seed: fixes every random choice of a training.
    """

    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    card: CardText = CardText()
    beside: tuple[ModelType, ...] = ()
    seed: int = 0
