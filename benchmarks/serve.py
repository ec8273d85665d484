"""How fast does the server answer? ``POST /predict`` at a fixed rate, then as fast as it goes.

The rate is an open loop: requests are sent when they are due, whether earlier ones were answered or not, and latency
counts from the moment a request was due. The server runs in a process of its own, pinned to one core, the caller to
another. By default features come from memory and the model is a small ONNX network; ``--home`` takes a real home with
online features and a deployed champion. The prediction log is on in both.

    python -m benchmarks.serve --rate 100 --seconds 20      # last line: one JSON object
    python -m benchmarks.serve --home .orita
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from orita.core.home import Home
from orita.models.examples import Examples
from orita.models.ranker import FitContext, FitReport

FEATURES = tuple(f"feature_{number}" for number in range(16))
CONNECTIONS = 16


@dataclass
class Caller(asyncio.Protocol):
    """One kept connection, one request at a time."""

    answer: asyncio.Future[int] | None = None
    received: bytearray = field(default_factory=bytearray)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect an answer; whole, it resolves with its status."""
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= length and self.answer is not None:
            answer, self.answer = self.answer, None
            self.received.clear()
            answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request under way."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(exc or ConnectionError("the server closed the connection"))

    async def call(self, request: bytes) -> int:
        """Send a request; return the status of its answer."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer


@dataclass(frozen=True)
class Measured:
    """Milliseconds of each request, failures, seconds in all, and the server's processor time of a request."""

    latencies_ms: npt.NDArray[np.float64]
    failed: int
    seconds: float
    cpu_us: float = 0.0

    def percentile(self, share: float) -> float:
        """Return the latency that *share* percent of the requests stayed under."""
        return round(float(np.percentile(self.latencies_ms, share)), 3)


async def open_loop(callers: list[Caller], requests: list[bytes], rate: float, seconds: float) -> Measured:
    """Send *rate* requests a second; a request that finds every connection busy waits, and its wait counts."""
    free: asyncio.Queue[Caller] = asyncio.Queue()
    for caller in callers:
        free.put_nowait(caller)
    latencies: list[float] = []
    failed = 0
    begin = time.perf_counter() + 0.1

    async def one(number: int) -> None:
        nonlocal failed
        due = begin + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        caller = await free.get()
        failed += await caller.call(requests[number % len(requests)]) != 200
        latencies.append((time.perf_counter() - due) * 1000)
        free.put_nowait(caller)

    await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))
    return Measured(np.array(latencies), failed, time.perf_counter() - begin)


async def closed_loop(callers: list[Caller], requests: list[bytes], seconds: float) -> Measured:
    """Let every connection send its next request as soon as it has its answer."""
    latencies: list[float] = []
    failed = 0
    begin = time.perf_counter()

    async def one(caller: Caller, first: int) -> None:
        nonlocal failed
        number = first
        while (sent := time.perf_counter()) < begin + seconds:
            failed += await caller.call(requests[number % len(requests)]) != 200
            latencies.append((time.perf_counter() - sent) * 1000)
            number += len(callers)

    await asyncio.gather(*(one(caller, first) for first, caller in enumerate(callers)))
    return Measured(np.array(latencies), failed, time.perf_counter() - begin)


async def measure(address: str, pid: int, options: argparse.Namespace) -> tuple[Measured, Measured]:
    """Warm up, then measure at the rate and at full speed."""
    loop = asyncio.get_running_loop()
    host, port = address.split(":")
    callers = [(await loop.create_connection(Caller, host, int(port)))[1] for _ in range(CONNECTIONS)]
    requests = made_requests(options)
    await closed_loop(callers[:2], requests, 1.0)
    paced = await open_loop(callers, requests, options.rate, options.seconds)
    cpu = _cpu_seconds(pid)
    full = await closed_loop(callers[: options.callers], requests, options.full_seconds)
    full = replace(full, cpu_us=(_cpu_seconds(pid) - cpu) / len(full.latencies_ms) * 1e6)
    for caller in callers:
        caller.transport.close()
    return paced, full


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def made_requests(options: argparse.Namespace) -> list[bytes]:
    """Return requests of random users for random items."""
    choose = random.Random(0)
    requests = []
    for _ in range(500):
        asked = {
            "user_id": choose.randrange(options.users),
            "item_ids": choose.sample(range(options.items), options.candidates),
            "context": {"device": choose.choice(["mobile", "desktop", "tablet"])},
        }
        body = json.dumps(asked).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
        requests.append(head.encode() + body)
    return requests


