"""What does a request of the Open Inference Protocol cost? CPU of the server for one row and for 100, REST and gRPC.

A two-tower network with ids is trained briefly on made-up clicks (seed 0), written as a package and served at ``/v2``
as ``orita serve`` does, with one worker, and by gRPC. A caller in another process, on another core where there are two,
sends a request after another over one connection. CPU is what the operating system charged the server for the measured
requests, all of HTTP included; latency is the caller's. Of many short rounds the least is told, since what else the
machine does only adds. Beside it stand a route of the same server that answers a constant, the model alone, and the
same requests to FastAPI with pydantic models that does decode, model and encode.

    python -m benchmarks.inference_protocol      # last line: one JSON object; needs the extras train and grpc
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.progress import SILENT
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.build import build_ranker
from orita.models.config import ModelSection, TrainingSection
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.package import load_package, write_package
from orita.models.ranker import FitContext
from orita.serving.access.callers import LocalCallers
from orita.serving.access.own_pages import OwnPages

FEATURES, ROWS = 16, 4_000
REQUESTS, ROUNDS = 300, 15
SCHEMA = FeatureSchema(
    tuple(FeatureColumn(f"feature_{n}", ("user", "item", "context")[n % 3]) for n in range(FEATURES))
)


@dataclass(frozen=True)
class Served:
    """A server: its process, and the ports of its protocols; the peer has no gRPC."""

    pid: int
    http: int
    grpc: int = 0


def main() -> None:
    """Measure every form of a request, and print what each cost."""
    with (
        tempfile.TemporaryDirectory() as name,
        serving("benchmarks.inference_protocol", folder := written(Path(name) / "v1.0.0")) as served,
        serving("benchmarks.peers.fastapi_inference", folder) as peer,
    ):
        if (cores := sorted(os.sched_getaffinity(0)))[1:]:
            os.sched_setaffinity(0, cores[:1])
        print(f"{FEATURES} features and ids, two-tower network; {REQUESTS:,} requests a round, {ROUNDS} rounds, seed 0")
        bare, _ = measured(served, over_http(served, 1, binary=False, path="/bare"))
        print(f"a constant of the same server: CPU {bare:5.0f} µs a request")
        figures: dict[str, float] = {"bare_cpu_us": round(bare)}
        for rows in (1, 100):
            figures[f"model_{rows}_cpu_us"] = round(model_alone(folder, rows))
            print(f"{rows:4} rows, the model alone: CPU {figures[f'model_{rows}_cpu_us']:5.0f} µs")
            for form in ("json", "binary", "grpc"):
                ask = over_grpc(served, rows) if form == "grpc" else over_http(served, rows, binary=form == "binary")
                cpu, p50 = measured(served, ask)
                print(f"{rows:4} rows, {form:6}: CPU {cpu:5.0f} µs a request, p50 {p50:5.0f} µs")
                figures |= {f"{form}_{rows}_cpu_us": round(cpu), f"{form}_{rows}_p50_us": round(p50)}
            cpu, p50 = measured(peer, over_http(peer, rows, binary=False))
            print(f"{rows:4} rows, JSON, FastAPI + pydantic: CPU {cpu:5.0f} µs a request, p50 {p50:5.0f} µs")
            figures |= {f"fastapi_{rows}_cpu_us": round(cpu), f"fastapi_{rows}_p50_us": round(p50)}
            figures[f"cpu_ratio_fastapi_{rows}"] = round(cpu / figures[f"json_{rows}_cpu_us"], 3)
    print(json.dumps(figures))


def written(folder: Path) -> Path:
    """Write the package."""
    random = np.random.default_rng(0)
    x_NF = random.random((ROWS, FEATURES), np.float32)
    y_N = (x_NF[:, 0] + x_NF[:, 1] > random.random(ROWS) * 2).astype(np.float32)
    ids_2N = random.integers(0, 1000, (2, ROWS))
    rows = Examples(SCHEMA, ids_2N[0], ids_2N[1], x_NF, y_N, np.arange(ROWS))
    ranker = build_ranker("two_tower", ModelSection(), TrainingSection(epochs=1))
    ranker.fit(rows.take(slice(0, 3000)), rows.take(slice(3000, None)), FitContext(SILENT))
    card = ModelMetadata("01890000-0000-7000-8000-000000000000", "v1.0.0", "2024-11-15T00:00:00Z", "", ranker.type)
    write_package(folder, ranker, card, SCHEMA, rows)
    return folder


def measured(served: Served, ask: Callable[[], None]) -> tuple[float, float]:
    """Return µs of the server's CPU a request, and the median latency in µs."""
    cpu, p50 = [], []
    for round_ in range(ROUNDS + 1):  # the first warms up
        before, marks = cpu_seconds(served.pid), [time.perf_counter()]
        for _ in range(REQUESTS):
            ask()
            marks.append(time.perf_counter())
        if round_:
            cpu.append((cpu_seconds(served.pid) - before) / REQUESTS * 1e6)
            p50.append(float(np.median(np.diff(marks))) * 1e6)
    return min(cpu), min(p50)


