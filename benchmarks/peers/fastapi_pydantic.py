"""The common way: FastAPI with pydantic models, doing decode, model and encode and nothing else.

``python -m benchmarks.peers.fastapi_pydantic FOLDER``
"""

import sys
import time
from pathlib import Path

from benchmarks.peers.bare_asgi import serve
from benchmarks.peers.scoring import Scorer
from fastapi import FastAPI
from pydantic import BaseModel


class Context(BaseModel):
    """What the request says of itself."""

    device: str | None = None


class PredictRequest(BaseModel):
    """Which items to rank for whom."""

    user_id: int
    item_ids: list[int]
    context: Context | None = None


class RankedItem(BaseModel):
    """One item of an answer."""

    item_id: int
    score: float
    rank: int


class PredictAnswer(BaseModel):
    """The answer."""

    user_id: int
    predictions: list[RankedItem]
    model_version: str
    latency_ms: float


def application(folder: Path) -> FastAPI:
    """Return the application."""
    scorer, app = Scorer(folder), FastAPI()

    @app.post("/predict")
    async def predict(asked: PredictRequest) -> PredictAnswer:
        started = time.perf_counter()
        best_first = scorer.ranked(asked.user_id, asked.item_ids)
        items = [RankedItem(item_id=i, score=score, rank=rank) for rank, (i, score) in enumerate(best_first, 1)]
        latency_ms = (time.perf_counter() - started) * 1000
        return PredictAnswer(user_id=asked.user_id, predictions=items, model_version="v1", latency_ms=latency_ms)

    return app


if __name__ == "__main__":
    serve(application(Path(sys.argv[1])))