def publish_network(home: Home) -> None:
    """Deploy a network of 16 features and 64 hidden units with random weights."""
    from orita.control.deployments import Deployments
    from orita.features.schema import FeatureColumn, FeatureSchema
    from orita.models.metadata import ModelMetadata
    from orita.models.package import write_package

    schema = FeatureSchema(tuple(FeatureColumn(name, "item") for name in FEATURES))
    rows = 64
    x_NF = np.random.default_rng(0).random((rows, len(FEATURES)), dtype=np.float32)
    zeros_N = np.zeros(rows, np.int64)
    sample = Examples(schema, zeros_N, zeros_N, x_NF, np.zeros(rows, np.float32), zeros_N)
    metadata = ModelMetadata(
        model_id="bench",
        model_version="v1.0.0",
        training_date="2024-11-15T00:00:00Z",
        mlflow_run_id="",
        model_type="network",
        feature_schema_version=schema.version,
    )
    write_package(home.packages / "feed" / "v1.0.0", _Network(), metadata, schema, sample)
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="bench", reason="bench")


class _Network:
    """A ranker that was never trained: what matters here is what its graph costs."""

    type = "network"

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self._first = rng.normal(size=(len(FEATURES), 64)).astype(np.float32)
        self._last = rng.normal(size=(64, 1)).astype(np.float32)

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        raise NotImplementedError("this network has random weights")

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        hidden = np.maximum(np.nan_to_num(rows.x_NF) @ self._first, 0)
        return np.asarray(1 / (1 + np.exp(-(hidden @ self._last))), np.float32)[:, 0]

    def export(self, folder: Path) -> None:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        nodes = [
            helper.make_node("IsNaN", ["features"], ["missing"]),
            helper.make_node("Where", ["missing", "zero", "features"], ["known"]),
            helper.make_node("MatMul", ["known", "first"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("MatMul", ["active", "last"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["column"]),
            helper.make_node("Squeeze", ["column", "axis"], ["scores"]),
        ]
        weights = {
            "zero": np.zeros((), np.float32),
            "first": self._first,
            "last": self._last,
            "axis": np.array([1], np.int64),
        }
        graph = helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", len(FEATURES)])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N"])],
            [numpy_helper.from_array(value, name) for name, value in weights.items()],
        )
        opset = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / "model.onnx")


def serve_network(root: Path) -> None:
    """Be the server: the network over features from memory."""
    from orita.serving.app import create_app
    from orita.serving.config import ServingConfig
    from orita.serving.server import serve
    from orita.testing.serving import HashedFeatures

    config = ServingConfig(port=0)
    features = HashedFeatures(FEATURES)
    app = create_app(Home(root), "feed", features, config)
    serve(app, config, announce=lambda address: print(json.dumps({"address": address}), flush=True))


@contextmanager
def server(options: argparse.Namespace, root: Path) -> Iterator[tuple[str, int]]:
    """Run the server in a process of its own on one core; give its host:port and process."""
    if options.home:
        command = ["-c", "from orita.cli import main; main()", "serve", "--port", "0", "--json"]
    else:
        command = ["-m", "benchmarks.serve", "--serve", str(root)]
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ORITA_HOME": str(root.absolute())},
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        while process.poll() is None and not line.startswith("{"):
            line = process.stdout.readline()
        if options.pin:
            _pin(process.pid, core=0)
        yield urlsplit(json.loads(line)["address"]).netloc, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        process.stdout.close()


def _pin(pid: int, *, core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {cores[core % len(cores)]})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--full-seconds", type=float, default=5)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="where other work keeps the cores busy")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve_network(options.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = options.home or Path(folder)
        if not options.home:
            publish_network(Home(root))
        with server(options, root) as (address, pid):
            everything = os.sched_getaffinity(0)
            if options.pin:
                os.sched_setaffinity(0, {max(everything)})
            paced, full = asyncio.run(measure(address, pid, options))
            os.sched_setaffinity(0, everything)
    for name, run in (("at the rate", paced), ("at full speed", full)):
        rate = len(run.latencies_ms) / run.seconds
        print(
            f"{name:14} {rate:8.1f} requests/s   p50 {run.percentile(50):7.3f} ms   p99 {run.percentile(99):7.3f} ms   "
            f"p99.9 {run.percentile(99.9):7.3f} ms   failed {run.failed}"
        )
    figures = {
        "p50_ms": paced.percentile(50),
        "p99_ms": paced.percentile(99),
        "requests_per_second_max": round(len(full.latencies_ms) / full.seconds, 1),
        "cpu_us": round(full.cpu_us, 1),
        "failed": paced.failed + full.failed,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
