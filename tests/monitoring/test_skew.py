"""Skew: what models were given against what history says they should have been."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.features.small_system import DECLARED, NOW, declared_system, events, ingested, small_workspace

from orita.core.errors import OritaError, UserError
from orita.core.home import Home
from orita.events.lake import Lake
from orita.features.api.feature_store import FeatureStore
from orita.features.api.relations import system_tables
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.monitoring.skew import measure_skew
from orita.monitoring.skew_report import FeatureSkew, SkewReport, newest_skew_file, read_skew, write_skew
from orita.pipelines.etl import publish_online
from orita.pipelines.workspace import Workspace

USERS, ITEMS = (1, 3, 99), (100, 102, 104, 999)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A home with 200 events, published."""
    folder = tmp_path_factory.mktemp("skew")
    made = small_workspace(folder)
    ingested(made.home, folder, events(200), made.system)
    publish_online(made)
    return made


@pytest.fixture(scope="module")
def served(workspace: Workspace) -> pa.Table:
    """What an honest server logged: a row for each of three users and four items."""
    rows, features = [], []
    with closing(FeatureStore(workspace.home, workspace.system, clock=workspace.clock)) as store:
        for number, user in enumerate(USERS):
            device = ("mobile", "desktop", None)[number]
            table = store.get_online_features(user, ITEMS, context={"device": device} if device else {})
            rows += [{"user_id": str(user), "item_id": str(item), "as_of": NOW} for item in ITEMS]
            features += table.drop_columns(["item_id"]).to_pylist()
    return logged(rows, features)


def logged(rows: list[dict[str, object]], features: list[dict[str, object]]) -> pa.Table:
    """Return rows as the prediction log has them."""
    kind = pa.struct([(name, pa.float32()) for name in features[0]])
    floats = [{name: None if v is None else float(v) for name, v in row.items()} for row in features]  # type: ignore[arg-type]
    table = pa.Table.from_pylist(rows).set_column(
        2, "as_of", pa.array([row["as_of"] for row in rows], pa.timestamp("us", tz="UTC"))
    )
    return table.append_column("features", pa.array(floats, kind))


def altered(served: pa.Table, change: Callable[[dict[str, object]], Mapping[str, object]]) -> pa.Table:
    """Return *served* with the features of each row changed."""
    rows = served.drop_columns(["features"]).to_pylist()
    return logged(rows, [{**row, **change(row)} for row in served["features"].to_pylist()])


def measured(
    workspace: Workspace, served: pa.Table, schema: FeatureSchema | None = None, *, system: System | None = None,
    sample: int = 1000,
) -> SkewReport:  # fmt: skip
    """Measure *served* against the lake of *workspace*."""
    system = system or workspace.system
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        tables = system_tables(Lake(workspace.home), system)
        return measure_skew(system, schema or system.schema(), served, tables, connection, sample=sample)


def test_an_honest_server_has_no_skew(workspace: Workspace, served: pa.Table) -> None:
    """Every feature of every row is confirmed, missing values, unknown users and unknown devices included."""
    report = measured(workspace, served)
    assert report.rows == len(served) == 12
    assert {feature.name: feature.mismatches for feature in report.features} == dict.fromkeys(
        workspace.system.schema().names, 0
    )
    assert (report.share, dict(report.left_out)) == (0.0, {})


def test_a_wrong_value_is_found_and_shown(workspace: Workspace, served: pa.Table) -> None:
    """The share, the largest difference and an example of a wrong feature are told, the worst feature first."""

    def spoilt(row: dict[str, object]) -> dict[str, object]:
        clicks = row["user_clicks"]
        assert isinstance(clicks, float)
        return {"user_clicks": clicks + 2, "never": 1.0 if row["device_mobile"] else None}

    wrong = altered(served, spoilt)
    report = measured(workspace, wrong)
    assert [(f.name, f.mismatches, f.share) for f in report.features[:3]] == [
        ("user_clicks", 12, 1.0),
        ("never", 4, 4 / 12),
        ("device_desktop", 0, 0.0),
    ]
    assert report.features[0].largest == 2
    example = report.features[0].example
    assert example is not None
    assert (example["user_id"], example["item_id"], example["served"] - example["recomputed"]) == ("1", "100", 2)
    missing = report.features[1].example
    assert missing is not None and (missing["served"], missing["recomputed"]) == (1.0, None)
    assert report.share == pytest.approx(16 / (12 * 8))


@pytest.mark.parametrize("factor", [1 + 1e-6, 1 - 1e-6])
def test_float32_rounding_is_no_skew(workspace: Workspace, served: pa.Table, factor: float) -> None:
    """Values that differ as float32 sums may differ are the same; a hundred times that is not."""
    near = altered(served, lambda row: {"item_ctr": _scaled(row["item_ctr"], factor)})
    assert measured(workspace, near).share == 0
    far = altered(served, lambda row: {"item_ctr": _scaled(row["item_ctr"], 1 + (factor - 1) * 100)})
    assert measured(workspace, far).features[0].mismatches == 9


