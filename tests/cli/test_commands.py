"""The command line as a new user meets it: the whole loop on a small world, and what goes wrong."""

from __future__ import annotations

import http.server
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli.small_world import command, orita_inside, told

from orita.cli.asking import ask_champion, ask_server
from orita.core.errors import UserError
from orita.project import open_project
from orita.serving.http.refusal import Refused
from orita.serving.predict.requests import RequestDecoder


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a server in *folder* and yield its address and its process."""
    process = subprocess.Popen(command("serve", "--port", "0", "--json"), cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["address"], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)
        if process.stdout:
            process.stdout.close()


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the whole loop ran once on a small world."""
    folder = tmp_path_factory.mktemp("loop")
    runs = told(folder, "run", "all")["runs"]
    assert [run["graph"] for run in runs] == ["etl_and_feature_engineering", "model_training", "promotion"]
    assert runs[-1]["tasks"][-1]["result"]["promoted"]
    return folder


def test_the_loop_closes(loop: Path) -> None:
    """A served champion answers users, their feedback is ingested once, monitoring reads both, and a retrained model
    that is not better is not promoted."""
    before = told(loop, "status")
    with serving(loop) as (address, _):
        traffic = told(loop, "simulate", address, "--requests", "40", "--items", "50")
        assert (traffic["requests"], traffic["failures"]) == (40, 0)
        answer = told(loop, "predict", "7", "1", "2", "3", "--device", "mobile", "--server", address)
        assert [p["rank"] for p in answer["predictions"]] == [1, 2, 3]
    after = told(loop, "status")
    assert after["events"] == before["events"] + traffic["ingested"] == before["events"] + traffic["shown"]
    assert after["predictions"] == before["predictions"] + 40 * 50 + 3
    assert Path(told(loop, "monitor")["report"]).exists()
    skipped = told(loop, "run", "retraining")["runs"][0]["tasks"]
    assert skipped[-1]["result"]["skipped"]
    retrained = told(loop, "run", "retraining", "--force")["runs"][0]["tasks"]
    verdict = retrained[-2]["result"]
    assert verdict["low"] <= verdict["delta"] <= verdict["high"]
    assert retrained[-1]["result"]["promoted"] == (verdict["low"] > 0)


def test_running_again_does_nothing_twice(loop: Path) -> None:
    """The same run on the same data adds no event, no model and no promotion."""

    def models() -> list[tuple[str, bool]]:
        return [(each["version"], "champion" in each["aliases"]) for each in told(loop, "models", "list")["models"]]

    before = models()
    runs = told(loop, "run", "all")["runs"]
    tasks = {task["name"]: task["result"] for run in runs for task in run["tasks"]}
    assert tasks["validate_data"]["tables"]["interactions"]["rows_new"] == 0
    assert told(loop, "status")["events"] >= 20_000
    if tasks["compute_features"]["cached"]:
        assert models() == before


def test_a_type_is_cross_validated(loop: Path) -> None:
    """Three folds in the order of time, each judged by a fresh model; the test rows are in none, nothing registered."""
    before = told(loop, "models", "list")
    found = told(loop, "cross-validate", "--type", "popularity", "--folds", "3")
    assert (found["order"], found["metric"], len(found["scores"])) == ("time", "auc", 3)
    assert found["mean_score"] == pytest.approx(sum(found["scores"]) / 3)
    assert min(found["scores"]) > 0.5
    folds = found["folds"]
    last = folds[-1]
    assert [fold["train_rows"] + fold["val_rows"] for fold in folds[1:]] == [
        fold["train_rows"] + fold["val_rows"] + fold["test_rows"] for fold in folds[:-1]
    ]
    rows = told(loop, "status")["training_rows"]
    assert last["train_rows"] + last["val_rows"] + last["test_rows"] == rows["train"] + rows["val"]
    assert told(loop, "models", "list") == before
    assert "folds is 1" in orita_inside(loop, "cross-validate", "--folds", "1", code=2)
    assert "'aucc'" in orita_inside(loop, "cross-validate", "--type", "popularity", "--metric", "aucc", code=2)


def test_a_model_shows_its_card(loop: Path) -> None:
    """The card is printed as it lies in the package, and what nobody said names the key that says it."""
    shown = told(loop, "models", "show")
    card = orita_inside(loop, "models", "show", "champion", "--card")
    assert card == (Path(shown["package"]) / "model_card.md").read_text()
    assert "*Not stated: `intended_use` of the card's text says it.*" in card
    assert told(loop, "models", "show", "--card") == {"version": shown["version"], "card": card}
    assert shown["tags"]["orita.code.project"] in orita_inside(loop, "models", "lineage", "champion")


