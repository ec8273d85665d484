"""The prediction log is looked at, exported and let go, requests are explained and replayed, on the command line."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cli.small_world import orita_inside, told
from tests.explain.served_home import answered, served_home
from tests.features.small_system import DECLARED, NOW

HERE = ("--home", "home")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose champion answered three requests on two days; to one of them it would not say the same."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "orita.yaml").write_text("system: features.py\n")
    (folder / "features.py").write_text(DECLARED)
    workspace, package = served_home(folder)
    answered(workspace, package, "r0", 5, at=NOW - timedelta(days=1))
    answered(workspace, package, "spoilt", 4, spoilt=0.01, at=NOW + timedelta(seconds=1))
    return folder


def test_list_days_and_show(project: Path) -> None:
    """The latest requests come first, days tell their rows, a request its items; all of it for programs too."""
    shown = orita_inside(project, *HERE, "predictions", "list")
    assert shown.index("spoilt") < shown.index("r1") < shown.index("r0")
    assert [r["request_id"] for r in told(project, *HERE, "predictions", "list", "--user", "5")["requests"]] == ["r0"]
    assert told(project, *HERE, "predictions", "list", "--date", "2024-11-19")["requests"][0]["items"] == 4
    assert "No such request" in orita_inside(project, *HERE, "predictions", "list", "--user", "77")
    days = told(project, *HERE, "predictions", "days")["days"]
    assert [(day["day"], day["rows"], day["parts"]) for day in days] == [("2024-11-19", 4, 1), ("2024-11-20", 8, 2)]
    assert "2024-11-20" in orita_inside(project, *HERE, "predictions", "days")
    shown = orita_inside(project, *HERE, "predictions", "show", "r1", "--features")
    assert "device_mobile" in shown and "item 999" in shown
    found = told(project, *HERE, "predictions", "show", "r1")
    assert found["items"][0]["rank"] == 1 and found["items"][0]["features"]["device_mobile"] == 1
    assert "has the id 'nobody'" in orita_inside(project, *HERE, "predictions", "show", "nobody", code=2)
    assert "give a UTC day" in orita_inside(project, *HERE, "predictions", "list", "--date", "yesterday", code=2)


def test_export(project: Path) -> None:
    """Each day becomes one file; a day without predictions is refused, with the days there are."""
    files = told(project, *HERE, "predictions", "export", "--csv", "out")["files"]
    assert [Path(file).name for file in files] == ["predictions_2024-11-19.csv", "predictions_2024-11-20.csv"]
    with (project / files[0]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["request_id"] for row in rows} == {"r0"}
    assert json.loads(rows[0]["features"])["device_mobile"] == 1
    refused = orita_inside(project, *HERE, "predictions", "export", "--date", "2020-01-01", "--csv", "no", code=2)
    assert "no predictions were logged on 2020-01-01" in refused
    assert not (project / "no").exists()


def test_explain(project: Path) -> None:
    """The table names features, values and contributions, the page stands alone, the object adds up to the score."""
    shown = orita_inside(project, *HERE, "explain", "r1", "--html", "why.html")
    for text in ("request r1 of user 3: 4 items", "held against", "moved by", "rank 1 of 4", "The page is why.html"):
        assert text in shown
    page = (project / "why.html").read_text()
    assert (
        "Why: request r1" in page
        and "number of events in interactions" in page
        and "://" not in page.split("</style>")[-1]
    )
    (item,) = told(project, *HERE, "explain", "r1", "--item", "102", "--no-lineage")["items"]
    assert item["item_id"] == "102"
    assert "did not ask for item '7'" in orita_inside(project, *HERE, "explain", "r1", "--item", "7", code=2)
    assert "+0.01 of the score is not the model's" in orita_inside(project, *HERE, "explain", "spoilt", "--no-lineage")
    twice = orita_inside(project, *HERE, "explain", "r1", "--item", "102", "--item", "102", code=2)
    assert "names an item twice" in twice


def test_replay(project: Path) -> None:
    """What is reproduced ends with 0, what is not with 1 and says so; another version is shown beside the log."""
    assert "Reproduced: the largest difference" in orita_inside(project, *HERE, "replay", "r1")
    assert told(project, *HERE, "replay", "r0", "--model", "champion")["reproduced"] is True
    orita_inside(project, *HERE, "replay", "spoilt", code=1)
    assert "has no model 'v9.9.9'" in orita_inside(project, *HERE, "replay", "r1", "--model", "v9.9.9", code=2)


def test_replay_of_a_span(project: Path) -> None:
    """A span of time is told part by part, with what differs and why; a page says the same; the exit code is 1 then."""
    span = ("replay", "--from", "2024-11-19", "--to", "2024-11-21")
    assert "4 of 12 differ" in orita_inside(project, *HERE, *span, "--scores", "--html", "replay.html", code=1)
    page = (project / "replay.html").read_text()
    assert "other_score" in page and "spoilt" in page and "Differences by day" in page
    found = json.loads(orita_inside(project, *HERE, *span, "--json", code=1))
    parts = {part["name"]: part for part in found["parts"]}
    assert list(parts) == ["events", "features", "profiles", "metrics", "scores"]
    assert (parts["features"]["different"], parts["scores"]["kinds"]) == (0, {"other_score": 4})
    until = orita_inside(project, *HERE, *span[:3], "--to", "2024-11-20T00:00:00Z", "--scores", "--features")
    assert "Equal: 36 were compared, and none differs." in until


def test_what_cannot_be_replayed(project: Path) -> None:
    """A request and a span at once, neither, an option of the other, an empty span and one without rows are refused."""
    for arguments, sentence in (
        (("r1", "--from", "2024-11-19"), "REQUEST and --from are given"),
        (("--model", "champion", "--from", "2024-11-19"), "--model and --from are given"),
        ((), "give the id of a request, or a span of time"),
        (("r1", "--html", "page.html"), "--html is for a span of time"),
        (("--from", "2024-11-19", "--to", "2024-11-18"), "is not before --to"),
        (("--from", "tomorrow"), "give a time in ISO 8601"),
        (("--from", "1999-01-01", "--to", "1999-01-02"), "there is nothing to replay"),
    ):
        assert sentence in orita_inside(project, *HERE, "replay", *arguments, code=2)


def test_retain(project: Path, tmp_path: Path) -> None:
    """Without a limit nothing goes and it is said how to set one; with one, old days go and the present stays."""
    refused = orita_inside(project, *HERE, "predictions", "retain", code=2)
    assert "serving.log.retention_days in orita.yaml is not set" in refused
    answered_ = ("--home", str(tmp_path / "empty"))
    assert "Nothing was older" in orita_inside(project, *answered_, "predictions", "retain", "--days", "3")
    done = told(project, *answered_, "--set", "serving.log.retention_days=2", "predictions", "retain")
    assert (done["files"], done["held"]) == (0, 0)
    assert "log is empty" in orita_inside(project, *answered_, "predictions", "days")
    assert "nothing to export" in orita_inside(project, *answered_, "predictions", "export", code=2)
