"""schemathesis over a real server: whatever is asked, the OpenAPI document holds."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from benchmarks.fuzz import fuzz
from benchmarks.serve import started
from tests.cli.small_world import command, orita
from tests.serving.standing_server import standing_server

from orita.core.home import Home


@pytest.mark.timeout(600)
def test_some_cases_of_each_endpoint(tmp_path: Path) -> None:
    """Drawn requests to the endpoints of a server of stand-ins: no 5xx, no hang, every error as it is documented."""
    with standing_server(Home(tmp_path), expose_inference=False) as server:  # tensors are for packages alone
        found = fuzz(f"http://127.0.0.1:{server.port}", cases=60, each=2, seed=1, phases="examples,fuzzing")
    assert found.failures == []
    assert found.cases >= 60


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thousands_of_cases(tmp_path: Path) -> None:
    """The same of all endpoints of ``orita serve`` on a world it was trained for, and at the bounds of each field."""
    orita(tmp_path, "run", "all")
    with started("orita", command("--project", str(tmp_path), "serve", "--port", "0", "--json"), pin=False) as server:
        found = fuzz(f"http://{server.address}", cases=3000, each=60, seed=2)
    assert found.failures == []
    assert found.operations >= 30


class _Wrong(BaseHTTPRequestHandler):
    """Answers errors in a form of its own; fails for an even ``n``; takes any ``n``."""

    def do_GET(self) -> None:
        """Answer."""
        schema = {"type": "integer", "minimum": 1}
        answers = {"200": {"description": "ok"}, "500": {"description": "no"}, "404": {"description": "no"}}
        parameter = {"name": "n", "in": "query", "required": True, "schema": schema}
        path = {"get": {"parameters": [parameter], "responses": answers}}
        document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/n": path}}
        number = self.path.rpartition("=")[2]
        even = number.isdigit() and int(number) % 2 == 0
        status = 200 if self.path == "/openapi.json" or not number.isdigit() else 500 if even else 404
        content = json.dumps(document if self.path == "/openapi.json" else {"oops": number}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("x-request-id", "1")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def wrong() -> Iterator[str]:
    """Where a server answers that does not keep its document."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Wrong)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.timeout(300)
def test_what_is_wrong_is_found(wrong: str) -> None:
    """A server that fails, takes wrong requests and tells errors otherwise is found out by each of our checks."""
    found = fuzz(wrong, cases=1, each=12, phases="fuzzing")
    for check in ("no_server_error", "Schema-violating request accepted", "documented_errors"):
        assert any(check in failure for failure in found.failures), found.failures