def test_an_event_that_the_server_did_not_know_shows(tmp_path: Path, workspace: Workspace, served: pa.Table) -> None:
    """State that lags behind the lake is skew: the features of the event's user and item differ, no others."""
    behind = small_workspace(tmp_path)
    at = (NOW - timedelta(minutes=1)).isoformat()
    late = {**events(1)[0], "interaction_id": "late", "user_id": 3, "timestamp": at}
    ingested(behind.home, tmp_path, [*events(200), late], behind.system)
    report = measured(behind, served)
    wrong = {feature.name: feature.mismatches for feature in report.features if feature.mismatches}
    assert wrong == {"user_clicks": 4, "item_ctr": 3, "recent": 3}


def test_what_requests_brought_and_nobody_logged_is_left_out(workspace: Workspace, served: pa.Table) -> None:
    """A feature that depends on an unlogged column of the request is not judged, and it is said why."""
    text = DECLARED.replace("hour=", "phone=shown.context.device.equals('mobile'),\n    hour=")
    system = declared_system(text)
    full = measured(workspace, altered(served, lambda row: {"phone": row["device_mobile"]}), system=system)
    assert (full.share, dict(full.left_out)) == (0.0, {})
    partly = declared_system(text.replace('one_hot("mobile", "desktop", "tablet")', 'one_hot("desktop", "tablet")'))
    rows = altered(served, lambda row: {"phone": row["device_mobile"]})
    report = measured(workspace, rows, partly.schema(), system=partly)
    assert dict(report.left_out) == {"phone": "needs 'device' of the request, which is not logged"}
    assert report.share == 0
    only = system.schema(["phone", "hour"])
    assert list(measured(workspace, _only(rows, ("phone", "hour")), only, system=system).left_out) == ["phone"]


def test_a_model_of_an_earlier_version_is_compared_with_that_version(workspace: Workspace, served: pa.Table) -> None:
    """Where an earlier declaration is kept, a model that reads it is judged by it, under its own name."""
    changed = declared_system(DECLARED.replace('over("1d")', 'over("2h")'))
    schema = workspace.system.schema()
    with pytest.raises(UserError, match="'recent'"):
        measured(workspace, served, schema, system=changed)
    kept = changed.keep_earlier({"recent@1": workspace.system.declared["recent"]})
    report = measured(workspace, served, schema, system=kept)
    assert report.share == 0
    assert {feature.name for feature in report.features} == set(schema.names)


def test_a_sample_is_drawn_and_nothing_is_refused(workspace: Workspace, served: pa.Table) -> None:
    """At most so many rows are compared; without any there is nothing to say."""
    assert measured(workspace, served, sample=5).rows == 5
    with pytest.raises(UserError, match="nothing was predicted"):
        measured(workspace, served.slice(0, 0))


def test_reports_are_kept_read_and_bounded(tmp_path: Path) -> None:
    """The newest report of a system is read back as it was; only a hundred stay; another system's are not touched."""
    home = Home(tmp_path)
    found = FeatureSkew("item_ctr", 3, 1, 1 / 3, 0.5, {"user_id": "1", "served": None})
    report = SkewReport(
        3, (found,), {"phone": "needs it"}, "feed", "v1", NOW.isoformat(), NOW.isoformat(), NOW.isoformat()
    )
    other = write_skew(home, SkewReport(0, (), {}, "feed-two", "v1", NOW.isoformat()))
    for minutes in range(103):
        at = (NOW + timedelta(minutes=minutes)).isoformat()
        path = write_skew(home, SkewReport(report.rows, (found,), report.left_out, "feed", f"v{minutes}", at))
    assert newest_skew_file(home, "feed") == path
    latest = read_skew(path)
    assert (latest.model_version, latest.features, latest.share) == ("v102", (found,), 1 / 3)
    assert len(list(path.parent.glob("feed-2*.json"))) == 100
    assert other.exists()
    assert newest_skew_file(home, "nobody") is None
    path.write_text("[]")
    with pytest.raises(OritaError, match="orita features skew"):
        read_skew(path)


def _scaled(value: object, factor: float) -> float | None:
    return None if value is None or math.isnan(float(value)) else float(np.float64(value) * factor)  # type: ignore[arg-type]


def _only(rows: pa.Table, names: tuple[str, ...]) -> pa.Table:
    kept = [{name: row[name] for name in names} for row in rows["features"].to_pylist()]
    return logged(rows.drop_columns(["features"]).to_pylist(), kept)
