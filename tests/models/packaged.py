"""A small package with every kind of file, for the tests of packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tests.models.clicks import MODEL, SCHEMA, TRAINING, clicks

from orita.core.progress import SILENT
from orita.models.build import build_ranker
from orita.models.calibration import fit_calibration
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.package import Package, write_package
from orita.models.ranker import FitContext, FitReport, Ranker

__all__ = ["CARD", "WithWeights", "fitted", "package_of"]

CARD = ModelMetadata(
    model_id="01890000-0000-7000-8000-000000000000",
    model_version="v1.2.3",
    training_date="2024-11-15T00:00:00+00:00",
    mlflow_run_id="run",
    model_type="two_tower",
    metrics={"auc": 0.75},
    feature_schema_version=SCHEMA.version,
    training_data_date_range={"start": "2024-01-01", "end": "2024-11-15"},
)


class WithWeights:
    """A ranker with named parameters, whatever it is that ranks."""

    def __init__(self, ranker: Ranker, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        self._ranker, self._weights = ranker, dict(weights)

    @property
    def type(self) -> str:
        """The type of the ranker."""
        return self._ranker.type

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        """Fit the ranker."""
        return self._ranker.fit(train, val, context)

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return what the ranker scores."""
        return self._ranker.score(rows)

    def export(self, folder: Path) -> None:
        """Write the ranker's graph."""
        self._ranker.export(folder)

    def named_weights(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the parameters by name."""
        return self._weights


def fitted(type_: str = "two_tower", **model: object) -> tuple[Ranker, Examples]:
    """Return a ranker and rows that it did not learn from."""
    rows = clicks(1200)
    ranker = build_ranker(type_, MODEL.model_copy(update=model), TRAINING.model_copy(update={"epochs": 1}))
    ranker.fit(rows.take(slice(0, 600)), rows.take(slice(600, 800)), FitContext(SILENT))
    return ranker, rows.take(slice(800, None))


def package_of(folder: Path, ranker: Ranker, rows: Examples) -> Package:
    """Write *ranker* with weights and a calibration."""
    weights: dict[str, npt.NDArray[Any]] = {
        "tower.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
        "tower.bias": np.array([True, False]),
        "scale": np.array(0.5),
    }
    calibration = fit_calibration("isotonic", rows.y_N, ranker.score(rows))
    return write_package(folder, WithWeights(ranker, weights), CARD, SCHEMA, rows, calibration=calibration)
