"""The commands of the feature store, on a small project."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.features.small_system import DECLARED, declared_system, events, write_jsonl
from typer.testing import CliRunner

import orita.cli.run  # noqa: F401 - it registers its command
from orita.cli import data, feature_values, features, learn  # noqa: F401 - they register their commands
from orita.cli.app import app
from orita.control.deployments import Deployments
from orita.core.clock import SystemClock, to_micros
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.events.prediction_segment import ScoredRequest
from orita.features.schema import FeatureSchema
from orita.monitoring.skew_report import newest_skew_file, read_skew
from orita.serving.log.prediction_log import PredictionLog
from orita.serving.protocols import LogStream

VERSION = "v1.1.0"


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """Run a command in the project *folder*; return what it printed, raise what it could not do."""
    home = ("--home", str(folder / ".orita"))
    result = CliRunner().invoke(app, ["--quiet", "-p", str(folder), *home, *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def told(folder: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command with ``--json`` and return its result."""
    found: dict[str, Any] = json.loads(run(folder, *arguments, "--json", code=code).splitlines()[-1])
    return found


def project(folder: Path, text: str = DECLARED) -> Path:
    """Write a project with the declarations *text* and return its folder."""
    (folder / "orita.yaml").write_text("system: features.py\n")
    (folder / "features.py").write_text(text)
    return folder


def recent_events(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return events that ended an hour ago."""
    return events(count, start=start, last=SystemClock().now() - timedelta(hours=1))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose features are computed and published, and a package that reads two of them; it is only read."""
    folder = project(tmp_path_factory.mktemp("project"))
    write_jsonl(folder / "events.jsonl", recent_events(300))
    run(folder, "run", "etl", "--data", str(folder / "events.jsonl"))
    publish_package(folder, declared_system().schema(["user_clicks", "device", "item_ctr"]))
    return folder


def publish_package(folder: Path, schema: FeatureSchema) -> None:
    """Deploy a package that says what it reads, and nothing else."""
    home = Home(folder / ".orita")
    package = home.packages / "small" / VERSION
    package.mkdir(parents=True)
    (package / "schema.json").write_text(json.dumps(schema.to_dict()))
    (package / "package.json").write_text(json.dumps({"extra": {"training_set": "0000"}}))
    Deployments(home.control_db).deploy("small", VERSION, actor="test", reason="test")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """A project with events in the lake and published features, to be changed."""
    folder = project(tmp_path)
    run(folder, "ingest", str(write_jsonl(folder / "events.jsonl", recent_events(60))))
    run(folder, "features", "backfill")
    yield folder


def test_list_tells_what_there_is_and_who_reads_it(made: Path) -> None:
    """Every declared feature is listed with notes, version, fill rate and the models that read it."""
    found = {each["name"]: each for each in told(made, "features", "list")["features"]}
    assert list(found) == ["user_clicks", "item_ctr", "recent", "device", "hour", "never"]
    clicks = found["user_clicks"]
    assert (clicks["side"], clicks["kind"], clicks["version"], clicks["owner"]) == ("user", "number", 1, "growth")
    assert (clicks["fresh_seconds"], clicks["filled"], clicks["models"]) == (0.001, 1.0, [VERSION])
    assert (found["recent"]["models"], found["never"]["filled"]) == ([], 0.0)
    shown = run(made, "features", "list")
    for text in ("user_clicks", "growth", "Clicks", VERSION, "100.0%"):
        assert text in shown


def test_show_tells_all_of_one_feature(made: Path) -> None:
    """Declaration in words, versions with their dates, columns, what a key costs, who reads it."""
    found = told(made, "features", "show", "recent")
    assert found["declared"] == "number of events in interactions, by item, over 1d"
    assert found["cost"]["allowed"] == 64 * 1024
    assert found["cost"]["slots"] == 8
    assert found["cost"]["keys"] == 5
    assert found["cost"]["largest"] >= found["cost"]["past"] > 20 * 48  # every event of a day is kept
    assert [version["number"] for version in found["versions"]] == [1]
    assert len(found["training_sets"]) == 1
    shown = run(made, "features", "show", "device")
    for text in ("a flag for each of mobile, desktop, tablet of device of the request", "device_tablet", VERSION):
        assert text in " ".join(shown.split())
    with pytest.raises(NotFound, match="'recent'"):
        run(made, "features", "show", "recnt")


def test_lineage_leads_from_columns_to_models(made: Path) -> None:
    """The tree begins at the source's columns and ends at the models that read the feature."""
    found = told(made, "features", "lineage", "item_ctr")
    assert found["lineage"]["step"] == "ratio"
    assert {"interactions.click", "interactions.item_id"} <= set(found["lineage"]["columns"])
    assert [model["version"] for model in found["models"]] == [VERSION]
    assert found["models"][0]["aliases"] == ["champion"]
    drawn = run(made, "features", "lineage", "item_ctr")
    order = [
        drawn.index(text) for text in ("item_ctr version 1", "ratio", "interactions.click", "training set", VERSION)
    ]
    assert order == sorted(order)


def test_read_online_and_from_history_agree(made: Path, tmp_path: Path) -> None:
    """A user and items, and the same as rows of a file in any format, have the same features."""
    at = SystemClock().now().isoformat()
    online = told(made, "features", "read", "3", "100", "999", "--device", "mobile", "--at", at)["rows"]
    asked = [{"user_id": 3, "item_id": item, "timestamp": at, "device": "mobile"} for item in (100, 999)]
    rows = write_jsonl(tmp_path / "rows.jsonl", asked)
    offline = told(made, "features", "read", "--rows", str(rows))["rows"]
    given = asked[0].keys()
    assert [{**row, "item_id": a["item_id"]} for row, a in zip(offline, asked, strict=True)] == offline
    assert [{k: v for k, v in row.items() if k not in given - {"item_id"}} for row in offline] == online
    assert online[0]["user_clicks"] > 0 and online[0]["device_mobile"] == 1
    for ending in ("csv", "parquet", "jsonl"):
        out = tmp_path / f"out.{ending}"
        assert told(made, "features", "read", "--rows", str(rows), "--out", str(out))["rows"] == 2
        again = told(made, "features", "read", "--rows", str(rows), "--features", "user_clicks", "--as-of", "event")
        assert [row["user_clicks"] for row in again["rows"]] == [row["user_clicks"] for row in offline]
    assert pq.read_table(tmp_path / "out.parquet")["item_ctr"].to_pylist() == [row["item_ctr"] for row in offline]
    header, first, _ = (tmp_path / "out.csv").read_text().splitlines()
    assert header.startswith('"user_id","item_id","timestamp","device","user_clicks"') and first.startswith("3,100,")
    shown = run(made, "features", "read", "3", "100", "--features", "user_clicks,hour")
    assert [line.split()[0] for line in shown.splitlines()] == ["item_id", "user_clicks", "hour"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["3"], ["at least one item"]),
        (["3", "100", "--features", "hours"], ["'hours'", "'hour'"]),
        (["3", "100", "--context", "device"], ["'device'", "name=value"]),
        (["3", "100", "--context", "devic=mobile"], ["'devic'", "'device'"]),
        (["3", "100", "--at", "noon"], ["--at", "'noon'", "ISO 8601"]),
        (["3", "100", "--at", "2020-01-01"], ["not after the latest event"]),
        (["--rows", "nowhere.csv"], ["nowhere.csv", "does not exist"]),
        (["--rows", "rows.txt"], ["rows.txt", ".csv"]),
        (["3", "100", "--rows", "rows.csv"], ["--rows"]),
        (["--rows", "rows.csv", "--as-of", "then"], ["'then'", "'known'"]),
    ],
)
def test_what_cannot_be_read_is_one_sentence(made: Path, arguments: list[str], words: list[str]) -> None:
    """Each mistake is told by option and value, with what is allowed."""
    with pytest.raises(UserError) as error:
        run(made, "features", "read", *arguments)
    assert all(word in str(error.value) for word in words)