def model_alone(folder: Path, rows: int) -> float:
    """Return µs of CPU for scoring, in this process."""
    package = load_package(folder)
    x_NF, users_N, items_N = (values for *_, values in tensors(rows))
    spent = []
    for _ in range(ROUNDS + 1):
        before = time.process_time()
        for _ in range(REQUESTS):
            package.score(users_N, items_N, x_NF)  # type: ignore[arg-type]
        spent.append((time.process_time() - before) / REQUESTS * 1e6)
    return min(spent[1:])


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used, all its threads and the kernel's work for it included."""
    told = (file.read_text(encoding="ascii") for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(times.split()[0]) for times in told) / 1e9


def tensors(rows: int) -> list[tuple[str, str, list[int], npt.NDArray[np.generic]]]:
    """Return the inputs of a request."""
    random = np.random.default_rng(1)
    x_NF = random.random((rows, FEATURES), np.float32)
    ids_2N = random.integers(0, 1000, (2, rows))
    return [
        ("features", "FP32", [rows, FEATURES], x_NF),
        ("users", "INT64", [rows], ids_2N[0]),
        ("items", "INT64", [rows], ids_2N[1]),
    ]


def over_http(served: Served, rows: int, *, binary: bool, path: str = "/v2/models/feed/infer") -> Callable[[], None]:
    """Return what sends one request over a kept connection and reads the answer whole."""
    told, after = [], b""
    for name, datatype, shape, values in tensors(rows):
        content = values.tobytes() if binary else b""
        data = {"parameters": {"binary_data_size": len(content)}} if binary else {"data": values.ravel().tolist()}
        told.append({"name": name, "datatype": datatype, "shape": shape, **data})
        after += content
    head = json.dumps({"inputs": told, "parameters": {"binary_data_output": binary}}).encode()
    lines = f"Host: x\r\nContent-Length: {len(head) + len(after)}\r\n"
    lines += f"Inference-Header-Content-Length: {len(head)}\r\n" if binary else "Content-Type: application/json\r\n"
    request = f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + head + after
    connection = socket.create_connection(("127.0.0.1", served.http))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask() -> None:
        connection.sendall(request)
        answer = connection.recv(65536)
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536)
        top, _, body = answer.partition(b"\r\n\r\n")
        assert top.startswith(b"HTTP/1.1 200"), answer
        length = int(top.lower().partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)

    return ask


def over_grpc(served: Served, rows: int) -> Callable[[], None]:
    """Return what calls ModelInfer with raw contents."""
    import grpc

    from orita.serving.inference_protocol.grpc_service import SERVICE
    from orita.serving.inference_protocol.proto import open_inference_pb2 as pb

    given = tensors(rows)
    inputs = [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape, _ in given]
    raw = [values.tobytes() for *_, values in given]
    request = pb.ModelInferRequest(model_name="feed", inputs=inputs, raw_input_contents=raw)
    method = grpc.insecure_channel(f"127.0.0.1:{served.grpc}").unary_unary(
        f"/{SERVICE}/ModelInfer",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=pb.ModelInferResponse.FromString,
    )

    def ask() -> None:
        assert len(method(request).raw_output_contents) == 1

    return ask


@contextmanager
def serving(module: str, folder: Path) -> Iterator[Served]:
    """Run a *module* that serves the package, on the last core."""
    process = subprocess.Popen([sys.executable, "-m", module, str(folder)], stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
    assert process.stdout is not None
    try:
        yield Served(process.pid, *map(int, process.stdout.readline().split()))
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def serve(folder: Path) -> None:
    """Serve the package in *folder* by both protocols until the process is told to stop."""
    from functools import partial

    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    from orita.core.clock import SystemClock
    from orita.serving.http.limits import HttpLimits
    from orita.serving.http.protocol import ServingProtocol
    from orita.serving.http.unfinished_bodies import UnfinishedBodies
    from orita.serving.inference_protocol.grpc_service import GrpcInference
    from orita.serving.inference_protocol.models import FixedModels
    from orita.serving.inference_protocol.quick import QuickPaths
    from orita.serving.inference_protocol.routes import InferenceRoutes
    from orita.serving.resilience.parts import ResilienceConfig, build_parts

    models = FixedModels({"feed": load_package(folder)})
    constant = Route("/bare", lambda _: Response(b"{}", media_type="application/json"), methods=["POST"])
    parts = build_parts(ResilienceConfig(), SystemClock())
    routes = InferenceRoutes(models, parts, max_body=1024 * 1024)
    app = Starlette(routes=[*routes.routes, constant])
    listener = socket.create_server(("127.0.0.1", 0))
    port = await GrpcInference(models, LocalCallers("127.0.0.1"), parts, max_message=1024 * 1024).start("127.0.0.1:0")
    print(listener.getsockname()[1], port, flush=True)
    quick = QuickPaths({}, routes, 1024, OwnPages("127.0.0.1"))
    bodies = UnfinishedBodies(64 * 1024 * 1024)
    http: Any = partial(ServingProtocol, quick=quick, limits=HttpLimits(), bodies=bodies, turned_away=print)
    config = uvicorn.Config(app, http=http, ws="none", access_log=False, log_config=None, server_header=False)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    if sys.argv[1:] and Path(sys.argv[1]).joinpath("manifest.json").exists():
        import uvloop

        uvloop.run(serve(Path(sys.argv[1])))
    else:
        main()
