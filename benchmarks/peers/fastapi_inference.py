"""The common way for the Open Inference Protocol: FastAPI with pydantic models, doing decode, model and encode.

``python -m benchmarks.peers.fastapi_inference FOLDER`` serves the package in a folder, and prints its port.
"""

import socket
import sys
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from orita.models.package import load_package


class Tensor(BaseModel):
    """An input or output."""

    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class InferRequest(BaseModel):
    """What a caller asks."""

    inputs: list[Tensor]


class InferAnswer(BaseModel):
    """The answer."""

    model_name: str
    model_version: str
    outputs: list[Tensor]


def application(folder: Path) -> FastAPI:
    """Return the application."""
    package, app = load_package(folder), FastAPI()

    @app.post("/v2/models/feed/infer")
    async def infer(asked: InferRequest) -> InferAnswer:
        given = {tensor.name: np.array(tensor.data).reshape(tensor.shape) for tensor in asked.inputs}
        users_N, items_N = (given[name].astype(np.int64) for name in ("users", "items"))
        scores_N = package.score(users_N, items_N, given["features"].astype(np.float32))
        output = Tensor(name="scores", datatype="FP32", shape=[len(scores_N)], data=scores_N.tolist())
        return InferAnswer(model_name="feed", model_version=package.version, outputs=[output])

    return app


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(application(Path(sys.argv[1])), access_log=False, log_config=None)
    uvicorn.Server(config).run(sockets=[listener])
