"""A search over two numbers whose best values are known, for the tests of studies; no model is trained."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from orita.models.search.binding import Parameter
from orita.models.search.config import SamplerName
from orita.models.search.study import Attempt, Study
from orita.models.search.trials import Trial

__all__ = ["ABOUT", "PARAMETERS", "carry_out", "opened", "value_of"]

PARAMETERS = (
    Parameter("kind", "choice", choices=("flat", [2, 1])),
    Parameter("x", "float", low=1e-4, high=1.0, log=True),
    Parameter("leaves", "int", low=3, high=31, step=4, when={"kind": ([2, 1],)}),
)
ABOUT: dict[str, Any] = {
    "metric": "auc",
    "folds": None,
    "sampler": "tpe",
    "training set": "s1",
    "space": {parameter.key: parameter.describe() for parameter in PARAMETERS},
    "configuration": {"seed": 0},
}


def opened(folder: Path, **about: Any) -> Study:
    """Open the study in *folder*."""
    return Study(folder, PARAMETERS, {**ABOUT, **about}, larger_is_better=True)


def value_of(attempt: Attempt) -> float:
    """Return what a trial comes to: best near x = 0.1."""
    values = attempt.values
    x, leaves = float(values["x"]), int(values.get("leaves", 0))
    return 1.0 - abs(x - 0.1) + (0.1 if values["kind"] != "flat" else 0.0) - leaves / 1000


def carry_out(study: Study, most: int, *, sampler: SamplerName = "tpe", seed: int = 0) -> list[Trial]:
    """Carry out trials until there are *most*; return all."""
    while (attempt := study.begin(most, sampler, seed)) is not None:
        study.report(attempt, 1, value_of(attempt))
        study.end(attempt, "complete", value_of(attempt))
    return study.trials()


if __name__ == "__main__":  # a process of its own: FOLDER MOST
    with opened(Path(sys.argv[1])) as shared:
        carry_out(shared, int(sys.argv[2]), sampler="random")
