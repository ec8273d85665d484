"""Which declared features a model is given, and how rows are split in time."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from orita.core.config import Section

__all__ = ["FeatureSection", "SparkConfig", "SplitSection"]

Share = Annotated[float, Field(gt=0, lt=1)]


class SparkConfig(Section):
    """``feature_engineering.spark``: where Spark runs.

    Attributes:
        master: ``local[*]``, this machine with all of its cores, or the address of a cluster, whose workers need the
            same Python packages.
        driver_memory: of the process that starts Spark; on ``local`` it does all the work.
        settings: further settings of Spark, by name; they win over those that are made here.
    """

    master: str = "local[*]"
    driver_memory: str = Field("4g", pattern=r"^[1-9]\d*[mg]$")
    settings: dict[str, str] = {}


class FeatureSection(Section):
    """``feature_engineering``: which features, and what computes them.

    Attributes:
        user_features, item_features, interaction_features: names of declared features, by kind; all three absent means
            every declared feature.
        engine: what computes training rows; both give the same values.
        spark: where Spark runs, if it does.
    """

    user_features: tuple[str, ...] | None = None
    item_features: tuple[str, ...] | None = None
    interaction_features: tuple[str, ...] | None = None
    engine: Literal["history", "spark"] = "history"
    spark: SparkConfig = SparkConfig()

    @property
    def selected(self) -> tuple[str, ...] | None:
        """The selected names in order, or None for all."""
        lists = (self.user_features, self.item_features, self.interaction_features)
        if all(names is None for names in lists):
            return None
        return tuple(name for names in lists if names for name in names)


class SplitSection(Section):
    """``split``: shares of rows for training, validation and test.

    ``temporal`` cuts by time: every training row is earlier than every validation row, and these earlier than every
    test row. ``random`` assigns by a hash of the event id; it lets a model see the future, so ask for it on purpose.
    """

    train: Share = 0.7
    val: Share = 0.15
    test: Share = 0.15
    method: Literal["temporal", "random"] = "temporal"

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train + val + test is {self.train + self.val + self.test:g}; it must be 1")
        return self
