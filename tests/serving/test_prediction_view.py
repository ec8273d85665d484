"""The prediction log is one view at every moment, whatever happens to the servers that write it."""

from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from tests.serving.patience import attempts

from orita.core.home import Home
from orita.events.prediction_files import segment_folder, write_ahead_files
from orita.events.prediction_view import find_request
from orita.events.predictions import prediction_log
from orita.serving.log.prediction_log import PredictionLog

_ITEMS = 5
_SERVER = """
import sys
from pathlib import Path
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import PredictionLogConfig, ServingConfig
from orita.serving.server import serve
from orita.testing.serving import HashedFeatures, load_line_package
log = PredictionLogConfig(flush_ms=5, segment_seconds=0.1, segment_mib=0.02)
features = HashedFeatures(("item_ctr", "item_popularity"))
config = ServingConfig(port=0, log=log)
app = create_app(Home(Path(sys.argv[1])), "feed", features, config, load=load_line_package)
serve(app, config, announce=lambda address: print(address, flush=True))
"""


@contextmanager
def _server(home: Home) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server whose segments become Parquet ten times a second; give the process and its host:port."""
    process = subprocess.Popen([sys.executable, "-c", _SERVER, str(home.root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = ""
        while process.poll() is None and not address.startswith("http"):
            address = process.stdout.readline().strip()
        yield process, urlsplit(address).netloc
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class _Callers:
    """Callers that ask without a pause until the server is gone, and the request ids they were told, in order."""

    def __init__(self, address: str, count: int) -> None:
        self.told: list[list[str]] = [[] for _ in range(count)]
        self._address = address
        self._threads = [threading.Thread(target=self._call, args=(n,)) for n in range(count)]

    def __enter__(self) -> _Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def answers(self) -> int:
        return sum(map(len, self.told))

    def _call(self, caller: int) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        body = json.dumps({"user_id": caller, "item_ids": list(range(_ITEMS))})
        try:
            while True:
                connection.request("POST", "/predict", body)
                response = connection.getresponse()
                response.read()
                assert response.status == 200
                self.told[caller].append(response.headers["x-request-id"])
        except (OSError, http.client.HTTPException):
            connection.close()


class _Reader:
    """Reads the whole log again and again; what one look saw, every later one must see, and nothing twice."""

    def __init__(self, home: Home) -> None:
        self.faults: list[str] = []
        self.looks = 0
        self._home = home
        self._seen: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._done.is_set():
            self._look()

    def _look(self) -> None:
        try:
            rows = prediction_log(self._home, columns=["prediction_id", "request_id"])
        except Exception as error:  # whatever it is, the view was not readable
            self.faults.append(repr(error))
            return
        ids = rows["prediction_id"].to_pylist()
        if len(set(ids)) != len(ids):
            self.faults.append(f"look {self.looks}: {len(ids) - len(set(ids))} rows are there twice")
        if lost := self._seen - set(ids):
            self.faults.append(f"look {self.looks}: {len(lost)} rows of an earlier look are gone")
        if len(ids) != _ITEMS * len(set(rows["request_id"].to_pylist())):
            self.faults.append(f"look {self.looks}: a request is there in part")
        self._seen = set(ids)
        self.looks += 1


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_one_view_through_kills(home: Home, deploy: Callable[..., None], kills: int) -> None:
    """Through kill -9 at random moments under load each look sees all that was there, once; answers have no hole.

    What a kill loses of a caller's answers are the last ones: what came before them was committed before them.
    """
    deploy("v1.0.0")
    moments = random.Random(11)
    told: list[list[str]] = []
    with _Reader(home) as reader:
        for _ in range(kills):
            with _server(home) as (process, address), _Callers(address, 3) as callers:
                enough = moments.randint(50, 400)
                while callers.answers() < enough and process.poll() is None:
                    threading.Event().wait(moments.random() / 20)
                process.kill()
            told += callers.told
    assert reader.faults == []
    assert reader.looks > kills
    logged = set(prediction_log(home, columns=["request_id"])["request_id"].to_pylist())
    assert logged
    for answers in told:
        committed = [request_id in logged for request_id in answers]
        assert committed == sorted(committed, reverse=True)
    _after(home, logged, told)


def _after(home: Home, logged: set[str], told: list[list[str]]) -> None:
    """Check that the next start converts what the last kill left, and that nothing changes by it."""
    for _ in attempts():  # what the killed server had started to convert is let go of once that process is gone too
        log = PredictionLog(home)
        log.start()
        log.close()
        if not write_ahead_files(home):
            break
    assert write_ahead_files(home) == []
    assert list(segment_folder(home).glob("*")) == []
    assert set(prediction_log(home, columns=["request_id"])["request_id"].to_pylist()) == logged
    first = told[0][0]
    assert find_request(home, first).item_ids == tuple(map(str, range(_ITEMS)))
