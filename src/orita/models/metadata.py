"""The card that every model package carries: ``model_metadata.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from orita.core.errors import UserError

__all__ = ["ModelMetadata"]

_VERSION = re.compile(r"v\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """Who a model is, where it came from and how good it was.

    Attributes:
        model_id: UUID of this model.
        model_version: ``v1.2.3``.
        training_date: ISO 8601, with an offset.
        mlflow_run_id: the run that made it; empty outside of a tracked run.
        model_type: one of `config.MODEL_TYPES`, or a type of the user's own.
        metrics: figures on the test rows, by name.
        feature_schema_version: `FeatureSchema.version` of the features it reads.
        training_data_date_range: ``start`` and ``end`` of the training rows, ISO 8601.

    Raises:
        UserError: the version is not of the form ``v1.2.3``.
    """

    model_id: str
    model_version: str
    training_date: str
    mlflow_run_id: str
    model_type: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    feature_schema_version: str = ""
    training_data_date_range: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.model_version):
            raise UserError(f"model_version has the value {self.model_version!r}, allowed is the form 'v1.2.3'.")

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain JSON values, with exactly the keys of the contract."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ModelMetadata:
        """Return the card that `to_dict` described.

        Raises:
            UserError: a key is missing or unknown, or its value is of another type.
        """
        known = {f.name for f in fields(cls)}
        if set(content) != known:
            wrong = sorted(set(content) ^ known)
            raise UserError(
                f"model_metadata.json has missing or unknown keys {wrong}, expected exactly {sorted(known)}."
            )
        texts, metrics = set(known) - {"metrics", "training_data_date_range"}, content["metrics"]
        between = content["training_data_date_range"]
        wrong = sorted(key for key in texts if not isinstance(content[key], str))
        wrong += [] if _is_table(metrics, (int, float)) else ["metrics"]
        wrong += [] if _is_table(between, (str,)) else ["training_data_date_range"]
        if wrong:
            raise UserError(
                f"model_metadata.json has values of another type under {wrong}, expected texts, figures by name as "
                "metrics, and start and end as training_data_date_range."
            )
        return cls(**content)


def _is_table(content: object, types: tuple[type, ...]) -> bool:
    return isinstance(content, Mapping) and all(
        isinstance(name, str) and type(value) in types for name, value in content.items()
    )
