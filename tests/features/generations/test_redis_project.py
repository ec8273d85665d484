"""A whole project on Redis, by configuration alone: commands, HTTP, several systems, a server that is away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from tests.cli.test_features import project, recent_events, run, told
from tests.features.small_system import DECLARED, declared_system, write_jsonl
from tests.features.stores.redis_process import RedisProcess
from tests.serving.patience import attempts

from orita.cli import show  # noqa: F401 - it registers its commands
from orita.control.deployments import Deployments
from orita.core.clock import SystemClock
from orita.core.errors import UserError
from orita.features.stores.store import StoreAway
from orita.project import Project, open_project
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import AsgiClient
from orita.testing.serving import LinePackage, load_line_package, publish_line_package

ONLINE = "/api/v1/features/online"
READ = ["user_clicks", "recent", "item_ctr"]


def on_redis(folder: Path, process: RedisProcess, prefix: str, text: str = DECLARED) -> Path:
    """Write a project whose online store is Redis."""
    folder.mkdir(exist_ok=True)
    project(folder, text)
    url = process.config.url
    (folder / "orita.yaml").write_text(
        f"system: features.py\nonline:\n  store: redis\n  redis:\n    url: {url}\n    prefix: {prefix}\n"
    )
    return folder


@pytest.fixture
def process(tmp_path: Path) -> Iterator[RedisProcess]:
    """A server of the test's own, to be killed."""
    (tmp_path / "redis").mkdir()
    process = RedisProcess(tmp_path / "redis")
    yield process
    process.kill()


def opened(folder: Path) -> Project:
    """Return the project in *folder*."""
    return open_project(folder, home=folder / ".orita")


def test_the_whole_loop_on_redis(redis_process: RedisProcess, tmp_path: Path) -> None:
    """ETL, publish, read online as offline, push, stream, read, publish anew: on Redis, and nothing in the home."""
    prefix = uuid4().hex
    folder = on_redis(tmp_path / "small", redis_process, prefix)
    write_jsonl(folder / "events.jsonl", recent_events(60))
    run(folder, "run", "etl", "--data", str(folder / "events.jsonl"))
    at = SystemClock().now().isoformat()
    online = told(folder, "features", "read", "3", "100", "999", "--device", "mobile", "--at", at)["rows"]
    asked = [{"user_id": 3, "item_id": item, "timestamp": at, "device": "mobile"} for item in (100, 999)]
    offline = told(folder, "features", "read", "--rows", str(write_jsonl(tmp_path / "rows.jsonl", asked)))["rows"]
    assert [{name: row[name] for name in online[0]} for row in offline] == online
    assert online[0]["user_clicks"] > 0

    more = [{**row, "click": 1} for row in recent_events(70)[60:]]
    run(folder, "features", "push", str(write_jsonl(tmp_path / "more.jsonl", more)))
    assert told_faults(folder) == ["never_filled", "stale"]
    done = told(folder, "features", "stream", "--once")
    assert (done["counted"], done["waiting"], done["away"]) == (10, 0, "")
    clicks = sum(row["user_id"] == 3 for row in more)
    assert told(folder, "features", "read", "3", "100")["rows"][0]["user_clicks"] == online[0]["user_clicks"] + clicks
    assert told_faults(folder) == ["never_filled"]
    assert told(folder, "status")["online_features"]["events"] == 60
    assert {each["name"] for each in told(folder, "features", "list")["features"]} >= set(READ)
    assert told(folder, "features", "show", "recent")["cost"]["keys"] == 5

    names = [done["generation"]]
    for start in (70, 80):
        run(folder, "ingest", str(write_jsonl(tmp_path / "late.jsonl", recent_events(10, start=start))))
        names.append(told(folder, "features", "backfill")["generation"])
    with closing(opened(folder).generations()) as generations:
        assert generations.names() == tuple(names[1:]), "the first generation is retired, the one before is kept"
    assert told(folder, "features", "read", "3", "100")["rows"][0]["user_clicks"] > 0
    assert not (folder / ".orita" / "online").exists()


