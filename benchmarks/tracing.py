"""What does tracing cost a request: none, some, and none recorded?

``make bench B=tracing``; the last line is one JSON object, microseconds of processor time a request of 100 items on the
server's short way (decode, features, model, log, encode) in this process: ``off``, with tracing where no request is
recorded (``unrecorded``), and where every one is (``recorded``); medians over interleaved blocks. ``added`` is what
unrecorded requests pay, in percent: the median of differences of blocks side by side.

    python -m benchmarks.tracing [--blocks 60] [--requests 500]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.serving.models_at_hand import FEATURES, publish_model

from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

_BODY = json.dumps({"user_id": 7, "item_ids": list(range(100))}).encode()
_HEADERS = ((b"host", b"localhost"), (b"content-type", b"application/json"))


class _Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def answering(folder: Path, running: ExitStack, telemetry: dict[str, object]) -> Callable[[], object]:
    """Return what answers one request of a server with these settings."""
    home = Home(folder)
    publish_model(home, "v1.0.0", deploy=True)
    config = ServingConfig.model_validate({"telemetry": telemetry})
    app = create_app(home, "feed", HashedFeatures(FEATURES), config, load=load_line_package)
    running.enter_context(AsgiClient(app))
    route = app.state.quick.fixed[b"/predict"]
    assert route.reply(_HEADERS, _BODY).status == 200
    return lambda: route.reply(_HEADERS, _BODY)


def main() -> None:
    """Run, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--requests", type=int, default=500)
    options = parser.parse_args()
    collector = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{collector.server_address[1]}"
    sent = {"endpoint": endpoint, "logs": False, "queue": 100_000}
    settings: dict[str, dict[str, object]] = {
        "off": {},
        "unrecorded": {**sent, "trace_share": 0},
        "recorded": {**sent, "trace_share": 1},
    }
    took: dict[str, list[float]] = {name: [] for name in settings}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        ask = {name: answering(Path(folder) / name, running, each) for name, each in settings.items()}
        for block in range(options.blocks):
            names = list(settings)
            for name in names[block % 3 :] + names[: block % 3]:
                began = time.thread_time()
                for _ in range(options.requests):
                    ask[name]()
                took[name].append((time.thread_time() - began) / options.requests * 1e6)
    collector.shutdown()
    found = {name: round(statistics.median(of), 2) for name, of in took.items()}
    added = statistics.median(b / a - 1 for a, b in zip(took["off"], took["unrecorded"], strict=True))
    print(json.dumps({**found, "added": round(100 * added, 2)}))


if __name__ == "__main__":
    main()