def test_push_and_stream_bring_each_event_in_once(fresh: Path, tmp_path: Path) -> None:
    """A file of any format, pushed twice, is in the online features, the history and the lake once."""
    more = recent_events(70)[60:]
    files = [write_jsonl(tmp_path / "more.jsonl", more), tmp_path / "more.csv"]
    names = list(more[0])
    lines = [",".join([*names, "unasked"]), *(",".join([*map(str, row.values()), "x"]) for row in more)]
    files[1].write_text("\n".join(lines) + "\n")
    before = told(fresh, "features", "read", "3", "100")["rows"][0]["user_clicks"]
    assert told(fresh, "features", "push", str(files[0])) == {"rows": 10, "left_out": [], "offsets": AnyOffsets()}
    assert told(fresh, "features", "push", str(files[1]))["left_out"] == ["unasked"]
    late = told(fresh, "features", "check", code=1)
    assert [fault["code"] for fault in late["faults"]] == ["stale"]
    assert "20 events of the log" in late["faults"][0]["sentence"]
    assert {each["table"]: each["log_rows"] for each in late["behind"]} == {"interactions": 20}
    done = told(fresh, "features", "stream", "--once")
    assert (done["counted"], done["duplicates"], done["waiting"]) == (10, 10, 0)
    assert told(fresh, "features", "check")["ok"]
    clicked = sum(row["click"] for row in more if row["user_id"] == 3)
    assert clicked == 1
    assert told(fresh, "features", "read", "3", "100")["rows"][0]["user_clicks"] == before + clicked
    assert told(fresh, "features", "stream", "--for", "0", "--no-lake")["counted"] == 0


