"""The three configuration files, each as one typed section."""

from __future__ import annotations

from pydantic import ValidationInfo, field_validator

from orita.core.config import Section
from orita.events.config import ValidationConfig
from orita.events.world.config import WorldConfig
from orita.features.config import FeatureSection, SplitSection
from orita.models.config import (
    HEADED_TYPES,
    MODEL_TYPES,
    EvaluationSection,
    ModelSection,
    ModelType,
    TrainingSection,
)
from orita.models.package.card import CardText
from orita.models.search.config import SearchSection
from orita.pipelines.components.blessing_config import BlessingSection
from orita.pipelines.components.validation_config import ExpectationsSection
from orita.pipelines.retraining.config import RetrainingSection

__all__ = ["DataConfig", "ModelConfig"]


class DataConfig(Section):
    """``data_config.yaml``.

    Attributes:
        data_generation: the synthetic world.
        validation: how strictly incoming rows are judged.
        feature_engineering: which features, and what computes them.
        split: how rows are parted.
        expectations: what is told of training rows, and what stops a training.
    """

    data_generation: WorldConfig = WorldConfig()
    validation: ValidationConfig = ValidationConfig()
    feature_engineering: FeatureSection = FeatureSection()
    split: SplitSection = SplitSection()
    expectations: ExpectationsSection = ExpectationsSection()


class ModelConfig(Section):
    """``model_config.yaml``.

    Attributes:
        model: the type that is trained, and its shape.
        training: how neural models are trained.
        evaluation: how models are judged.
        blessing: what a model must reach before it may serve.
        retraining: how retraining goes on unattended.
        card: what people say about the model, for its card.
        beside: further types to train on the same rows; the best on validation rows is registered.
        search: what a search for better values tries.
        seed: fixes every random choice of a training.
    """

    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    blessing: BlessingSection = BlessingSection()
    retraining: RetrainingSection = RetrainingSection()
    card: CardText = CardText()
    beside: tuple[ModelType, ...] = ()
    search: SearchSection = SearchSection()
    seed: int = 0

    @field_validator("beside")
    @classmethod
    def _types_have_heads(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        lacking = [type_ for type_ in value if type_ in MODEL_TYPES and type_ not in HEADED_TYPES]
        if lacking and "model" in info.data and info.data["model"].heads:
            raise ValueError(
                f"model.heads asks for several heads, which {', '.join(lacking)} has not; name types among "
                f"{', '.join(HEADED_TYPES)} here, or none: []"
            )
        return value
