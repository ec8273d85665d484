from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from tests.serving.patience import PATIENT

from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.prediction_files import segment_folder
from orita.events.predictions import prediction_log
from orita.serving.config import ServingConfig
from orita.serving.server import serve

_SERVER = """
import sys
from pathlib import Path
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.server import serve
from orita.testing.serving import HashedFeatures, load_line_package
config = ServingConfig.model_validate_json(sys.argv[2])
features = HashedFeatures(("item_ctr", "item_popularity"))
app = create_app(Home(Path(sys.argv[1])), "feed", features, config, load=load_line_package)
def announce(address):
    print(address, flush=True)
serve(app, config, announce=announce)
print("stopped", flush=True)
"""


@contextmanager
def server(home: Home) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server in a process of its own; give the process and its host:port."""
    config = json.dumps({"port": 0, "reload_seconds": 0.05, **PATIENT})
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(home.root), config], stdout=subprocess.PIPE, text=True
    )
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


def predict(connection: http.client.HTTPConnection, user: int, items: int = 5) -> tuple[int, str, str]:
    """Send one request; return status, request id and model version (or the error's message)."""
    body = json.dumps({"user_id": user, "item_ids": list(range(items))})
    connection.request("POST", "/predict", body)
    response = connection.getresponse()
    answer = json.loads(response.read())
    told = answer.get("model_version") or answer["message"]
    return response.status, response.headers["x-request-id"], told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_orderly_stop(home: Home, deploy: Callable[..., None], number: signal.Signals) -> None:
    """However it is asked to, the server finishes, every answer that it gave is Parquet, and it ends with 0."""
    deploy("v1.0.0")
    with server(home) as (process, address):
        connection = http.client.HTTPConnection(address, timeout=30)
        answers = [predict(connection, user) for user in range(50)]
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.read().splitlines()[-1] == "stopped"
        assert process.wait(timeout=30) == 0
        connection.close()
    assert {(status, version) for status, _, version in answers} == {(200, "v1.0.0")}
    logged = prediction_log(home, columns=["request_id"])["request_id"].to_pylist()
    assert sorted(logged) == sorted(request_id for _, request_id, _ in answers for _ in range(5))
    assert list(segment_folder(home).glob("*")) == []


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_and_again(home: Home, deploy: Callable[..., None], kills: int) -> None:
    """After kill -9 the same command serves again; what was durable is there once, nothing is there twice."""
    deploy("v1.0.0")
    durable: set[str] = set()
    answered: set[str] = set()
    for _ in range(kills):
        with server(home) as (process, address):
            connection = http.client.HTTPConnection(address, timeout=30)
            now = {predict(connection, user)[1] for user in range(30)}
            answered |= now
            while not now <= _request_ids(home):
                threading.Event().wait(0.01)
            durable |= now
            answered |= {predict(connection, user)[1] for user in range(5)}  # maybe too late to be durable
            process.kill()
            process.wait()
            connection.close()
    with server(home) as (process, _):
        process.terminate()
        assert process.wait(timeout=30) == 0
    logged = prediction_log(home, columns=["prediction_id", "request_id"])
    assert durable <= set(logged["request_id"].to_pylist()) <= answered
    assert len(logged) == len(set(logged["prediction_id"].to_pylist()))
    assert len(logged) == 5 * len(set(logged["request_id"].to_pylist()))
    assert list(segment_folder(home).glob("*")) == []


def _request_ids(home: Home) -> set[str]:
    return set(prediction_log(home, columns=["request_id"])["request_id"].to_pylist())


@dataclass
class _Load:
    """Callers that never pause, and what they were told."""

    address: str
    stop: threading.Event = field(default_factory=threading.Event)
    told: list[tuple[int, str]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def call(self, user: int) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        while not self.stop.is_set():
            status, _, version = predict(connection, user)
            self.told.append((status, version))
            self.seen.add(version)
        connection.close()


def test_hot_swaps_under_load(home: Home, deploy: Callable[..., None]) -> None:
    """Through swaps, two of them to broken packages, no request fails; broken versions never answer."""
    deploy("v0.0.0")
    with server(home) as (process, address):
        load = _Load(address)
        callers = [threading.Thread(target=load.call, args=(user,)) for user in range(3)]
        for caller in callers:
            caller.start()
        try:
            good = [f"v1.{swap}.0" for swap in range(6)]
            for swap, version in enumerate(good):
                if swap in (2, 4):
                    deploy(f"v6.6.{swap}", fault="load" if swap == 2 else "sample")
                    _wait_for_health(address, "degraded")
                deploy(version)
                while version not in load.seen:
                    threading.Event().wait(0.01)
        finally:
            load.stop.set()
            for caller in callers:
                caller.join()
        process.terminate()
        assert process.wait(timeout=30) == 0
    assert {status for status, _ in load.told} == {200}
    assert load.seen == {"v0.0.0", *good}
    logged = prediction_log(home, columns=["model_version"])["model_version"].to_pylist()
    assert len(logged) == 5 * len(load.told)


def _wait_for_health(address: str, status: str) -> None:
    connection = http.client.HTTPConnection(address, timeout=30)
    told = ""
    while told != status:
        connection.request("GET", "/health")
        told = json.loads(connection.getresponse().read())["status"]
    connection.close()


def test_a_taken_port(make_app: Callable[..., Starlette]) -> None:
    """A port that is taken is one sentence that names it and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            serve(make_app(), ServingConfig(port=port), announce=lambda _: None)


def test_a_foreign_address(make_app: Callable[..., Starlette]) -> None:
    """An address that is not this machine's is one sentence that names it."""
    with pytest.raises(UserError, match=r"cannot listen on 192\.0\.2\.1:\d+: .*choose another serving\.host"):
        serve(make_app(), ServingConfig(host="192.0.2.1"), announce=lambda _: None)


def test_a_body_that_is_too_long_over_the_wire(home: Home, deploy: Callable[..., None]) -> None:
    """A giant body is refused before it is read, and the server answers on."""
    deploy("v1.0.0")
    with server(home) as (_, address):
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as raw:
            raw.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n")
            assert raw.recv(4096).startswith(b"HTTP/1.1 413 ")
        connection = http.client.HTTPConnection(address, timeout=30)
        assert predict(connection, 1)[0] == 200
        connection.close()
