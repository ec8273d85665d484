"""The small world of clicks with what else people do, for the tests of models with several heads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.models.clicks import MODEL, SCHEMA, TRAINING, clicks

from orita.core.progress import SILENT
from orita.models.build import build_ranker
from orita.models.config import HeadSection
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.neural import NeuralRanker
from orita.models.objectives import calibrate_heads
from orita.models.package import Package, write_package
from orita.models.ranker import FitContext

__all__ = ["CAP", "HEADED", "fitted_heads", "headed_package", "reactions"]

CAP = 120.0
HEADED = MODEL.model_copy(update={"heads": {"like": HeadSection(weight=0.5), "dwell": HeadSection(cap=CAP)}})


def reactions(rows: int = 1200, *, seed: int = 0, text: bool = False) -> Examples:
    """Return rows with likes, known for six of seven rows, and seconds: some 20 after a click, else 2."""
    random = np.random.default_rng(seed + 100)
    shown = clicks(rows, seed=seed, text=text)
    weekend_N = np.nan_to_num(shown.x_NF[:, SCHEMA.index("weekend")])
    like_N = (shown.y_N * (random.random(rows) < 0.15 + 0.5 * weekend_N)).astype(np.float32)
    like_N[::7] = np.nan
    seconds_N = random.lognormal(np.where(shown.y_N > 0, 3.0, 0.7), 0.8).astype(np.float32)
    return replace(shown, outcomes={"like": like_N, "dwell": seconds_N})


def fitted_heads(type_: str = "two_tower", *, rows: int = 1200, epochs: int = 1) -> tuple[NeuralRanker, Examples]:
    """Return a ranker with heads for clicks, likes and seconds, and rows that it did not learn from."""
    ranker = build_ranker(type_, HEADED, TRAINING.model_copy(update={"epochs": epochs, "learning_rate": 0.005}))
    train, val = reactions(rows), reactions(600, seed=1)
    ranker.fit(train, val, FitContext(SILENT))
    assert isinstance(ranker, NeuralRanker)
    return ranker, val


def headed_package(
    folder: Path, method: str = "isotonic", **objective: float
) -> tuple[Package, NeuralRanker, Examples]:
    """Write a ranker with heads as a package, its heads calibrated on half of the rows that are returned."""
    ranker, val = fitted_heads()
    card = ModelMetadata("01890000-0000-7000-8000-000000000000", "v1.2.3", "2024-11-15T00:00:00+00:00", "", ranker.type)
    calibration = calibrate_heads(method, ranker, val.take(slice(0, 300)))
    made = write_package(folder, ranker, card, SCHEMA, val, calibration=calibration, objective=objective or None)
    return made, ranker, val
