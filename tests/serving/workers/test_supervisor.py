from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.serving.workers.served import FEATURES, Load, Served, gone, serving, until, with_champion

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.testing.serving import publish_line_package

STUCK = "import signal; signal.signal(signal.SIGUSR1, lambda *_: __import__('time').sleep(600))"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two workers that nobody stops; each test leaves two behind that answer."""
    home = with_champion(Home(tmp_path_factory.mktemp("served") / "home"))
    with serving(home, STUCK, worker_hang_seconds=3) as running:
        yield running


def test_a_killed_worker_is_replaced(served: Served) -> None:
    """No request fails of callers that try once more; the others answer on, and the seat is taken again."""
    with Load(served) as load:
        before = served.until_answering(2)
        for victim in (min(before), max(before)):
            os.kill(victim, signal.SIGKILL)
            served.until_answering(2, {victim})
    assert set(load.statuses) == {200}, load.refusals
    assert load.statuses[200] > 0
    assert gone(min(before))


def test_counts_outlive_their_workers(served: Served) -> None:
    """Each worker tells the counts of all; after all of them were replaced nothing is missing, in neither form."""
    before = served.until_answering(2)
    start = until(lambda: _settled(served))
    assert [served.predict() for _ in range(40)] == [200] * 40
    until(lambda: (_settled(served) or start)["requests_total"] == start["requests_total"] + 40)
    for victim in before:
        os.kill(victim, signal.SIGKILL)
        served.until_answering(2, {victim})
    for _ in range(6):  # whichever answers
        found = served.ask("GET", "/metrics")[1]
        assert found["requests_total"] == start["requests_total"] + 40
        assert found["predictions_total"] == start["predictions_total"] + 200
    text = served.ask("GET", "/metrics", Accept="text/plain")[1]
    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(told['requests_total{status="200"}']) == found["requests_total"]
    assert float(told["prediction_latency_count"]) == found["requests_total"]
    assert float(told["workers"]) == 2


def _settled(served: Served) -> dict[str, float] | None:
    """Return the counts of all workers once each of them has told of what was asked before; None: not yet."""
    first = served.ask("GET", "/metrics")[1]
    time.sleep(0.5)
    found: dict[str, float] = served.ask("GET", "/metrics")[1]
    return found if found["requests_total"] == first["requests_total"] else None


def test_routes_and_jobs_of_all_workers_are_told(served: Served) -> None:
    """Answers add up whichever worker gave them; the queue that they share is told once."""
    served.until_answering(2)
    route = 'api_latency_count{route="GET /api/v1/jobs/{job}",status="4xx"}'

    def told() -> dict[str, float]:
        text = served.ask("GET", "/metrics", Accept="text/plain")[1]
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    before = told().get(route, 0)
    assert {served.ask("GET", "/api/v1/jobs/nobody")[0] for _ in range(12)} == {404}
    taken = served.ask("POST", "/api/v1/jobs", {"user_id": 1, "item_ids": [1, 2]})
    assert taken[0] == 202
    until(lambda: told().get(route) == before + 12)
    until(lambda: told()["jobs_taken_total"] == told()['jobs_ended_total{outcome="succeeded"}'] == 1)
    until(lambda: told().get('jobs_open{state="queued"}') == told()['jobs_open{state="running"}'] == 0)


@pytest.mark.parametrize("how", [signal.SIGUSR1, pytest.param(signal.SIGSTOP, marks=pytest.mark.slow)])
def test_a_worker_that_hangs_is_replaced(served: Served, how: signal.Signals) -> None:
    """One whose event loop stands still, or that is frozen as a whole, is killed after a while and started again."""
    victim = max(served.until_answering(2))
    os.kill(victim, how)
    served.until_answering(2, {victim})
    assert gone(victim)


def test_connections_are_shared_out(served: Served) -> None:
    """Of many connections that come at once each worker takes about its share, unless the machine lets only one run."""
    served.until_answering(2)
    until(lambda: min(_shares(served).values()) >= 7)


def _shares(served: Served) -> Counter[int]:
    """Return how many of 20 connections that come at once each worker takes, in all."""
    connections = [http.client.HTTPConnection(served.address, timeout=30) for _ in range(20)]
    for connection in connections:
        connection.connect()
    by_worker: Counter[int] = Counter(dict.fromkeys(served.answering(), 0))
    for connection in connections:
        connection.request("GET", "/health")
        by_worker[json.loads(connection.getresponse().read())["pid"]] += 1
        connection.close()
    return by_worker


def test_sighup_replaces_all_without_a_failed_request(served: Served) -> None:
    """Each old worker answers until a new one does, and ends in order."""
    before = served.until_answering(2)
    with Load(served) as load:
        served.process.send_signal(signal.SIGHUP)
        served.until_answering(2, before)
        until(lambda: all(gone(pid) for pid in before))
    assert set(load.statuses) == {200}, load.refusals
    assert load.lost == 0, "a connection was closed under a request"


def test_each_worker_takes_up_a_new_champion(served: Served) -> None:
    """``/health`` says what each of them answers with."""
    served.until_answering(2)
    home = served.home
    publish_line_package(home, "feed", "v2.0.0", FEATURES)
    Deployments(home.control_db).deploy("feed", "v2.0.0", actor="test", reason="test")
    until(lambda: {worker["model_version"] for worker in served.workers().values()} == {"v2.0.0"})