def test_two_populations_do_not_mix_in_one_home(loop: Path) -> None:
    """Another synthetic world, or the events of another system, are refused by a home that holds events."""
    before = told(loop, "status")["events"]
    said = orita_inside(loop, "--set", "data_generation.seed=43", "run", "etl", code=2)
    assert "synthetic world of another configuration" in said
    (loop / "other.csv").write_text(
        "event_id,user_id,item_id,timestamp,click,dwell_time,device,position\na,1,2,2024-11-20T10:00:00Z,1,3.5,mobile,1\n"
    )
    said = orita_inside(loop, "--system", "movielens", "ingest", "other.csv", code=2)
    assert "holds the events of system 'feed', not of 'movielens'" in said
    said = orita_inside(loop, "ingest", "other.csv", code=2)
    assert "holds a synthetic world, with which other events do not mix" in said
    assert told(loop, "status")["events"] == before


def test_ingested_events_are_learnt_from_and_nothing_is_generated(tmp_path: Path) -> None:
    """``ingest`` and then ``run etl`` learns from what was ingested; the demo refuses to add its own world to it."""
    orita_inside(tmp_path, "--set", "data_generation.num_interactions=2000", "generate", "mine")
    ingested = told(tmp_path, "ingest", "mine")["tables"]["interactions"]["rows_new"]
    tasks = {task["name"]: task["result"] for task in told(tmp_path, "run", "etl")["runs"][0]["tasks"]}
    assert (tasks["generate_data"]["folder"], tasks["generate_data"]["rows"]) == (None, 2_000)
    assert ingested == 2_000 == sum(part["rows"] for part in tasks["create_train_val_test_splits"]["splits"].values())
    assert "shows a synthetic world" in orita_inside(tmp_path, "demo", code=2)


def test_a_new_champion_is_taken_up_and_a_rollback_undoes_it(loop: Path) -> None:
    """A running server answers with a promoted model within seconds, and with the earlier one after a rollback."""
    champion = told(loop, "models", "show")["version"]
    other = told(loop, "train", "--type", "popularity")["version"]
    with serving(loop) as (address, _):
        assert health(address)["model_version"] == champion
        orita_inside(loop, "models", "promote", other, "--reason", "a test")
        assert eventually(lambda: health(address)["model_version"] == other)
        orita_inside(loop, "models", "rollback")
        assert eventually(lambda: health(address)["model_version"] == champion)


def test_a_killed_server_loses_no_committed_prediction(loop: Path) -> None:
    """After ``kill -9`` a new server starts, and every prediction older than 100 ms is in the log once."""
    before = told(loop, "status")["predictions"]
    with serving(loop) as (address, process):
        for user in range(20):
            orita_free_predict(address, user)
        time.sleep(0.3)
        process.kill()
        process.wait(10)
    with serving(loop) as (address, _):
        orita_free_predict(address, 1)
    assert told(loop, "status")["predictions"] == before + 21 * 2


