"""``orita simulate``: users live with what a trained model serves."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.cli.small_world import command, orita_inside, told

from orita.core.home import Home
from orita.events.lake import Lake

_FEED = ("simulate", "feed", "--users", "60", "--candidates", "40", "--days")


def test_the_scenarios_that_ship_are_listed(tmp_path: Path) -> None:
    """Names and what happens, for people and for programs."""
    found = told(tmp_path, "simulate", "scenarios")["scenarios"]
    assert {"drift", "outage", "bad_model", "new_audience"} <= set(found)
    assert found["drift"]["happenings"][0]["day"] == 10
    assert "new_audience" in orita_inside(tmp_path, "simulate", "scenarios")


def test_without_a_world_the_way_to_one_is_told(tmp_path: Path) -> None:
    """A home in which nothing was generated has no users; a scenario that is none is told before."""
    assert "there is no synthetic world in this home" in orita_inside(tmp_path, *_FEED, "1", code=2)
    assert "there is no scenario 'drif'" in orita_inside(tmp_path, *_FEED, "1", "--scenario", "drif", code=2)


def test_the_command_without_a_name_asks_a_server(tmp_path: Path) -> None:
    """'orita simulate SERVER' is 'orita simulate requests SERVER', wherever its options stand."""
    short = orita_inside(tmp_path, "simulate", "--requests", "3", "http://127.0.0.1:9", code=2)
    assert short == orita_inside(tmp_path, "simulate", "requests", "http://127.0.0.1:9", code=2)
    assert "feed" in orita_inside(tmp_path, "simulate", "--help")


@pytest.mark.slow
def test_users_live_with_a_trained_model(tmp_path: Path) -> None:
    """The champion ranks by features that move, the home stays as it was, and the same seed finds the same again."""
    told(tmp_path, "--set", "beside=[]", "--set", "model.type=lightgbm", "run", "all")
    before = _digest(tmp_path / ".orita" / "online")
    page = tmp_path / "feed.html"
    first, again = (told(tmp_path, *_FEED, "2", "--ceiling", "--html", str(page)) for _ in range(2))
    assert {name: value for name, value in first.items() if name != "seconds"} == {
        name: value for name, value in again.items() if name != "seconds"
    }
    champion, popularity, oracle = first["arms"]
    assert champion["policy"].startswith("champion v")
    assert champion["totals"]["clicks"] > 0
    assert champion["totals"]["failures"] == 0
    assert first["events"] == sum(arm["totals"]["shown"] for arm in (champion, popularity, oracle))
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert _digest(tmp_path / ".orita" / "online") == before
    assert "champion" in orita_inside(tmp_path, *_FEED, "1", "--scenario", str(_outage(tmp_path)))


_TREES = ("--set", "beside=[]", "--set", "model.type=lightgbm", "--set", "data_generation.num_users=1000")
_PLAN = {
    "strategy": "canary",
    "versions": ["v1.2.0"],
    "steps": [{"share": 50, "least_requests": 100}, {"share": 100, "least_requests": 100}],
    "soak_seconds": 0,
    "checks": {
        "errors": {"most_more": 0.05},  # there are 1,000 users: 2 % more would take as many of the version
        "latency": None,
        "scores": None,
        "metric": {"name": "click", "most_loss": 0.5, "window_seconds": 15, "top": 10},
    },
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_canary_is_judged_by_what_simulated_users_do(tmp_path: Path) -> None:
    """Answered now, they click now: the canary goes on by its metric to the end, and the home learns from them."""
    told(tmp_path, *_TREES, "run", "all")
    told(tmp_path, *_TREES, "--set", "model.lightgbm.max_trees=30", "run", "training")
    (tmp_path / "plan.json").write_text(json.dumps(_PLAN))
    begun = datetime.now(UTC)
    with _server(tmp_path) as address:
        told(tmp_path, *_TREES, "deploy", "--file", "plan.json", "--reason", "more trees")
        found = _controlled(tmp_path, address)
    advanced, promoted = found[0], found[-1]
    assert (advanced["did"], promoted["did"]) == ("advanced", "promoted")
    metric = advanced["evidence"]["checks"]["metric v1.2.0"]
    assert metric["says"] == "fine"
    assert "click: v1.2.0 has" in advanced["why"]
    events = _since(tmp_path, begun)
    assert len(events) > 1000
    assert events["request_id"].null_count == events["ingested_at"].null_count == 0
    assert pc.all(pc.greater_equal(events["ingested_at"], events["timestamp"])).as_py()
    assert pc.max(events["ingested_at"]).as_py() <= datetime.now(UTC) + timedelta(seconds=1)
    (again,) = told(tmp_path, *_TREES, "run", "etl")["runs"]
    assert again["tasks"][-1]["name"] == "save_features"
    assert not again["tasks"][-1]["result"]["cached"]
    said = orita_inside(tmp_path, *_TREES, "simulate", "requests", address, "--clock", "world", code=2)
    assert "later than now" in said


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    served = command(*_TREES, "serve", "--port", "0", "--json")
    with subprocess.Popen(served, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.terminate()
            process.wait(60)


def _controlled(folder: Path, address: str) -> list[dict[str, Any]]:
    """Let users come, and a controller look, until the rollout has ended; return what it did but wait."""
    did: list[dict[str, Any]] = []
    for seed in range(40):
        asked = told(folder, *_TREES, "simulate", "requests", address, "--requests", "200", "--seed", str(seed))
        assert asked["failures"] == 0
        assert asked["ingested"] == asked["shown"] == 2000
        looked = told(folder, *_TREES, "controller", "--once")["rollouts"]
        did += [each for each in looked if each["did"] in ("advanced", "promoted", "rolled_back")]
        if did and did[-1]["did"] in ("promoted", "rolled_back"):
            return did
        time.sleep(1.0)
    raise AssertionError(f"the rollout has not ended: {looked}")


def _since(folder: Path, begun: datetime) -> pa.Table:
    files = Lake(Home(folder / ".orita")).snapshot("interactions").files
    rows = pa.concat_tables([pq.read_table(file) for file in files], promote_options="default")
    return rows.filter(pc.greater_equal(rows["timestamp"], pa.scalar(begun, rows.schema.field("timestamp").type)))


def _outage(folder: Path) -> Path:
    file = folder / "dark.yaml"
    file.write_text("happenings: [{day: 1, outage: {hours: 6, at_hour: 12}}]")
    return file


def _digest(folder: Path) -> str:
    parts = hashlib.sha256()
    for file in sorted(folder.rglob("data.mdb")):
        parts.update(file.read_bytes())
    return parts.hexdigest()
