"""A request that is unlike the training rows is labelled, with its reasons, and counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.training_bounds import TrainingBounds
from orita.serving.config import OutliersConfig
from orita.serving.predict.outliers import BOUNDS_KEY, OutlierCheck, OutlierCounts, outlier_check

SCHEMA = FeatureSchema(tuple(FeatureColumn(f"rate_{n}", "item") for n in range(8)))
RANDOM = np.random.default_rng(0)
EXTRA = {BOUNDS_KEY: TrainingBounds.of(SCHEMA, RANDOM.normal(size=(5000, 8)).astype(np.float32)).to_dict()}


def package(extra: dict[str, Any], *heads: str) -> Any:
    """Return what of a package is read."""
    return SimpleNamespace(extra=extra, schema=SCHEMA, heads=heads)


def checked(*changes: tuple[int, int, float], best: float = 0.9, **settings: Any) -> tuple[Any, OutlierCounts]:
    """Return what is found in 40 items of ordinary features, some of them changed, and what was counted."""
    counts = OutlierCounts()
    check = outlier_check(package(EXTRA), OutliersConfig(**settings), counts)
    assert check is not None
    x_NF: npt.NDArray[np.float32] = np.zeros((40, 8), np.float32)
    for item, feature, value in changes:
        x_NF[item, feature] = value
    return check(x_NF, best, min(best, 0.45)), counts


def test_an_ordinary_request_has_no_label() -> None:
    """And costs no answer anything; it is counted."""
    found, counts = checked()
    assert found is None
    assert (dict(counts.requests), counts.items) == ({"in": 1}, 0)


def test_single_items_are_told() -> None:
    """One in forty is not the request: its label is ``in``, with the feature and the value."""
    found, counts = checked((3, 2, 99.0))
    assert (found.label, found.share) == ("in", 0.025)
    (reason,) = found.reasons
    assert (reason.check, reason.feature, reason.items) == ("statistics", "rate_2", 1)
    assert reason.message.startswith("rate_2 is 99, training rows are like -")
    assert (counts.items, dict(counts.features), dict(counts.requests)) == (1, {"rate_2": 1}, {"in": 1})


def test_a_request_that_is_unlike() -> None:
    """From the configured share on; the features in most items come first, and at most five are told."""
    changes = [(item, feature, 99.0) for feature in range(7) for item in range(7 - feature)]
    found, counts = checked(*changes, (0, 7, np.nan))
    assert (found.label, found.share) == ("out", 0.175)
    assert [reason.feature for reason in found.reasons] == [f"rate_{n}" for n in range(5)]
    assert (counts.items, counts.features["rate_0"], counts.features["rate_6"]) == (7, 7, 1)
    assert checked(*changes, share=0.2)[0].label == "in"
    (missing,) = checked((0, 7, np.nan))[0].reasons
    assert missing.message == "rate_7 is missing, and never was in training rows."


def test_a_model_that_is_sure_of_nothing() -> None:
    """Its confidence is its own reason; of weighed heads nothing is said."""
    found, counts = checked(best=0.549)
    assert (found.label, found.share, counts.unsure) == ("out", 0.0, 1)
    (reason,) = found.reasons
    assert (reason.check, reason.items) == ("confidence", 40)
    assert checked(best=0.551)[0] is None
    assert checked(best=0.549, least_confidence=0)[0] is None
    weighed = outlier_check(package(EXTRA, "click", "like"), OutliersConfig(), OutlierCounts())
    assert weighed is not None
    assert weighed(np.zeros((1, 8), np.float32), 0.5, 0.5) is None


def test_a_package_without_bounds_is_not_checked() -> None:
    """As packages that were written before there were any."""
    assert outlier_check(package({}), OutliersConfig(), OutlierCounts()) is None


def test_metrics() -> None:
    """Requests by label, items, items by feature, and the unsure."""
    counts = OutlierCounts()
    bounds = TrainingBounds.from_dict(EXTRA[BOUNDS_KEY], SCHEMA)
    check = OutlierCheck(bounds, OutliersConfig(), counts)
    check(np.full((2, 8), 99, np.float32), 0.5, 0.5)
    check(np.zeros((2, 8), np.float32), 0.9, 0.1)

    class Told(Collector):
        def collect(self) -> Any:
            return counts.metrics()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Told())
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        'outlier_requests_total{label="in"} 1.0',
        'outlier_requests_total{label="out"} 1.0',
        "outlier_items_total 2.0",
        'outlier_features_total{feature="rate_7"} 2.0',
        "outlier_unsure_requests_total 1.0",
    ):
        assert line in lines


@pytest.mark.parametrize("settings", [{"share": 0}, {"share": 1.1}, {"least_confidence": 2}])
def test_settings_that_cannot_be(settings: dict[str, float]) -> None:
    """A share is above 0, a confidence within 0 and 1."""
    with pytest.raises(ValueError, match=r"less than or equal to 1|greater than 0"):
        OutliersConfig.model_validate(settings)
