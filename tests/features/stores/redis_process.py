"""A real Redis or Valkey on a free port, which tests may kill and start again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from orita.core.errors import OritaError
from orita.features.stores.redis import RedisConfig, RedisStore
from orita.features.stores.redis_server import RedisServer

__all__ = ["RedisProcess"]


class RedisProcess:
    """A server that keeps what a store promises: its append-only file is synced before it answers.

    Attributes:
        config: how it is reached.
        server: for what tests ask of it themselves.
    """

    def __init__(self, folder: Path) -> None:
        pytest.importorskip("redis", reason="the client is not installed: pip install 'orita[redis]'")
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip("there is no Redis server here: sudo apt-get install redis-server")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": ""}
        options |= {"appendonly": "yes", "appendfsync": "always", "loglevel": "warning"}
        # Where tests are killed, the server goes with them.
        with_parent = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        self._command = [
            *with_parent,
            program,
            *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        ]
        self._log = folder / "log"
        self.config = RedisConfig(url=f"redis://127.0.0.1:{port}/0")
        self.server = RedisServer(self.config)
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        store = self.store("waits")
        deadline = time.monotonic() + 20
        while True:
            try:
                store.offset("anything")
                break
            except OritaError:
                assert self._process.poll() is None and time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.01)
        store.close()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def store(self, system: str, generation: str = "0") -> RedisStore:
        """Open the store of *system*."""
        return RedisStore(self.config, system=system, generation=generation)
