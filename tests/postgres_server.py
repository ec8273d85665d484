"""A real PostgreSQL server for tests and benches: a cluster of its own on a free port, gone afterwards."""

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

__all__ = ["MISSING", "postgres_programs", "postgres_server"]

MISSING = "there is no PostgreSQL server here: sudo apt-get install postgresql"
_SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "listen_addresses=127.0.0.1",
    "max_wal_size=4GB",
    "maintenance_work_mem=256MB",
)


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, or None where it is not installed."""
    found = shutil.which("pg_ctl")
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return Path(found).resolve().parent if found else next(reversed(homes), None)


@contextmanager
def postgres_server(programs: Path) -> Iterator[str]:
    """Start a server; yield its address without a database. Nothing of it outlives the block."""
    with tempfile.TemporaryDirectory(prefix="orita-postgres-") as folder:
        command, data = _command(Path(folder)), f"{folder}/cluster"
        made = [*command, programs / "initdb", "-D", data, "-U", "orita", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, timeout=120, cwd=folder)
        port = _free_port()
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
            yield f"postgresql://orita@127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGINT)  # without waiting for clients
            server.wait(timeout=60)


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _wait(programs: Path, port: str, server: subprocess.Popen[bytes]) -> None:
    ready: list[str | Path] = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port, "-U", "orita"]
    deadline = time.monotonic() + 60
    while subprocess.run([*ready, "-d", "postgres"], check=False, timeout=10).returncode != 0:
        assert server.poll() is None and time.monotonic() < deadline, "PostgreSQL did not start"
        time.sleep(0.05)


def _command(folder: Path) -> list[str | Path]:
    """PostgreSQL refuses to run as root: then it runs as the user that its package made. It ends with the tests."""
    if shutil.which("setpriv") is None:
        return []
    if os.getuid() != 0:
        return ["setpriv", "--pdeathsig", "KILL"]
    shutil.chown(folder, "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]
