"""A real server of stand-ins in a process of its own, and a connection to it, byte by byte."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.serving.patience import patient

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.testing.serving import publish_line_package

__all__ = ["BODY", "Answer", "Talk", "request", "served"]

_SERVER = """
import json, sys
from pathlib import Path
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.server import serve
from orita.testing.serving import HashedFeatures, load_line_package
config = ServingConfig(port=0, **json.loads(sys.argv[2]))
app = create_app(Home(Path(sys.argv[1])), "feed", HashedFeatures(("item_ctr",)), config, load=load_line_package)
serve(app, config, announce=lambda address: print(address.rpartition(":")[2], flush=True))
"""
BODY = json.dumps({"user_id": 7, "item_ids": [1, 2, 3]}).encode()

Answer = tuple[int, dict[str, str], Any]


@contextmanager
def served(home: Home, **settings: Any) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run a server with *settings*, faults allowed; give its port and process."""
    publish_line_package(home, "feed", "v1.0.0", ("item_ctr",))
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    command = [sys.executable, "-c", _SERVER, str(home.root), json.dumps(patient(settings))]
    environment = os.environ | {"ORITA_ALLOW_FAULTS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            while not line.strip().isdigit():
                assert line, "the server did not start"
                line = process.stdout.readline()
            yield int(line), process
        finally:
            process.kill()


class Talk:
    """A connection, byte by byte."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._stream = self.socket.makefile("rb")

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self.socket.close()

    def send(self, content: bytes) -> None:
        """Send *content* as it is."""
        self.socket.sendall(content)

    def text(self) -> str:
        """Return the content of the next answer, which is text."""
        _, _, content = self._next()
        return content.decode()

    def answer(self) -> Answer:
        """Return the next answer: status, headers, content as JSON."""
        status, headers, content = self._next()
        return status, headers, json.loads(content)

    def _next(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._stream.readline().split()[1])
        headers = {}
        while (line := self._stream.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            headers[name] = value
        return status, headers, self._stream.read(int(headers["content-length"]))

    def over(self) -> bool:
        """Return whether the server has hung up."""
        return self._stream.read(1) == b""


def request(body: bytes = BODY, *headers: str, path: str = "/predict", version: str = "1.1") -> bytes:
    """Return the bytes of a request."""
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body
