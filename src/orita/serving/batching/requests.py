"""What ``POST /predict/batch`` may be asked, and what it answers: each request is a body of ``POST /predict``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from orita.serving.batching.config import BatchingConfig
from orita.serving.http.decoding import BodyDecoder
from orita.serving.http.refusal import Refused
from orita.serving.jobs.requests import numbered
from orita.serving.predict.answer import PredictAnswer
from orita.serving.predict.requests import Asked, RequestDecoder

__all__ = ["BatchAnswer", "BatchDecoder", "BatchError", "BatchResult", "parts_of"]

_AT_ONCE = 64
"""Requests that are checked before others have the event loop."""
_PART_ITEMS = 200
"""Items of one turn, unless a single request has more: about a millisecond of most models."""


class _Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body; what is in each request is checked a few at a time."""

    requests: list[msgspec.Raw]


class BatchError(msgspec.Struct, frozen=True):
    """Why one request of a batch has no answer.

    Attributes:
        status: what ``POST /predict`` would have answered.
        code: stable, for machines.
        message: one sentence that says what was wrong with which field.
    """

    status: int
    code: str
    message: str


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one request of a batch: one of both is there.

    Attributes:
        request_id: its id in the prediction log, to join feedback to it: that of the batch, a colon, its number from 0.
        answer: what ``POST /predict`` would have answered.
        error: why there is none.
    """

    request_id: str
    answer: PredictAnswer | None = None
    error: BatchError | None = None


class BatchAnswer(msgspec.Struct, frozen=True):
    """The answer of ``POST /predict/batch``.

    Attributes:
        results: of each request, in their order; a `BatchResult`, encoded.
        answered: how many have an answer.
        failed: how many have an error.
    """

    results: list[msgspec.Raw]
    answered: int
    failed: int


class BatchDecoder:
    """Turns a body into what was asked, or refuses it in a sentence that names the request.

    Args:
        config: how many requests, and items, are allowed.
        decode: reads one request.
    """

    def __init__(self, config: BatchingConfig, decode: RequestDecoder) -> None:
        self._split = BodyDecoder(_Batch, "requests")
        self._decode = decode
        self._most, self._most_items = config.max_requests, config.max_items

    async def __call__(self, body: bytes | bytearray) -> list[Asked]:
        """Return what *body* asks, at least one; others are answered meanwhile.

        Raises:
            Refused: 400 for what is not JSON, 422 for wrong fields and values, also of one request alone: then none is
                answered.
        """
        raws = self._split(body).requests
        if not raws:
            raise Refused(422, "invalid_value", "requests is empty: give at least one.")
        if len(raws) > self._most:
            message = f"requests has {len(raws)} requests, allowed are {self._most}: send several batches."
            raise Refused(422, "batch_too_long", message)
        found: list[Asked] = []
        for start in range(0, len(raws), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
            found.extend(self._checked(raws, start))
        items = sum(len(asked.item_ids) for asked in found)
        if items > self._most_items:
            message = f"requests has {items} items in all, allowed are {self._most_items}: send several batches."
            raise Refused(422, "too_many_items", message)
        return found

    def _checked(self, raws: Sequence[msgspec.Raw], start: int) -> Iterator[Asked]:
        for number, raw in enumerate(raws[start : start + _AT_ONCE], start=start):
            try:
                yield self._decode(bytes(raw))
            except Refused as refused:
                raise numbered(refused, number) from None


def parts_of(asked: Sequence[Asked], most: int) -> Iterator[range]:
    """Yield the numbers of those that are answered in one turn: at most *most*, of few items in all."""
    start, items = 0, 0
    for number, one in enumerate(asked):
        items += len(one.item_ids)
        if number > start and (number - start == most or items > _PART_ITEMS):
            yield range(start, number)
            start, items = number, len(one.item_ids)
    yield range(start, len(asked))
