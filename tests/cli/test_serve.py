"""``orita serve`` as a process: what it imports, and several workers of the real command."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.serving.workers.served import gone, until


def ask(address: str, path: str) -> tuple[int, dict[str, object]]:
    """Return the status and the answer of a GET."""
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_server_imports_nothing_that_trains() -> None:
    """What `orita serve` imports before it listens neither trains or compiles nor is what few servers ever need."""
    code = (
        "import sys, orita.cli.serve, orita.cli.served_project, orita.serving.server, orita.registry.catalogue; "
        "heavy = {'numba', 'torch', 'lightgbm', 'mlflow', 'scipy', 'sklearn', 'pandas', 'duckdb', 'fastapi', "
        "'opentelemetry', 'strawberry', 'rich.progress'}; found = heavy & set(sys.modules); "
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_workers_of_the_real_command(tmp_path: Path) -> None:
    """Forked with all that is imported, workers answer, also one that was started later, and all end in order."""
    command = [
        sys.executable,
        "-m",
        "orita",
        "--home",
        str(tmp_path),
        "serve",
        "--port",
        "0",
        "--workers",
        "2",
        "--json",
    ]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = urlsplit(json.loads(process.stdout.readline())["address"]).netloc

            def workers() -> set[int]:
                told = ask(address, "/health")[1]["workers"]
                assert isinstance(told, list)
                return {worker["pid"] for worker in told if worker["status"] == "answering"}

            first = until(lambda: found if len(found := workers()) == 2 else None)
            assert ask(address, "/health/live") == (200, {"status": "ok", "detail": None})
            assert ask(address, "/health")[0] == 503  # no champion yet
            os.kill(min(first), signal.SIGKILL)
            second = until(lambda: found if len(found := workers()) == 2 and min(first) not in found else None)
            process.terminate()
            assert process.wait(timeout=60) == 0
            assert all(gone(pid) for pid in first | second)
        finally:
            process.kill()
