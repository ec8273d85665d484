"""A real Airflow on this machine: its environment, its processes, and its API."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.dags.fake_airflow import DAGS

__all__ = ["Airflow", "airflow_environment", "standalone"]

ROOT = DAGS.parent
_START_SECONDS, _BEGIN_SECONDS, _STOP_SECONDS, _BUILD_SECONDS = 400, 120, 40, 1500
_ENDED = {"success", "failed"}


def airflow_environment() -> Path:
    """Return the folder of Airflow's commands, made by the Makefile where it is not there; skip where it cannot be."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed, and it makes Airflow's environment")
    made = subprocess.run(
        ["make", ".venv-airflow/.ready"], cwd=ROOT, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"Airflow's environment cannot be made here: {(made.stdout + made.stderr).strip()[-300:]}")
    return ROOT / ".venv-airflow" / "bin"


@dataclass
class Airflow:
    """A running Airflow.

    Attributes:
        address: of its API.
        log: what its processes print.
    """

    address: str
    log: Path
    _token: str = ""

    def ask(self, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the API and return its answer."""
        if not self._token:
            self._token = self._answer("/auth/token", "GET", None)["access_token"]
        return self._answer(f"/api/v2{path}", method, body)

    def _answer(self, path: str, method: str, body: dict[str, Any] | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def healthy(self) -> bool:
        """Tell whether the API answers, and scheduler and DAG processor are at work."""
        try:
            parts = self._answer("/api/v2/monitor/health", "GET", None)
        except (OSError, urllib.error.URLError):
            return False
        return all(parts[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))

    def dags(self, count: int) -> set[str]:
        """Wait until so many DAGs are known, and return their ids."""
        until = time.monotonic() + _BEGIN_SECONDS
        while len(found := {each["dag_id"] for each in self.ask("/dags?limit=100")["dags"]}) < count:
            assert time.monotonic() < until, f"{found}: {self.ask('/importErrors')}"
            time.sleep(1)
        return found

    def unpause(self, dag: str) -> str:
        """Let a DAG run as its schedule says, and return its first run: the latest time that has passed is due."""
        self.ask(f"/dags/{dag}", "PATCH", {"is_paused": False})
        until = time.monotonic() + _BEGIN_SECONDS
        while not (found := self.runs(dag)):
            assert time.monotonic() < until, f"{dag} begins no run\n{self._tail()}"
            time.sleep(1)
        return next(iter(found))

    def begin(self, dag: str, **conf: Any) -> str:
        """Begin a run of a DAG by hand, and return its id."""
        found: str = self.ask(f"/dags/{dag}/dagRuns", "POST", {"logical_date": None, "conf": conf})["dag_run_id"]
        return found

    def runs(self, dag: str) -> dict[str, str]:
        """Return the state of each run of a DAG, the oldest first."""
        found = self.ask(f"/dags/{dag}/dagRuns?limit=50&order_by=id")["dag_runs"]
        return {run["dag_run_id"]: run["state"] for run in found}

    def tasks(self, dag: str, run: str) -> dict[str, str]:
        """Return the state of each task of a run."""
        found = self.ask(f"/dags/{dag}/dagRuns/{urllib.request.quote(run)}/taskInstances")["task_instances"]  # type: ignore[attr-defined]
        return {task["task_id"]: task["state"] for task in found}

    def ended(self, dag: str, run: str, seconds: float = 900) -> dict[str, str]:
        """Wait for a run to end well, and return the state of each of its tasks."""
        until = time.monotonic() + seconds
        while (state := self.runs(dag).get(run)) not in _ENDED:
            assert time.monotonic() < until, f"{dag} {run} is still {state}: {self.tasks(dag, run)}\n{self._tail()}"
            time.sleep(1)
        tasks = self.tasks(dag, run)
        assert state == "success", f"{dag} {run} failed: {tasks}\n{self._tail()}"
        return tasks

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-6000:]


@contextmanager
def standalone(folder: Path, project: Path) -> Iterator[Airflow]:
    """Run ``airflow standalone`` with the DAGs of the repository in a home of its own, on free ports, until the end.

    All DAGs are paused.
    """
    bin_ = airflow_environment()
    web, worker, trigger = _free_ports(3)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORITA_", "AIRFLOW"))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # each task starts two Pythons
    environment |= {
        "PATH": f"{bin_}:{environment['PATH']}",
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{web}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(web),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{web}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "ORITA_PYTHON": sys.executable,
        "ORITA_PROJECT": str(project),
        "ORITA_POLL_SECONDS": "2",
    }
    subprocess.run([bin_ / "airflow", "db", "migrate"], env=environment, cwd=folder, capture_output=True, check=True)
    log = folder / "standalone.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [bin_ / "airflow", "standalone"],
            env=environment,
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        running = Airflow(f"http://127.0.0.1:{web}", log)
        until = time.monotonic() + _START_SECONDS
        while not running.healthy():
            assert process.poll() is None and time.monotonic() < until, log.read_text(errors="replace")[-6000:]
            time.sleep(1)
        yield running
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End all processes of the group that *process* leads."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        time.sleep(1)
    process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
