"""Batches: the answers to many requests that were sent together."""

from __future__ import annotations

import msgspec

from orita.client.answers import Ranking

__all__ = ["Batch", "BatchError", "BatchResult"]


class BatchError(msgspec.Struct, frozen=True):
    """Why one request of a batch has no answer.

    Attributes:
        status: the HTTP status that `Client.predict` would have met.
        code: stable, for programs.
        message: one sentence.
    """

    status: int
    code: str
    message: str


class BatchResult(msgspec.Struct, frozen=True):
    """What became of one request of a batch: one of both is there.

    Attributes:
        request_id: its id in the prediction log, to join feedback to it.
        answer: what `Client.predict` would have returned.
        error: why there is none.
    """

    request_id: str
    answer: Ranking | None = None
    error: BatchError | None = None

    def __post_init__(self) -> None:
        if self.answer is not None:
            msgspec.structs.force_setattr(self.answer, "request_id", self.request_id)


class Batch(msgspec.Struct, frozen=True):
    """What became of a batch.

    Attributes:
        results: one for each request, in their order.
        answered: how many have an answer.
        failed: how many have an error.
    """

    results: tuple[BatchResult, ...]
    answered: int
    failed: int