def told_faults(folder: Path) -> list[str]:
    """Return the faults that a check finds."""
    return sorted(fault["code"] for fault in told(folder, "features", "check", code=1)["faults"])


def test_systems_and_prefixes_on_one_server_do_not_mix(redis_process: RedisProcess, tmp_path: Path) -> None:
    """Two systems with one prefix, and two projects of one system with a prefix each, have their own features."""
    prefix, other = uuid4().hex, uuid4().hex
    folders = [
        on_redis(tmp_path / "one", redis_process, prefix),
        on_redis(tmp_path / "two", redis_process, prefix, DECLARED.replace('system("small"', 'system("second"')),
        on_redis(tmp_path / "three", redis_process, other),
    ]
    for number, folder in enumerate(folders):
        rows = [{**row, "click": 1, "user_id": 3} for row in recent_events(5 + number)]
        run(folder, "ingest", str(write_jsonl(folder / "events.jsonl", rows)))
        run(folder, "features", "backfill")
    clicks = [told(folder, "features", "read", "3", "100")["rows"][0]["user_clicks"] for folder in folders]
    assert clicks == [5, 6, 7]


def published(folder: Path, process: RedisProcess) -> Project:
    """Publish 60 events of a project on *process*."""
    on_redis(folder, process, "orita")
    run(folder, "ingest", str(write_jsonl(folder / "events.jsonl", recent_events(60))))
    run(folder, "features", "backfill")
    return opened(folder)


def deployed(folder: Path, process: RedisProcess) -> Project:
    """Do the same, and deploy a model that reads three features."""
    project = published(folder, process)
    publish_line_package(project.home, "small", "v1.0.0", READ)
    Deployments(project.home.control_db).deploy("small", "v1.0.0", actor="test", reason="test")
    return project


def load(folder: Path) -> LinePackage:
    """Return a package that reads features of the small system."""
    return replace(load_line_package(folder), schema=declared_system().schema(READ))


def test_a_server_without_redis_says_so_and_recovers(process: RedisProcess, tmp_path: Path) -> None:
    """While Redis is away predictions are of level 2, features get 503 and a sentence; then all is as before."""
    opened = deployed(tmp_path / "small", process)
    features, config = opened.online_features(), ServingConfig.model_validate({"reload_seconds": 0.05})
    store = opened.feature_store(online=features)
    asked = {"user_id": 3, "item_ids": [100, 101]}
    app = create_app(opened.home, "small", features, config, store=store, load=load)
    with closing(store), AsgiClient(app) as client:
        before = client.post("/predict", json=asked).json()["predictions"]
        assert client.post(ONLINE, json=asked).status == 200
        process.kill()
        below = client.post("/predict", json=asked).json()
        assert (below["level"], below["reason"], below["predictions"]) == (2, "failed", before)
        answer = client.post(ONLINE, json=asked)
        assert (answer.status, answer.json()["code"]) == (503, "features_unavailable")
        assert answer.headers["retry-after"] == "1"
        assert process.config.url in answer.json()["message"]
        health = client.get("/health")
        assert (health.status, health.json()["status"]) == (200, "degraded")
        process.start()
        again = client.post("/predict", json=asked).json()
        assert (again["level"], again["predictions"]) == (1, before)
        assert client.post(ONLINE, json=asked).status == 200
    features.close()


def test_a_server_that_starts_before_redis_is_ready_later(process: RedisProcess, tmp_path: Path) -> None:
    """Started while Redis is away, the server says that it has read no features, and reads them once Redis is there."""
    opened = deployed(tmp_path / "small", process)
    process.kill()
    features, config = opened.online_features(), ServingConfig.model_validate({"reload_seconds": 0.01})
    with AsgiClient(create_app(opened.home, "small", features, config, load=load)) as client:
        ready = client.get("/health/ready")
        assert (ready.status, ready.json()["status"]) == (503, "no_features")
        assert "is away" in ready.json()["detail"]
        process.start()
        for _ in attempts():
            if client.get("/health/ready").status == 200:
                break
        assert client.post("/predict", json={"user_id": 3, "item_ids": [100]}).json()["level"] == 1
    features.close()


