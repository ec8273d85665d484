"""kill -9 of servers: what was acknowledged is answered, once, whoever answers it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.features.stores.redis_process import RedisProcess
from tests.serving.patience import PATIENT

from orita.core.clock import SystemClock
from orita.core.home import Home
from orita.serving.jobs.config import JobsConfig
from orita.serving.jobs.opening import open_queue
from orita.serving.jobs.queue import JobQueue
from orita.serving.jobs.requests import PREFIX

_SERVER = """
import json, sys, time
from pathlib import Path
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.server import serve
from orita.testing.serving import HashedFeatures, load_line_package

home, pause = Path(sys.argv[1]), float(sys.argv[2])

class SlowFeatures(HashedFeatures):
    def reader(self, schema):
        inner = super().reader(schema)
        class Reader:
            schema = inner.schema
            def matrix(self, *asked):
                time.sleep(pause)
                return inner.matrix(*asked)
        return Reader()

config = ServingConfig.model_validate({"port": 0, "reload_seconds": 0.05, **json.loads(sys.argv[3])})
features = SlowFeatures(("item_ctr", "item_popularity"))
app = create_app(Home(home), "feed", features, config, load=load_line_package)
serve(app, config, announce=lambda address: print(address, flush=True))
"""
QUICK = {"poll_seconds": 0.02, "lease_seconds": 0.5, "attempts": 50, "max_requests": 200, "share": 1.0}


@contextmanager
def server(home: Home, jobs: dict[str, Any], *, pause: float = 0.0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server in a process of its own, whose features take *pause* seconds; give it and its host:port."""
    command = [sys.executable, "-c", _SERVER, str(home.root), str(pause), json.dumps({"jobs": jobs, **PATIENT})]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        while process.poll() is None and not address.startswith("http"):
            address = process.stdout.readline().strip()  # what the server logs comes before and between
        yield process, urlsplit(address).netloc
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def asked(address: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Send a request; return its status and the data of its answer."""
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())["data"]
    finally:
        connection.close()


def ended(address: str, job: str, seconds: float = 60) -> Any:
    """Ask for a job until it has ended."""
    until = time.monotonic() + seconds
    while True:
        status, data = asked(address, "GET", f"{PREFIX}/{job}")
        assert status == 200
        if data["state"] not in ("queued", "running"):
            return data
        assert time.monotonic() < until, data
        threading.Event().wait(0.02)


def batch(user: int, requests: int = 1) -> dict[str, object]:
    """Return a job."""
    return {"requests": [{"user_id": user, "item_ids": [1, 2, 3]} for _ in range(requests)]}


def _begun(queue: JobQueue, job: str) -> None:
    while (found := queue.find(job)) is None or found.state != "running":
        threading.Event().wait(0.005)


def _in_the_middle(home: Home, jobs: dict[str, Any]) -> None:
    with closing(open_queue(JobsConfig.model_validate(jobs), home, "feed", SystemClock())) as queue:
        with server(home, jobs, pause=0.02) as (process, address):
            status, data = asked(address, "POST", PREFIX, batch(7, 150))
            assert status == 202
            _begun(queue, data["job"])
            process.kill()
            process.wait()
        left = queue.find(data["job"])
        assert left is not None
        assert (left.state, left.attempts) == ("running", 1)
        with server(home, jobs) as (_, address):
            done = ended(address, data["job"])
            assert (done["state"], done["attempts"], len(done["results"])) == ("succeeded", 2, 150)
            token = {result["request_id"].rpartition(":")[2] for result in done["results"]}
            assert token == {"2"}, "the result is not of one lease"
            threading.Event().wait(0.1)
            assert asked(address, "GET", data["url"])[1] == done


def test_a_worker_that_is_killed_in_the_middle(home: Home, deploy: Callable[..., None]) -> None:
    """Another server does the job once more, from its beginning, and there is one result."""
    deploy("v1.0.0")
    _in_the_middle(home, QUICK)


@pytest.mark.slow
def test_a_worker_that_is_killed_in_the_middle_with_redis(
    home: Home, deploy: Callable[..., None], jobs_redis: RedisProcess
) -> None:
    """The same by the queue in Redis."""
    deploy("v1.0.0")
    _in_the_middle(home, {**QUICK, "queue": "redis", "redis": {"url": jobs_redis.config.url, "prefix": "killed"}})


@pytest.mark.slow
def test_a_server_that_stops_in_order_gives_its_job_back(home: Home, deploy: Callable[..., None]) -> None:
    """On SIGTERM a long job is not waited for: it is the next worker's, without a lost attempt."""
    deploy("v1.0.0")
    with (
        closing(open_queue(JobsConfig.model_validate(QUICK), home, "feed", SystemClock())) as queue,
        server(home, QUICK, pause=0.02) as (process, address),
    ):
        _, data = asked(address, "POST", PREFIX, batch(7, 150))
        _begun(queue, data["job"])
        process.terminate()
        assert process.wait(timeout=30) == 0
    with server(home, QUICK) as (_, address):
        done = ended(address, data["job"])
        assert (done["state"], done["attempts"]) == ("succeeded", 1)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_storm_of_kills(home: Home, deploy: Callable[..., None], kills: int) -> None:
    """Jobs that were acknowledged before a kill at any moment all succeed, and none has two results."""
    deploy("v1.0.0")
    random = Random(kills)
    acknowledged: dict[str, int] = {}
    seen: dict[str, Any] = {}
    for kill in range(kills):
        with server(home, QUICK, pause=0.001) as (process, address):
            ends = threading.Timer(random.uniform(0.0, 0.6), process.kill)
            if kill % 2:
                ends.start()  # maybe before it takes any job: it begins with those of the one before
            try:
                while True:
                    user = len(acknowledged)
                    status, data = asked(address, "POST", PREFIX, batch(user, random.choice((1, 5, 20))))
                    assert status == 202
                    acknowledged[data["job"]] = user
                    if ends.ident is None:
                        ends.start()
                    earlier = random.choice(list(acknowledged))
                    _, data = asked(address, "GET", f"{PREFIX}/{earlier}")
                    if data["state"] == "succeeded":
                        assert seen.setdefault(earlier, data) == data, "a result has changed"
                    threading.Event().wait(0.02)
            except (http.client.HTTPException, OSError):
                assert ends.ident is not None, "nobody has killed it"
            ends.join()
        assert len(acknowledged) > kill // 2
    with server(home, QUICK) as (_, address):
        for job, user in acknowledged.items():
            done = ended(address, job)
            assert done["state"] == "succeeded"
            assert {result["answer"]["user_id"] for result in done["results"]} == {user}
            assert len(done["results"]) == done["requests"]
            assert len({result["request_id"].rpartition(":")[2] for result in done["results"]}) == 1
            assert seen.get(job, done) == done, "a result has changed"
    assert Path(home.jobs / "feed.db").exists()
