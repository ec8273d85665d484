"""Sites for tests, and what it takes to run them: real servers, a real nginx, callers."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.serving.patience import patient

from orita.control.config import ControlConfig
from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.deploy import DeploymentConfig, Site
from orita.deploy.nginx import HEALTH_PATH, Place, nginx_file
from orita.events.log.opening import EventLogConfig
from orita.features.generations.opening import OnlineConfig
from orita.registry.config import RegistryConfig
from orita.serving.config import ServingConfig
from orita.testing.serving import publish_line_package

__all__ = ["NO_NGINX", "Callers", "Replica", "ask", "balancer", "free_port", "replicas", "site_of"]

NO_NGINX = "" if shutil.which("nginx") else "there is no nginx here: sudo apt-get install nginx-light"
_FEATURES = ("item_ctr", "item_popularity")
_SERVER = """
import sys
from pathlib import Path
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.server import serve
from orita.testing.serving import HashedFeatures, load_line_package
config = ServingConfig.model_validate_json(sys.argv[2])
app = create_app(Home(Path(sys.argv[1])), "feed", HashedFeatures(("item_ctr", "item_popularity")), config,
                 load=load_line_package)
serve(app, config, announce=lambda address: print(address, flush=True))
"""


def site_of(
    serving: Mapping[str, Any] | None = None, redis: bool = False, control: str = "", **deployment: Any
) -> Site:
    """Return a site of the system ``feed`` with these settings of serving, control and deployment."""
    return Site(
        system="feed",
        tenant="default",
        deployment=DeploymentConfig.model_validate(deployment),
        serving=ServingConfig.model_validate(serving or {}),
        online=OnlineConfig(store="redis" if redis else "lmdb"),
        events=EventLogConfig(),
        registry=RegistryConfig(),
        control=ControlConfig(url=control),
        latency_p99_ms=1000.0,
    )


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Replica:
    """A server of its own home, whose answers say which it is: by their model's version."""

    home: Home
    port: int
    version: str
    process: subprocess.Popen[str]
    settings: Mapping[str, Any]

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it again at its address."""
        self.stop()
        self.process = _start(self.home, self.port, self.settings)
        _wait_until_it_answers(self.process)

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def replicas(folder: Path, count: int = 2, **settings: Any) -> Iterator[list[Replica]]:
    """Run *count* servers; the first answers with v1.0.0, the second with v2.0.0, and so on."""
    with ExitStack() as stack:
        started: list[Replica] = []
        for number in range(1, count + 1):
            home, version = Home(folder / f"home-{number}"), f"v{number}.0.0"
            publish_line_package(home, "feed", version, _FEATURES)
            Deployments(home.control_db).deploy("feed", version, actor="test", reason="test")
            port = free_port()
            started.append(Replica(home, port, version, _start(home, port, settings), settings))
            stack.callback(started[-1].stop)
        for replica in started:
            _wait_until_it_answers(replica.process)
        yield started


def _start(home: Home, port: int, settings: Mapping[str, Any]) -> subprocess.Popen[str]:
    config = json.dumps(patient({"port": port, "reload_seconds": 0.05, "expose_config": True, **settings}))
    command = [sys.executable, "-c", _SERVER, str(home.root), config]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _wait_until_it_answers(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    while line and not line.startswith("http"):
        line = process.stdout.readline()
    assert line, "the server ended before it answered"


@contextmanager
def balancer(folder: Path, site: Site) -> Iterator[int]:
    """Run a real nginx with what is rendered for *site*; yield its port."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    log = folder / "nginx.log"
    (folder / "nginx.conf").write_text(nginx_file(site, place=Place("127.0.0.1", port, error_log=str(log))).text)
    command = ["nginx", "-e", str(log), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        _wait_for_nginx(process, port, log)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for_nginx(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)


def ask(
    port: int, user: int = 1, headers: Mapping[str, str] | None = None, path: str = "/predict", body: str | None = None
) -> tuple[int, str, http.client.HTTPResponse]:
    """Send one request over a connection of its own; return status, the version that answered or the code, and all."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        sent = json.dumps({"user_id": user, "item_ids": [1, 2, 3]}) if body is None else body
        connection.request("GET" if path == HEALTH_PATH else "POST", path, sent, dict(headers or {}))
        response = connection.getresponse()
        answer = json.loads(response.read())
        return response.status, answer.get("model_version") or answer.get("code", ""), response
    finally:
        connection.close()


@dataclass
class Callers:
    """Callers that never pause while the block is open, each over one kept connection, and what they were told."""

    port: int
    count: int = 3
    told: list[tuple[int, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Callers:
        self._threads = [threading.Thread(target=self._call, args=(user,)) for user in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int, version: str | None = None) -> None:
        """Wait until *more* answers came, of *version* if it is given."""
        seen = self._seen(version)
        deadline = time.monotonic() + 30
        while self._seen(version) < seen + more:
            assert time.monotonic() < deadline, f"no {more} answers of {version} within 30 s: {self.told[-5:]}"
            time.sleep(0.005)

    def _seen(self, version: str | None) -> int:
        return len(self.told) if version is None else sum(told == version for _, told in list(self.told))

    def _call(self, user: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._stop.is_set():
            try:
                connection.request("POST", "/predict", json.dumps({"user_id": user, "item_ids": [1, 2, 3]}))
                response = connection.getresponse()
                answer = json.loads(response.read())
                self.told.append((response.status, answer.get("model_version") or answer.get("code", "")))
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
        connection.close()
