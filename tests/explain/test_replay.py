"""A logged request is scored again: equal for the version that answered, side by side for another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.explain.served_home import ITEMS, answered, loader
from tests.registry.small_registry import registered

from orita.core.errors import NotFound, UserError
from orita.events.prediction_view import find_request
from orita.explain import replay_request
from orita.explain.replay import TOLERANCE
from orita.features.training_sets.training_set import latest_training_set
from orita.models.package import Package, load_package
from orita.models.package.quantise import quantise
from orita.models.reading import read_examples
from orita.models.reissue import finish_package
from orita.pipelines.workspace import Workspace

Served = tuple[Workspace, Package]


def int8(workspace: Workspace, package: Package, folder: Path) -> Package:
    """Return the package with weights of eight bits."""
    made = latest_training_set(workspace.home.training_sets, "small")
    return quantise(package.folder, folder, read_examples(made.file("test"), made.schema), max_auc_loss=1.0)


def calibrated(workspace: Workspace, package: Package, folder: Path) -> Package:
    """Return the package with a calibration after the graph."""
    made = latest_training_set(workspace.home.training_sets, "small")
    rows = read_examples(made.file("val"), made.schema)
    folder.mkdir()
    finish_package(package, folder, package.metadata, rows, calibration="isotonic")
    return load_package(folder)


def test_the_same_version_says_the_same(served: Served) -> None:
    """Scores and ranks of the log are reproduced, by the request's id and by a prediction's."""
    workspace, package = served
    logged = find_request(workspace.home, "r1")
    for identity in ("r1", logged.prediction_ids[2]):
        found = replay_request(workspace.home, workspace.system, identity, load=loader(workspace))
        assert (found["reproduced"], found["model_version"], found["replayed_by"]) == (True, *[package.version] * 2)
        assert found["largest_difference"] <= TOLERANCE
        assert [item["rank"] for item in found["items"]] == [item["replayed_rank"] for item in found["items"]]
        assert (found["from_history"], found["missing"]) == ([], {})
        assert tuple(found["from_log"]) == package.schema.names


@pytest.mark.parametrize("make", [int8, calibrated])
def test_int8_and_calibrated_packages(
    served: Served, make: Callable[[Workspace, Package, Path], Package], tmp_path: Path
) -> None:
    """A quantised or calibrated package reproduces what it said, and not what it was made of said."""
    workspace, package = served
    other = make(workspace, package, tmp_path / "package")
    other = replace(other, metadata=replace(other.metadata, model_version="v9.0.0"))
    answered(workspace, other, make.__name__, 3)
    found = replay_request(workspace.home, workspace.system, make.__name__, load=loader(workspace, other))
    assert found["reproduced"] is True
    found = replay_request(
        workspace.home, workspace.system, make.__name__, load=loader(workspace, other), version=package.version
    )
    assert (found["reproduced"], found["replayed_by"]) == (None, package.version)
    assert found["largest_difference"] > TOLERANCE


def test_another_package_under_the_same_version(served: Served) -> None:
    """Scores that the version does not give are told as not reproduced."""
    workspace, package = served
    answered(workspace, package, "spoilt", 3, spoilt=2e-6)
    found = replay_request(workspace.home, workspace.system, "spoilt", load=loader(workspace))
    assert found["reproduced"] is False
    assert found["largest_difference"] == pytest.approx(2e-6, rel=0.1)


def test_another_version_reads_history(served: Served) -> None:
    """Features that the log lacks are computed as of the request, and are what the server would have read."""
    workspace, package = served
    answered(workspace, package, "whole", 4)
    narrow = replace(package, metadata=replace(package.metadata, model_version="v8.0.0"))
    lacking = [name for name in package.schema.names if name not in ("user_clicks", "recent", "hour")]
    answered(workspace, narrow, "narrow", 4, features=lacking)
    whole = replay_request(workspace.home, workspace.system, "whole", load=loader(workspace))
    found = replay_request(
        workspace.home, workspace.system, "narrow", load=loader(workspace, narrow), version=package.version
    )
    assert found["from_history"] == ["user_clicks", "recent", "hour"]
    assert (found["missing"], found["reproduced"]) == ({}, None)
    for item, other in zip(found["items"], whole["items"], strict=True):
        assert item["replayed_score"] == pytest.approx(other["score"], abs=1e-6)


def test_what_neither_log_nor_history_has(served: Served) -> None:
    """A feature of what a request brought is given as missing where it was not logged, with the reason."""
    workspace, package = served
    narrow = replace(package, metadata=replace(package.metadata, model_version="v7.0.0"))
    kept = [name for name in package.schema.names if not name.startswith("device")]
    answered(workspace, narrow, "nodevice", 4, features=kept)
    found = replay_request(
        workspace.home, workspace.system, "nodevice", load=loader(workspace, narrow), version=package.version
    )
    assert set(found["missing"]) == {"device_mobile", "device_desktop", "device_tablet"}
    assert "'device' of the request, which is not logged" in found["missing"]["device_mobile"]
    assert found["from_history"] == []
    assert np.isfinite([item["replayed_score"] for item in found["items"]]).all()


def test_a_feature_of_another_meaning_is_not_taken_from_the_log(served: Served) -> None:
    """What is called the same and declared otherwise is computed anew; what is not declared any more is refused."""
    workspace, package = served
    columns = tuple(replace(c, meaning="other") if c.name == "item_ctr" else c for c in package.schema.columns)
    old = replace(
        package,
        metadata=replace(package.metadata, model_version="v6.0.0"),
        schema=replace(package.schema, columns=columns),
    )
    answered(workspace, old, "old", 4)
    load = loader(workspace, old)
    found = replay_request(workspace.home, workspace.system, "old", load=load, version=package.version)
    assert found["from_history"] == ["item_ctr"]
    with pytest.raises(UserError, match="another declaration of feature 'item_ctr'"):
        replay_request(workspace.home, workspace.system, "r1", load=load, version="v6.0.0")
    with pytest.raises(NotFound):
        replay_request(workspace.home, workspace.system, "r1", load=load, version="v99.0.0")


def test_another_model_beside_it(served: Served) -> None:
    """Scores and ranks of another type of model stand beside the logged ones, in the logged order."""
    workspace, _ = served
    other = registered(workspace, "popularity")
    found = replay_request(workspace.home, workspace.system, "r1", load=loader(workspace), version=other.version)
    assert found["reproduced"] is None
    assert sorted(item["replayed_rank"] for item in found["items"]) == [1, 2, 3, 4]
    assert {item["item_id"] for item in found["items"]} == set(map(str, ITEMS))
