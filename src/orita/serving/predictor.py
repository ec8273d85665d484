"""How a request is answered: features, scores, order, log; the same steps for every face of the server.

Legend: N items of one request, F features; ``order_N`` lists the request's items from best to worst.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt

from orita.core.clock import Clock, to_micros
from orita.core.errors import Unavailable, UserError
from orita.events.prediction_segment import ScoredRequest
from orita.serving.protocols import FeatureReader, LogStream, PredictionSink, ScoringPackage
from orita.serving.refusal import Refused, no_model
from orita.serving.requests import Asked

__all__ = ["Champion", "PredictAnswer", "Predictor", "RankedItem"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Champion:
    """What answers: a package, the reader of its features, and since when.

    Attributes:
        package: the model.
        features: reads exactly the package's schema.
        stream: what its rows in the prediction log share.
        sequence: the deployment it came from.
        loaded_at: when it began to answer.
    """

    package: ScoringPackage
    features: FeatureReader
    stream: LogStream
    sequence: int
    loaded_at: datetime


class RankedItem(msgspec.Struct, frozen=True, gc=False):
    """One item of an answer: its score, a click probability, and its rank from 1."""

    item_id: int | str
    score: float
    rank: int


class PredictAnswer(msgspec.Struct, frozen=True):
    """The answer of ``POST /predict``.

    Attributes:
        user_id: as asked.
        predictions: every item asked, best first; items of equal score in the order asked.
        model_version: which version answered.
        latency_ms: from the whole request in hand to the answer, in milliseconds.
    """

    user_id: int | str
    predictions: list[RankedItem]
    model_version: str
    latency_ms: float


class Predictor:
    """Answers requests with whatever champion there is at that moment, and logs each answer."""

    def __init__(self, champion: Callable[[], Champion | None], log: PredictionSink, clock: Clock) -> None:
        self._champion = champion
        self._log = log
        self._clock = clock

    def answer(self, asked: Asked, request_id: str, started: float) -> PredictAnswer:
        """Return the answer to what was *asked*.

        Args:
            asked: the checked request.
            request_id: joins feedback to the answer.
            started: `Clock.monotonic` when the whole request was in hand.

        Raises:
            Refused: 503 without a model or features, or when the log is full, 422 when the features refuse the request.
        """
        champion = self._ready(len(asked.item_ids))
        now = to_micros(self._clock.now())
        as_of = now if asked.at_micros is None else asked.at_micros
        x_NF, scores_N = _scored(champion, asked, as_of)
        ranked, ranks_N = _ranked(asked.item_ids, scores_N)
        latency_ms = round((self._clock.monotonic() - started) * 1000, 3)
        self._log.append(
            champion.stream,
            ScoredRequest(
                at_micros=now,
                as_of_micros=as_of,
                request_id=request_id,
                salt=secrets.randbits(62),
                user_id=asked.user_id,
                item_ids=asked.item_ids,
                latency_ms=latency_ms,
                scores=scores_N.tobytes(),
                ranks=ranks_N.tobytes(),
                features=x_NF.tobytes(),
            ),
        )
        return PredictAnswer(asked.user_id, ranked, champion.package.version, latency_ms)

    def _ready(self, rows: int) -> Champion:
        champion = self._champion()
        if champion is None:
            raise no_model()
        if not self._log.room(rows):
            raise Refused(503, "log_full", "the prediction log cannot keep up: send the request again.", retry_after=1)
        return champion


def _scored(champion: Champion, asked: Asked, as_of: int) -> tuple[Floats, Floats]:
    """Return ``x_NF`` and ``scores_N``, both float32."""
    try:
        x_NF = champion.features.matrix(asked.user_id, asked.item_ids, asked.context, as_of)
    except UserError as error:
        raise Refused(422, "invalid_value", str(error)) from None
    except Unavailable:  # the follower of features tells the log why; a caller need not know where the store is
        message = "the online features cannot be read now: send the request again."
        raise Refused(503, "features_unavailable", message, retry_after=1) from None
    scores_N = champion.package.score_user(asked.user_id, asked.item_ids, x_NF)
    if not np.isfinite(scores_N).all():
        version = champion.package.version
        raise Refused(500, "model_failed", f"model {version} gave a score that is no number.")
    return x_NF.astype(np.float32, copy=False), scores_N.astype(np.float32, copy=False)


def _ranked(items: list[int | str], scores_N: Floats) -> tuple[list[RankedItem], npt.NDArray[np.int32]]:
    """Return the items best first, and ``ranks_N`` in the order of *items*."""
    order_N = np.argsort(-scores_N, kind="stable")
    ranks_N = np.empty(len(items), np.int32)
    ranks_N[order_N] = np.arange(1, len(items) + 1, dtype=np.int32)
    best_first = [items[i] for i in order_N.tolist()]
    ranked = map(RankedItem, best_first, scores_N[order_N].tolist(), range(1, len(items) + 1))
    return list(ranked), ranks_N