def test_commands_without_redis_are_one_sentence(process: RedisProcess, tmp_path: Path) -> None:
    """Every command that needs Redis ends with exit code 2 and the address; the others go on."""
    folder = tmp_path / "small"
    published(folder, process)
    process.kill()
    for arguments in (
        ("features", "read", "3", "100"),
        ("features", "list"),
        ("features", "check"),
        ("features", "backfill"),
        ("features", "stream", "--once"),
        ("features", "stream"),
        ("status",),
        ("run", "etl"),
    ):
        with pytest.raises(StoreAway, match=f"{process.config.url} is away"):
            run(folder, *arguments)
    run(folder, "features", "push", str(write_jsonl(tmp_path / "more.jsonl", recent_events(3, start=60))))
    command = [sys.executable, "-m", "orita", "-p", str(folder), "--home", str(folder / ".orita")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORITA_")}
    ended = subprocess.run(
        [*command, "features", "read", "3", "100"], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert "is away" in line and "start it" in line
    process.start()
    run(folder, "features", "read", "3", "100")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("  stoer: redis", ["'online.stoer'", "Did you mean 'store'?"]),
        ("  store: reddis", ["'online.store'", "'reddis'", "'lmdb' or 'redis'"]),
        ("  store: redis\n  redis: {ulr: x}", ["'online.redis.ulr'", "Did you mean 'url'?"]),
        ("  store: redis\n  redis: {url: 'http://u:secret@h'}", ["http://h", "not allowed"]),
        ("  store: redis\n  redis: {prefix: 'a b'}", ["'online.redis.prefix'", "'a b'"]),
        ("  store: redis\n  redis: {password_variable: ORITA_NO_SUCH}", ["'ORITA_NO_SUCH'", "not set"]),
        ("  store: redis\n  redis: {read_timeout: 0}", ["'online.redis.read_timeout'", "greater than 0"]),
    ],
)
def test_a_wrong_configuration_is_one_sentence(lines: str, words: list[str], tmp_path: Path) -> None:
    """Key, value and what is allowed are told, and no password."""
    (project(tmp_path) / "orita.yaml").write_text(f"system: features.py\nonline:\n{lines}\n")
    with pytest.raises(UserError) as error:
        run(tmp_path, "features", "list")
    for word in words:
        assert word in str(error.value)
    assert "secret" not in str(error.value)


def test_the_password_comes_from_the_environment(
    process: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that wants one lets in who has it in the variable that the configuration names, and nobody else."""
    folder = on_redis(tmp_path / "small", process, "orita")
    process.server.write("CONFIG SET", "requirepass", "open sesame")
    try:
        with pytest.raises(StoreAway, match="lets nobody in"):
            run(folder, "status")
        monkeypatch.setenv("REDIS_SECRET", "open sesame")
        with (folder / "orita.yaml").open("a") as file:
            file.write("    password_variable: REDIS_SECRET\n")
        assert told(folder, "status")["online_features"] is None
        assert "open sesame" not in run(folder, "config")
    finally:
        process.server.write("AUTH", "open sesame")


def test_a_reader_learns_from_the_stream_what_ids_are(redis_process: RedisProcess, tmp_path: Path) -> None:
    """Published without a user, then one by text: who has the state open already finds them, digits too."""
    folder = on_redis(tmp_path / "small", redis_process, uuid4().hex)
    run(folder, "features", "backfill")
    with closing(opened(folder).feature_store()) as store:
        assert store.get_online_features("12", [100]).to_pylist()[0]["user_clicks"] == 0
        rows = [{**row, "user_id": user} for row, user in zip(recent_events(2), ("ann", "12"), strict=True)]
        store.push_features([{**row, "click": 1} for row in rows])
        assert told(folder, "features", "stream", "--once")["counted"] == 2
        for user in ("12", 12, "ann"):
            assert store.get_online_features(user, [100]).to_pylist()[0]["user_clicks"] == 1
