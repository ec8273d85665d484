"""A logged request is explained: as it was, by what moved its scores, from the events behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.explain.served_home import ITEMS, answered, loader
from tests.features.small_system import DECLARED, declared_system

from orita.core.errors import NotFound, UserError
from orita.events.prediction_view import find_request
from orita.explain import explain_request
from orita.models.package import Package
from orita.pipelines.workspace import Workspace

Served = tuple[Workspace, Package]


def explained(served: Served, identity: str = "r1", **options: Any) -> dict[str, Any]:
    """Explain a request of the home."""
    workspace, _ = served
    system = options.pop("system", workspace.system)
    return explain_request(workspace.home, system, identity, load=loader(workspace), **options)


def test_all_of_a_request(served: Served) -> None:
    """Version, scores and features are those of the log; contributions add up to each score, ids are features too."""
    workspace, package = served
    logged = find_request(workspace.home, "r1")
    found = explained(served, top=9)
    assert (found["model_version"], found["model_type"], found["user_id"]) == (package.version, "two_tower", "3")
    assert (found["latency_ms"], found["rows"], found["no_lineage"]) == (1.5, 4, "")
    items = found["items"]
    assert [item["rank"] for item in items] == [1, 2, 3, 4]
    for item in items:
        place = logged.place(item["item_id"])
        assert item["score"] == float(logged.scores_N[place])
        total = found["baseline"] + sum(f["contribution"] for f in item["features"])
        assert abs(item["unexplained"]) < 1e-6
        assert total == pytest.approx(item["score"], abs=1e-6)
        values = {name: value for f in item["features"] for name, value in f["values"].items()}
        assert values.pop("user_id") == "3"
        assert values.pop("item_id") == item["item_id"]
        assert values == logged.to_dict()["items"][item["rank"] - 1]["features"]
        moved = [abs(f["contribution"]) for f in item["features"]]
        assert moved == sorted(moved, reverse=True)
    assert "training rows of" in found["method"]["reference"]


def test_features_lead_to_events(served: Served) -> None:
    """A count has as many events as it counted; what the request brought and ids have none."""
    (item,) = explained(served, items=["102"])["items"]
    by_name = {feature["feature"]: feature for feature in item["features"]}
    (events,) = by_name["recent"]["lineage"]["events"]
    assert events["count"] == by_name["recent"]["values"]["recent"] > 0
    assert (events["by"], events["window"]) == ({"item_id": "102"}, "1d")
    assert by_name["user_clicks"]["lineage"]["events"][0]["by"] == {"user_id": "3"}
    assert by_name["device"]["lineage"]["events"] == []
    assert by_name["device"]["lineage"]["request"] == ["device"]
    assert by_name["user_id"]["lineage"] is None


def test_without_lineage(served: Served) -> None:
    """Where it is not wanted, or declarations have gone on, the rest of the explanation stands, and that is told."""
    assert all(f["lineage"] is None for f in explained(served, lineage=False)["items"][0]["features"])
    other = declared_system(DECLARED.replace('shown.sum("click").by(user)', 'shown.sum("click").by(item)'))
    found = explained(served, system=other)
    assert "another declaration of feature 'user_clicks'" in str(found["no_lineage"])
    assert found["items"]


def test_what_cannot_be_explained(served: Served) -> None:
    """An id that is not there, an item that was not asked, another system and another package are each a sentence."""
    workspace, package = served
    with pytest.raises(NotFound, match="no request and no prediction has the id 'r9'"):
        explained(served, "r9")
    with pytest.raises(NotFound, match=r"did not ask for item '7'"):
        explained(served, items=["7"])
    with pytest.raises(UserError, match="answered by system 'small', this is 'other': give --system small"):
        explained(served, system=replace(workspace.system, name="other"))
    with pytest.raises(UserError, match="top is 0, allowed are 1 and more"):
        explained(served, top=0)
    answered(workspace, package, "r2", 3, features=["item_ctr"])
    with pytest.raises(UserError, match=r"does not read the features .* it is not the package that answered"):
        explained(served, "r2")


def test_the_sample_stands_in(served: Served) -> None:
    """Without the training set, as on a host that only serves, the package's own sample stands in, and that is told."""
    workspace, package = served
    bare = replace(package, description=replace(package.description, extra={}))
    found = explain_request(workspace.home, workspace.system, "r1", load=loader(workspace, bare), lineage=False)
    assert "sample rows of the package: its training set is not at hand" in found["method"]["reference"]
    assert abs(found["items"][0]["unexplained"]) < 1e-6


def test_ids_of_strangers(served: Served) -> None:
    """A user and items that nobody knows, of text ids, are explained like any other."""
    workspace, package = served
    answered(workspace, package, "r3", "o'hara", ["x", *ITEMS])
    found = explained(served, "r3", items=["x"])
    (item,) = found["items"]
    assert abs(item["unexplained"]) < 1e-6
    by_name = {feature["feature"]: feature for feature in item["features"]}
    assert by_name["recent"]["lineage"]["events"][0]["count"] == 0
    assert by_name["item_ctr"]["values"] == {"item_ctr": None}
