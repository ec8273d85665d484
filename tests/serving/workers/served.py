"""A supervisor and its workers in processes of their own, over stand-ins for features and models."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.serving.patience import patient

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.testing.serving import publish_line_package

MARK = "ORITA_TEST_MARK"
FEATURES = ("item_ctr", "item_popularity")
_SERVER = """
import sys
from pathlib import Path
from orita.core.errors import OritaError
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.server import serve_with_workers
from orita.testing.serving import HashedFeatures, load_line_package
config = ServingConfig.model_validate_json(sys.argv[2])
before = sys.argv[3]
def make_app():
    exec(before)
    features = HashedFeatures(("item_ctr", "item_popularity"))
    return create_app(Home(Path(sys.argv[1])), "feed", features, config, load=load_line_package)
def announce(address):
    print(address, flush=True)
try:
    serve_with_workers(make_app, config, announce=announce)
except OritaError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
print("stopped", flush=True)
"""


@dataclass
class Served:
    """A running supervisor."""

    process: subprocess.Popen[str]
    address: str
    home: Home

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Ask once, on a connection of its own; return the status and the answer."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content[:1] in (b"{", b"[") else content.decode()
        finally:
            connection.close()

    def predict(self, user: int = 1, items: int = 5) -> int:
        """Ask for a prediction; return the status."""
        return self.ask("POST", "/predict", {"user_id": user, "item_ids": list(range(items))})[0]

    def workers(self) -> dict[int, dict[str, Any]]:
        """Return the workers by process, as one of them tells."""
        return {worker["pid"]: worker for worker in self.ask("GET", "/health")[1]["workers"]}

    def answering(self) -> set[int]:
        """Return the processes that answer."""
        return {pid for pid, worker in self.workers().items() if worker["status"] == "answering"}

    def until_answering(self, count: int, without: set[int] = frozenset()) -> set[int]:  # type: ignore[assignment]
        """Wait until so many processes answer, none of them in *without*; return them."""
        found: set[int] = until(lambda: there if len(there := self.answering()) == count and not there & without else 0)
        return found


def until(there: Callable[[], Any]) -> Any:
    """Return what *there* returns once it is true; a connection that was closed is as if it were not."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        with suppress(OSError, http.client.HTTPException):
            if found := there():
                return found
        time.sleep(0.02)
    raise AssertionError("it did not come to that within a minute")


def gone(pid: int) -> bool:
    """Return whether a process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def launched(home: Home, before: str, settings: Mapping[str, object], mark: str = "") -> subprocess.Popen[str]:
    """Start a supervisor with two workers and return at once; *mark* is in the environment of all its processes."""
    config = json.dumps(patient({"port": 0, "workers": 2, "reload_seconds": 0.05, **settings}))
    return subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(home.root), config, before],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, MARK: mark},
    )


@contextmanager
def serving(home: Home, before: str = "", **settings: object) -> Iterator[Served]:
    """Run a supervisor with two workers; *before* is Python that each of them runs first."""
    process = launched(home, before, settings)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        while line.startswith(("{", "2", "\n")):  # what workers log, at times two at once
            line = process.stdout.readline()
        yield Served(process, urlsplit(line.strip()).netloc or line.strip(), home)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def with_champion(home: Home) -> Home:
    """Deploy a first version."""
    publish_line_package(home, "feed", "v1.0.0", FEATURES)
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    return home


@dataclass
class Load:
    """Callers that never pause, and send a request once more where its connection was closed."""

    served: Served
    statuses: Counter[int] = field(default_factory=Counter)
    refusals: set[str] = field(default_factory=set)
    request_ids: set[str] = field(default_factory=set)
    lost: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._call, args=(user,)) for user in range(3)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, user: int) -> None:
        body = json.dumps({"user_id": user, "item_ids": [1, 2, 3, 4, 5]})
        connection = http.client.HTTPConnection(self.served.address, timeout=30)
        while not self._stop.is_set():
            for _ in range(2):
                try:
                    connection.request("POST", "/predict", body)
                    answer = connection.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):
                    self.lost += 1
                    connection.close()  # the next request connects anew
                else:
                    self.statuses[answer.status] += 1
                    self.request_ids.add(answer.headers["x-request-id"])
                    if answer.status != 200:
                        self.refusals.add(content.decode())
                    break
            else:
                self.statuses[0] += 1
        connection.close()
