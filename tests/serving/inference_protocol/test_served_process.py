"""The protocol of a real server: by the short way and the long way, over REST and gRPC, until it is stopped."""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from tests.models.clicks import SCHEMA, clicks
from tests.serving.patience import PATIENT

from orita.control.deployments import Deployments
from orita.core.home import Home
from orita.models.package import Package

grpc = pytest.importorskip("grpc", reason="the extra 'grpc' is not installed")

from orita.serving.inference_protocol.grpc_health import HEALTH, health_messages  # noqa: E402  (they import grpc)
from orita.serving.inference_protocol.grpc_service import SERVICE  # noqa: E402
from orita.serving.inference_protocol.proto import open_inference_pb2 as pb  # noqa: E402

ROWS = clicks(300)
ASKED, TOLD = health_messages()
_SERVER = """
import json, sys
from pathlib import Path
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.server import serve
from orita.testing.serving import HashedFeatures
config = ServingConfig.model_validate_json(sys.argv[2])
app = create_app(Home(Path(sys.argv[1])), "feed", HashedFeatures(json.loads(sys.argv[3])), config)
serve(app, config, announce=lambda address: print(address.rpartition(":")[2], flush=True))
"""


class Served(NamedTuple):
    """A server's process and ports."""

    process: subprocess.Popen[str]
    http: int
    grpc: int


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, feed: Package) -> Iterator[Served]:
    """A running server of the model."""
    with serving(tmp_path_factory.mktemp("served"), feed) as served:
        yield served


@contextmanager
def serving(folder: Path, feed: Package) -> Iterator[Served]:
    """Run a server of *feed* with both protocols."""
    home = Home(folder)
    shutil.copytree(feed.folder, home.packages / "feed" / feed.version)
    Deployments(home.control_db).deploy("feed", feed.version, actor="test", reason="test")
    with socket.create_server(("127.0.0.1", 0)) as free:
        grpc_port = free.getsockname()[1]
    settings = json.dumps({"port": 0, "inference_grpc_port": grpc_port, **PATIENT})
    command = [sys.executable, "-c", _SERVER, str(home.root), settings, json.dumps(SCHEMA.names)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if line.strip().isdigit())
            yield Served(process, int(line), grpc_port)
        finally:
            process.kill()


def asked(rows: int, **more: Any) -> bytes:
    """Return a request for the first *rows* rows."""
    inputs: list[dict[str, Any]] = [
        {"name": "features", "datatype": "FP32", "shape": [rows, len(SCHEMA)]},
        {"name": "users", "datatype": "INT64", "shape": [rows], "data": ROWS.users_N[:rows].tolist()},
        {"name": "items", "datatype": "INT64", "shape": [rows], "data": ROWS.items_N[:rows].tolist()},
    ]
    inputs[0]["data"] = np.nan_to_num(ROWS.x_NF[:rows]).ravel().tolist()
    return json.dumps({"inputs": inputs, **more}).encode()


def posted(served: Served, path: str, body: bytes, **headers: str) -> tuple[int, Message, bytes]:
    """Return status, headers and content of the answer to a request."""
    with closing(http.client.HTTPConnection("127.0.0.1", served.http, timeout=60)) as connection:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


@pytest.mark.parametrize("rows", [1, 300])
def test_short_and_long_way(served: Served, feed: Package, rows: int) -> None:
    """A request that may take the short way, one that may not for its path, and a long one answer alike."""
    wanted = feed.score(ROWS.users_N[:rows], ROWS.items_N[:rows], np.nan_to_num(ROWS.x_NF[:rows]))
    for path in ("/v2/models/feed/infer", f"/v2/models/feed/versions/{feed.version}/infer", "/v2/models/feed/infer?a"):
        status, headers, content = posted(
            served, path, asked(rows), **{"X-Request-Id": "r1", "Accept-Encoding": "gzip"}
        )
        assert (status, headers["x-request-id"], headers.get_all("content-type")) == (200, "r1", ["application/json"])
        assert headers["content-encoding"] == ("gzip" if rows == 300 else None)
        told = json.loads(gzip.decompress(content) if rows == 300 else content)
        np.testing.assert_array_equal(np.array(told["outputs"][0]["data"], np.float32), wanted)


def test_binary_answers_say_so(served: Served) -> None:
    """One type of content, by the short way too; what is wrong is an error of the protocol."""
    path = "/v2/models/feed/infer"
    _, headers, content = posted(served, path, asked(2, parameters={"binary_data_output": True}))
    assert headers.get_all("content-type") == ["application/octet-stream"]
    assert len(content) == int(headers["inference-header-content-length"]) + 2 * 4
    for more, wanted in (({}, 400), ({"Content-Encoding": "gzip"}, 415)):
        status, _, content = posted(served, path, b"{}", **more)
        assert (status, list(json.loads(content))) == (wanted, ["error"])


def test_grpc_until_the_end(tmp_path: Path, feed: Package) -> None:
    """It answers beside HTTP, and ends in order with the server, which its health told those who watched."""
    with (
        serving(tmp_path, feed) as served,
        grpc.insecure_channel(f"127.0.0.1:{served.grpc}") as channel,
    ):
        watch = channel.unary_stream(
            f"/{HEALTH}/Watch",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=TOLD.FromString,
        )
        infer = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=pb.ModelInferResponse.FromString,
        )
        heard = watch(ASKED(service=SERVICE), timeout=60)
        assert next(heard).status == TOLD.SERVING
        inputs = [
            {"name": name, "datatype": datatype, "shape": shape}
            for name, datatype, shape in (
                ("features", "FP32", [3, len(SCHEMA)]),
                ("users", "INT64", [3]),
                ("items", "INT64", [3]),
            )
        ]
        x_NF, users_N, items_N = np.nan_to_num(ROWS.x_NF[:3]), ROWS.users_N[:3], ROWS.items_N[:3]
        raw = [x_NF.astype("<f4").tobytes(), users_N.astype("<i8").tobytes(), items_N.astype("<i8").tobytes()]
        answer = infer(pb.ModelInferRequest(model_name="feed", inputs=inputs, raw_input_contents=raw), timeout=20)
        scores_N = np.frombuffer(answer.raw_output_contents[0], "<f4")
        np.testing.assert_array_equal(scores_N, feed.score(users_N, items_N, x_NF))
        served.process.send_signal(signal.SIGTERM)
        assert [told.status for told in heard] == [TOLD.NOT_SERVING]
        assert served.process.wait(30) == 0