class AnyOffsets(dict[str, int]):
    """Equal to any offsets that end ten rows on in all."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and sum(other.values()) == 10

    __hash__ = None


def test_a_backfill_and_a_stream_count_each_event_once(fresh: Path) -> None:
    """What the stream brought into the lake is published from there, and the stream goes on after it."""
    for start in (60, 70):
        rows = [{**row, "click": 1} for row in recent_events(80)[start : start + 10]]
        run(fresh, "features", "push", str(write_jsonl(fresh / "more.jsonl", rows)))
        assert told(fresh, "features", "stream", "--once")["counted"] == 10
        before = told(fresh, "features", "read", "3", "100", "101", "--features", "user_clicks,item_ctr")
        assert told(fresh, "features", "backfill")["events"] == start + 10
        assert told(fresh, "features", "check")["behind"][0]["log_rows"] == 0
        done = told(fresh, "features", "stream", "--once")
        assert (done["counted"], done["duplicates"]) == (0, 0)
        assert told(fresh, "features", "read", "3", "100", "101", "--features", "user_clicks,item_ctr") == before


def test_a_stream_goes_on_until_it_is_stopped(fresh: Path) -> None:
    """What is pushed while a stream runs is taken; SIGTERM ends it in order, with what it did."""
    arguments = ["--quiet", "-p", str(fresh), "--home", str(fresh / ".orita"), "features", "stream", "--json"]
    process = subprocess.Popen([sys.executable, "-m", "orita", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        run(fresh, "features", "push", str(write_jsonl(fresh / "more.jsonl", recent_events(65)[60:])))
        for _ in range(600):
            if not told_whatever(fresh, "features", "check")["behind"][0]["log_rows"]:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    done = json.loads(output.splitlines()[-1])
    assert (process.returncode, done["counted"], done["waiting"]) == (0, 5, 0)


def told_whatever(folder: Path, *arguments: str) -> dict[str, Any]:
    """Return the JSON result of a command whose exit code may be 0 or 1."""
    home = ("--home", str(folder / ".orita"))
    result = CliRunner().invoke(app, ["--quiet", "-p", str(folder), *home, *arguments, "--json"])
    assert result.exit_code in (0, 1), result.output
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_a_push_of_an_unsound_file_takes_nothing(fresh: Path, tmp_path: Path) -> None:
    """The sentence names the row of the file, the column, the value; the log stays as it was."""
    rows = recent_events(5, start=100)
    rows[3]["dwell_time"] = 1000.0
    file = write_jsonl(tmp_path / "bad.jsonl", rows)
    with pytest.raises(UserError, match=r"row 4: dwell_time is 1000.0; .*to 300"):
        run(fresh, "features", "push", str(file))
    with pytest.raises(NotFound, match="'interactions'"):
        run(fresh, "features", "push", str(file), "--source", "interaction")
    (tmp_path / "torn.jsonl").write_text('{"interaction_id": "a"}\n{"interac')
    with pytest.raises(UserError, match="line 2 is not JSON"):
        run(fresh, "features", "push", str(tmp_path / "torn.jsonl"))
    assert told(fresh, "features", "check")["ok"]


def test_check_finds_what_is_wrong(fresh: Path) -> None:
    """A changed declaration is found in registry and published state; backfill keeps the version the champion reads."""
    assert told(fresh, "features", "check") == {"features": 6, "ok": True, "faults": [], "behind": AnyBehind()}
    publish_package(fresh, declared_system().schema(["recent", "item_ctr"]))
    project(fresh, DECLARED.replace('over("1d"), "Shown of late.", cost="64KB"', 'over("3d"), "Late.", cost="100B"'))
    faults = {fault["code"]: fault for fault in told(fresh, "features", "check", code=1)["faults"]}
    assert set(faults) == {"not_recorded", "other_plan"}
    assert faults["not_recorded"]["feature"] == "recent"
    assert told(fresh, "features", "backfill")["recorded"] == ["recent"]
    faults = {fault["code"]: fault for fault in told(fresh, "features", "check", code=1)["faults"]}
    assert set(faults) == {"costs_more"}
    assert "100 are allowed" in faults["costs_more"]["sentence"]
    shown = run(fresh, "features", "check", code=1)
    assert "6 features, 1 faults." in shown and "→" in shown
    assert [v["number"] for v in told(fresh, "features", "show", "recent")["versions"]] == [1, 2]
    (registry,) = (fresh / ".orita" / "features").rglob("*.json")
    registry.unlink()  # nobody knows any more what the champion reads
    faults = {fault["code"]: fault for fault in told(fresh, "features", "check", code=1)["faults"]}
    assert VERSION in faults["model_reads_other"]["sentence"]


class AnyBehind(list[object]):
    """Equal to a list in which nothing is behind."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and bool(other) and not any(each["seconds"] for each in other)

    __hash__ = None


