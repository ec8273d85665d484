"""What a request may weigh: only heads with declared bounds, only within them; the rest stays as the model has it."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from orita.models.objectives import Head
from orita.serving.config import ServingConfig
from orita.serving.http.refusal import Refused
from orita.serving.predict.objective_bounds import asked_objective

HEADS = (Head("click"), Head("like"), Head("dwell", kind="amount", cap=120.0))
OWN = {"click": 1.0, "dwell": 0.01}
BOUNDS = {"like": (0.0, 2.0), "dwell": (-0.1, 0.1)}


def refused(code: str, words: str, asked: dict[str, float], **given: object) -> None:
    """Check that *asked* is refused."""
    with pytest.raises(Refused, match=words) as caught:
        asked_objective(asked, **{"bounds": BOUNDS, "heads": HEADS, "own": OWN, **given})  # type: ignore[arg-type]
    assert (caught.value.status, caught.value.code) == (422, code)


def test_what_is_asked_takes_the_place_of_what_is_declared() -> None:
    """A head that is not named keeps the model's weight, and one that is not bounded may be named with it."""
    assert asked_objective({"like": 0.5}, BOUNDS, HEADS, OWN) == {"click": 1.0, "like": 0.5, "dwell": 0.01}
    assert asked_objective({"click": 1, "like": 2, "dwell": -0.1}, BOUNDS, HEADS, OWN) == {
        "click": 1.0, "like": 2.0, "dwell": -0.1
    }  # fmt: skip
    assert asked_objective({}, BOUNDS, HEADS, OWN) == {"click": 1.0, "like": 0.0, "dwell": 0.01}


def test_what_may_not_be_weighed() -> None:
    """Nothing without bounds, nothing beyond them, nothing that is no head, nothing of a model with one head."""
    refused("objective_not_allowed", "serving.objective_bounds declares no head", {"like": 1}, bounds={})
    refused("objective_not_allowed", "one head", {"like": 1}, heads=())
    refused("objective_not_allowed", "objective.click has the value 2.* the model's own weight, 1", {"click": 2})
    refused("invalid_value", r"objective\.like has the value 2\.1, allowed are weights from 0 to 2", {"like": 2.1})
    refused("invalid_value", r"objective\.like has the value nan", {"like": math.nan})
    refused("invalid_value", "'lik', which is no head of the model. Did you mean 'like'", {"lik": 1})
    only_like = {"own": {}, "bounds": {"like": (0.0, 1.0)}}
    refused("invalid_value", "give at least one of click, like, dwell a weight other than 0", {"like": 0}, **only_like)


def test_bounds_are_ranges() -> None:
    """The least first, both finite."""
    config = ServingConfig.model_validate({"objective_bounds": {"like": [0, 2]}})
    assert config.objective_bounds == {"like": (0.0, 2.0)}
    for bounds in ([2, 0], [0, math.inf], [0], "0..2"):
        with pytest.raises(ValidationError):
            ServingConfig.model_validate({"objective_bounds": {"like": bounds}})
