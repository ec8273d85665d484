"""The feed of real servers, over real sockets."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.cli.small_world import command, orita_inside
from tests.serving.feed.published import published_feed

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.events.predictions import prediction_log
from orita.testing.serving import publish_line_package

ROOT = Path(__file__).resolve().parents[3]
_SERVER = """
import json, sys
from pathlib import Path
from tests.serving.feed.published import features_of
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.server import serve
from orita.testing.serving import load_line_package
home = Home(Path(sys.argv[1]))
config = ServingConfig.model_validate({"feed": {"exploration": {"share": 0}}})
app = create_app(home, "feed", features_of(home), config, load=load_line_package)
serve(app, ServingConfig(port=0), announce=lambda address: print(json.dumps({"address": address}), flush=True))
"""


@contextmanager
def running(arguments: list[str], folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server that prints its address; give the process and the address once the feed answers."""
    process = subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        while process.poll() is None and not line.startswith('{"address"'):
            line = process.stdout.readline()
        address = urlsplit(json.loads(line)["address"]).netloc
        deadline = time.monotonic() + 60
        while asked(address, user_id=0)[0] != 200:
            assert time.monotonic() < deadline, asked(address, user_id=0)
            time.sleep(0.02)
        yield process, address
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def asked(address: str, **body: Any) -> tuple[int, dict[str, Any]]:
    """Ask for a page; return status and body."""
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("POST", "/api/v1/feed", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def paged(addresses: list[str], user: int, limit: int) -> list[tuple[int, int]]:
    """Return (rank, item) of a whole feed whose pages come from *addresses* in turn."""
    shown: list[tuple[int, int]] = []
    cursor, number = None, 0
    while number == 0 or cursor is not None:
        given: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
        status, body = asked(addresses[number % len(addresses)], user_id=user, limit=limit, **given)
        assert status == 200, body
        shown += [(item["rank"], item["item_id"]) for item in body["data"]["predictions"]]
        cursor, number = body["data"]["cursor"], number + 1
    return shown


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with online state and a deployed model."""
    made = Home(tmp_path / "home")
    published_feed(made)
    publish_line_package(made, "feed", "v1.0.0", ("item_ctr",))
    Deployments(made.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    return made


def test_a_whole_feed_of_a_server(home: Home) -> None:
    """Every item once, ranks in order; without a cursor the same user gets a feed from its beginning again."""
    with running([sys.executable, "-c", _SERVER, str(home.root)], ROOT) as (_, address):
        shown = paged([address], user=1, limit=7)
        assert [rank for rank, _ in shown] == list(range(1, 41))
        assert len({item for _, item in shown}) == 40
        assert paged([address], user=1, limit=40) == shown


@pytest.mark.slow
def test_a_feed_goes_on_though_its_server_was_killed(home: Home) -> None:
    """Pages come from two servers of one home in turn; one is killed amid a feed, and the other goes on with it."""
    arguments = [sys.executable, "-c", _SERVER, str(home.root)]
    with running(arguments, ROOT) as (process, one), running(arguments, ROOT) as (_, two):
        assert len({item for _, item in paged([one, two], user=1, limit=7)}) == 40
        _, body = asked(one, user_id=2, limit=10)
        process.kill()
        status, more = asked(two, user_id=2, limit=30, cursor=body["data"]["cursor"])
        assert status == 200
        items = [item["item_id"] for page in (body, more) for item in page["data"]["predictions"]]
        assert len(items) == len(set(items)) == 40


@pytest.mark.slow
def test_the_feed_of_what_run_all_leaves(tmp_path: Path) -> None:
    """`orita run all` and `orita serve` are all it takes: whole feeds, other ones for other users, logged as shown."""
    orita_inside(tmp_path, "run", "all")
    with running(command("serve", "--port", "0", "--json"), tmp_path) as (process, address):
        feeds = [paged([address], user, limit) for user, limit in ((1, 20), (2, 33), (999_999, 100))]
        for feed in feeds:
            assert [rank for rank, _ in feed] == list(range(1, 201))
            assert len({item for _, item in feed}) == 200
        assert feeds[0] != feeds[1]
        process.terminate()
        process.wait(60)
    rows = prediction_log(Home(tmp_path / ".orita"), columns=["user_id", "item_id", "position"]).to_pylist()
    logged = {(row["position"], int(row["item_id"])) for row in rows if row["user_id"] == "2"}
    assert logged == set(feeds[1])