def test_a_feature_that_never_has_a_value_is_a_fault(made: Path) -> None:
    """A column that the data lack shows as a feature that no row of the training set fills."""
    (fault,) = told(made, "features", "check", code=1)["faults"]
    assert (fault["code"], fault["feature"]) == ("never_filled", "never")
    assert "interactions.position" in fault["remedy"]


def test_an_ingest_makes_what_must_be_fresh_stale(fresh: Path) -> None:
    """Events that are in the lake and not in the online features are told, until they are published."""
    run(fresh, "ingest", str(write_jsonl(fresh / "more.jsonl", recent_events(10, start=60))))
    (fault,) = told(fresh, "features", "check", code=1)["faults"]
    assert (fault["code"], fault["feature"]) == ("stale", "user_clicks")
    assert "1 change of table 'interactions'" in fault["sentence"] and "backfill" in fault["remedy"]
    run(fresh, "features", "backfill")
    assert told(fresh, "features", "check")["ok"]


def test_nothing_published_is_said(tmp_path: Path) -> None:
    """Before the first publication, check says what to run, and list shows the declarations alone."""
    folder = project(tmp_path)
    codes = {fault["code"] for fault in told(folder, "features", "check", code=1)["faults"]}
    assert codes == {"not_recorded", "not_published"}
    assert len(told(folder, "features", "list")["features"]) == 6
    with pytest.raises(UserError, match="no champion"):
        run(folder, "features", "skew")


def test_skew_writes_what_it_found(made: Path) -> None:
    """The served rows of the champion are computed again; the report is shown, kept, and the worst comes first."""
    home = Home(made / ".orita")
    asked = ("3", "100", "101", "--device", "mobile", "--features", "user_clicks,device,item_ctr")
    log_answer(home, told(made, "features", "read", *asked)["rows"])
    found = told(made, "features", "skew", "--last", "1h")
    assert (found["rows"], found["system"], found["model_version"]) == (2, "small", VERSION)
    assert found["features"][0]["name"] == "user_clicks" and found["features"][0]["share"] == 0.5
    assert [feature["mismatches"] for feature in found["features"]] == [1, 0, 0, 0, 0]
    path = newest_skew_file(home, "small")
    assert path is not None
    kept = json.loads(json.dumps(read_skew(path).to_dict()))
    assert kept == {k: v for k, v in found.items() if k != "report"}
    shown = run(made, "features", "skew", "--sample", "10")
    assert "user_clicks" in shown and "50.00%" in shown and "Report:" in shown
    with pytest.raises(UserError, match="--last"):
        run(made, "features", "skew", "--last", "soon")


def log_answer(home: Home, rows: list[dict[str, Any]]) -> None:
    """Log one answer of two items to user 3, with a wrong number of clicks for the second."""
    rows[1]["user_clicks"] += 1
    names = tuple(name for name in rows[0] if name != "item_id")
    now = to_micros(SystemClock().now())
    x_NF = np.array([[row[name] for name in names] for row in rows], np.float32)
    answer = ScoredRequest(
        at_micros=now,
        as_of_micros=now,
        request_id="r1",
        salt=1,
        user_id=3,
        item_ids=[row["item_id"] for row in rows],
        latency_ms=1.0,
        scores=np.zeros(len(rows), np.float32).tobytes(),
        ranks=np.arange(1, len(rows) + 1, dtype=np.int32).tobytes(),
        features=x_NF.tobytes(),
    )
    log = PredictionLog(home)
    log.start()
    log.append(LogStream("small", VERSION, names), answer)
    log.close()


def test_retain_says_where_the_log_begins(fresh: Path) -> None:
    """What the configuration does not limit is refused with what to set; else nothing young goes, and it is said."""
    write_jsonl(fresh / "more.jsonl", recent_events(20, start=60))
    run(fresh, "features", "push", str(fresh / "more.jsonl"))
    with pytest.raises(UserError, match="set days, gigabytes or both"):
        run(fresh, "features", "retain")
    (fresh / "orita.yaml").write_text("system: features.py\nevents: {retention: {days: 30}}\n")
    assert told(fresh, "features", "retain") == {"interactions": {str(part): 0 for part in range(4)}}
    assert "The log begins at" in run(fresh, "features", "retain")
