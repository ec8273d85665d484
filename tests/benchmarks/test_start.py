"""The benchmark of starts waits for a prediction, not for an answer, and counts the memory of workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.start import own_mib, start_once

_SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Answers(BaseHTTPRequestHandler):
    asked = 0

    def do_POST(self):
        type(self).asked += 1
        body = self.rfile.read(int(self.headers["content-length"]))
        with open(sys.argv[1], "ab") as told:
            told.write(body)
        self.send_response(200 if self.asked == 3 else 503)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Answers)
print(json.dumps({"address": f"http://127.0.0.1:{server.server_port}"}), flush=True)
server.serve_forever()
"""


def test_a_start_ends_with_a_prediction(tmp_path: Path) -> None:
    """503 is no prediction: it asks again, until there is one, and looks at memory where it is told to."""
    told = tmp_path / "told"
    start = start_once([sys.executable, "-c", _SERVER, str(told)], b"asked;", 0.0)
    assert told.read_bytes() == b"asked;" * 3
    assert start.seconds > 0
    assert start.anonymous_mib is not None
    assert 1 < start.anonymous_mib < 200
    assert start_once([sys.executable, "-c", _SERVER, str(told)], b"", None).anonymous_mib is None


def test_workers_count() -> None:
    """What a child has for itself is counted with its parent."""
    code = "kept = bytes(range(256)) * (64 * 4096); print(len(kept), flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert own_mib(process.pid) > 60
    finally:
        process.communicate(b"\n")