def orita_free_predict(address: str, user: int) -> None:
    """Ask for two items, without starting a process."""
    body = json.dumps({"user_id": user, "item_ids": [1, 2], "context": {"device": "mobile"}}).encode()
    request = urllib.request.Request(f"{address}/predict", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert len(json.load(answer)["predictions"]) == 2


def health(address: str) -> dict[str, Any]:
    """Return what the server says of itself."""
    with urllib.request.urlopen(f"{address}/health", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def eventually(holds: Any) -> bool:
    """Tell whether something comes true within 20 seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ingest", "absent.csv"], "absent.csv"),
        (["ingest", "empty.csv"], "empty.csv"),
        (["ingest", "wrong.csv"], "interaction_id"),
        (["run", "everything"], "'everything'"),
        (["--set", "training.epoch=5", "config"], "epochs"),
        (["--set", "trainin.epochs=5", "config"], "training"),
        (["--system", "fed", "status"], "'feed'"),
        (["models", "show"], "orita"),
        (["train"], "orita run etl"),
        (["predict", "1", "2"], "orita run all"),
        (["monitor"], "orita run all"),
        (["predict", "1", "2", "--server", "http://127.0.0.1:9"], "orita serve"),
        (["datasets", "--fetch", "movilens"], "movielens-100k"),
        (["--set", "training.epochs=[", "config"], "--set training.epochs"),
        (["--home", "empty.csv", "run", "etl"], "empty.csv is not a folder"),
        (["--home", "empty.csv", "status"], "empty.csv is not a folder"),
        (["--home", "empty.csv/below", "run", "etl"], "empty.csv"),
        (["init", "empty.csv/shop"], "empty.csv"),
        (["config", "trainin.epochs"], "'training.epochs'"),
        (["config", "epoch"], "'training.epochs'"),
        (["--set", "model.type=two_towr", "config"], "'two_tower'"),
        (["train", "--type", "lightgmb"], "'lightgbm'"),
        (["cross-validate", "linear"], "is an option, --type linear"),
        (["predict", "99999999999999999999999", "7"], "user_id has the value 99999999999999999999999"),
        (["predict", "1", "2", "2"], "more than once"),
        (["predict", "1", ""], "item_ids[0] has the value"),
        (["predict", "1", "2", "--device", "fridge"], "'fridge', allowed are mobile"),
        (["predict", "1", "2", "--timestamp", "noon"], "context.timestamp has the value"),
        (["predict", "1", "2", "--server", "http://bad host"], "is not an address"),
        (["predict", "1", "2", "--server", "http://[bad"], "is not an address"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path: Path, arguments: list[str], says: str) -> None:
    """Every mistake of a user gets one sentence that says what to do, exit code 2, and changes nothing."""
    (tmp_path / "empty.csv").touch()
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    said = orita_inside(tmp_path, *arguments, code=2)
    assert says in said
    assert "Traceback" not in said


@contextmanager
def stranger(status: int, content: bytes) -> Iterator[str]:
    """Run a server that answers every POST with *content*, and yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "content", "says"),
    [
        (200, b"<html>", "answered 200 with something"),
        (200, b"[]", "answered 200 with something"),
        (200, b"{}", "answered 200 with something"),
        (404, b"<html>", "answered 404 with something"),
        (422, b'{"message": "item_ids is empty."}', "item_ids is empty."),
    ],
)
def test_a_server_that_is_not_ours_is_one_sentence(status: int, content: bytes, says: str) -> None:
    """Whatever a server answers, it is a prediction or an error in a sentence; a sentence of its own is passed on."""
    with stranger(status, content) as address, pytest.raises(UserError) as caught:
        ask_server(address, {"user_id": 1, "item_ids": [2], "context": {}})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"user_id": -5, "item_ids": [1]}, "user_id has the value -5"),
        ({"user_id": 1, "item_ids": []}, "item_ids is empty"),
        ({"user_id": 1, "item_ids": [1, "1"]}, "more than once"),
        ({"user_id": 1, "item_ids": [1], "context": {"timestamp": "2024-11-15T10:30:00"}}, "context.timestamp"),
    ],
)
def test_in_process_the_same_is_refused(tmp_path: Path, request_: dict[str, Any], says: str) -> None:
    """What a server refuses is refused in process too, in the words of the server."""
    project = open_project(tmp_path, home=tmp_path)
    with pytest.raises(Refused) as refused:
        RequestDecoder(project.main.value.serving)(json.dumps(request_).encode())
    with pytest.raises(UserError) as caught:
        ask_champion(project, request_)
    assert says in str(caught.value)
    assert str(caught.value) == refused.value.message


def test_a_project_is_made_and_used(tmp_path: Path) -> None:
    """``orita init`` writes files that a user can change; the changed value is in force, and says where it is from."""
    made = told(tmp_path, "init", "shop")["files"]
    assert sorted(Path(path).name for path in made) == [
        "data_config.yaml",
        "features.py",
        "model_config.yaml",
        "monitoring_config.yaml",
        "orita.yaml",
    ]
    file = tmp_path / "shop" / "model_config.yaml"
    file.write_text(file.read_text().replace("patience: 2", "patience: 7"))
    shown = json.loads(
        subprocess.run(
            [sys.executable, "-m", "orita", "config", "training.early_stopping.patience", "--json"],
            cwd=tmp_path / "shop",
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    assert shown["model_config.yaml"] == [{"key": "training.early_stopping.patience", "value": 7, "origin": str(file)}]
    assert "exists already" in orita_inside(tmp_path, "init", "shop", code=2)
    assert not (tmp_path / "shop" / ".orita").exists()


def test_home_and_datasets_only_look(tmp_path: Path) -> None:
    """Commands that look leave nothing behind."""
    orita_inside(tmp_path, "home")
    orita_inside(tmp_path, "config")
    names = [dataset["name"] for dataset in told(tmp_path, "datasets")["datasets"]]
    assert "movielens-100k" in names
    assert list(tmp_path.iterdir()) == []
