"""A real PostgreSQL server for tests: a cluster of its own on a free port, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["postgres_server"]

_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "listen_addresses=127.0.0.1")


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server; yield the address of an empty database of it. Nothing of it outlives the block."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="orita-postgres-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        command, data = _command(Path(folder)), f"{folder}/cluster"
        made = [*command, programs / "initdb", "-D", data, "-U", "orita", "-A", "trust", "-E", "UTF8"]
        subprocess.run(made, check=True, capture_output=True, timeout=120, cwd=folder)
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(
                [*command, programs / "postgres", "-D", data, "-p", port, "-k", folder, *settings],
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        try:
            _wait(programs, port, server)
            yield f"postgresql://orita@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # without waiting for clients
            server.wait(timeout=60)


def _wait(programs: Path, port: str, server: subprocess.Popen[bytes]) -> None:
    server_options = ("-h", "127.0.0.1", "-p", port, "-U", "orita", "-d", "postgres")
    ready: list[str | Path] = [programs / "pg_isready", "-q", *server_options]
    deadline = time.monotonic() + 60
    while subprocess.run(ready, check=False, timeout=10).returncode != 0:
        assert server.poll() is None and time.monotonic() < deadline, "PostgreSQL did not start"
        time.sleep(0.05)


def _programs() -> Path:
    found = shutil.which("pg_ctl")
    homes = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not homes:
        pytest.skip("there is no PostgreSQL server here: sudo apt-get install postgresql")
    return homes[-1]


def _command(folder: Path) -> list[str | Path]:
    """PostgreSQL refuses to run as root: then it runs as the user that its package made. It ends with the tests."""
    if shutil.which("setpriv") is None:
        return []
    if os.getuid() != 0:
        return ["setpriv", "--pdeathsig", "KILL"]
    shutil.chown(folder, "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]
