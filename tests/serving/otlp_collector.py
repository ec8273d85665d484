"""A collector of OTLP/HTTP that keeps what it is sent, read by the official messages."""

from __future__ import annotations

import base64
import gzip
import importlib
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format

_REQUESTS = {
    "/v1/traces": ("trace", "ExportTraceServiceRequest"),
    "/v1/metrics": ("metrics", "ExportMetricsServiceRequest"),
    "/v1/logs": ("logs", "ExportLogsServiceRequest"),
}
_IDS = ("traceId", "spanId", "parentSpanId")


class Collector:
    """Listens on a free port of this machine.

    Attributes:
        address: of the collector.
        taken: messages by path, as the classes of ``opentelemetry.proto``.
        headers: of the requests.
        statuses: answered to the next requests instead of 200.
    """

    def __init__(self) -> None:
        self.taken: dict[str, list[Any]] = defaultdict(list)
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                status = collector.statuses.pop(0) if collector.statuses else 200
                if status == 200:
                    collector._take(self.path, self.headers, gzip.decompress(content))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self, found: Callable[[], object]) -> None:
        """Wait until *found* finds something."""
        until = time.monotonic() + 30
        while not found():
            assert time.monotonic() < until, f"nothing came: {dict(self.taken)}"
            time.sleep(0.02)

    def spans(self) -> list[Any]:
        """Return all spans."""
        return [s for m in self.taken["/v1/traces"] for r in m.resource_spans for o in r.scope_spans for s in o.spans]

    def metrics(self) -> dict[str, Any]:
        """Return the last report of each metric by its name."""
        return {
            found.name: found
            for message in self.taken["/v1/metrics"]
            for resource in message.resource_metrics
            for scope in resource.scope_metrics
            for found in scope.metrics
        }

    def lines(self) -> list[Any]:
        """Return all lines of logs."""
        return [
            line
            for message in self.taken["/v1/logs"]
            for resource in message.resource_logs
            for scope in resource.scope_logs
            for line in scope.log_records
        ]

    def _take(self, path: str, headers: Any, content: bytes) -> None:
        module, name = _REQUESTS[path]
        kind = getattr(importlib.import_module(f"opentelemetry.proto.collector.{module}.v1.{module}_service_pb2"), name)
        if headers["content-type"] == "application/json":
            message = json_format.ParseDict(_with_bytes(json.loads(content)), kind())
        else:
            message = kind.FromString(content)
        self.headers.append({name.lower(): value for name, value in headers.items()})
        self.taken[path].append(message)


def attributes(of: Any) -> dict[str, Any]:
    """Return the attributes of a span, a resource or a point."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in of.attributes}


def _with_bytes(value: Any) -> Any:
    """Return a message with its ids as JSON of protobuf has bytes: OTLP writes them in hexadecimal digits."""
    if isinstance(value, dict):
        return {
            name: base64.b64encode(bytes.fromhex(each)).decode() if name in _IDS else _with_bytes(each)
            for name, each in value.items()
        }
    return [_with_bytes(each) for each in value] if isinstance(value, list) else value
