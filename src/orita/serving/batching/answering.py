"""How the requests of a batch are answered: in parts, each of them a request like others at the door.

Between two parts others have their turn, and a batch takes as much of the server as it has parts. What the door refuses
to a later part is the error of its requests, and of those behind them; what was answered before stays answered. Once
the caller has hung up no further part is begun.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from orita.serving.batching.requests import BatchAnswer, BatchError, BatchResult
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers
from orita.serving.predict.answer import PredictAnswer
from orita.serving.predict.question import Question
from orita.serving.predict.requests import Asked
from orita.serving.resilience.admitted import in_time
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.deadline import until
from orita.serving.service import Service

__all__ = ["Batch", "BatchAnswers"]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was checked.

    Attributes:
        asked: the requests, at least one.
        parts: the numbers of those that are answered in one turn.
        request_id: of the batch.
        priority: who goes first.
        deadline: of them all, monotonic seconds; past it the rest is not answered.
        headers: as they came.
        is_gone: whether the caller has hung up.
    """

    asked: Sequence[Asked]
    parts: Sequence[range]
    request_id: str
    priority: Priority
    deadline: float
    headers: Headers
    is_gone: Callable[[], Awaitable[bool]]

    def id_of(self, number: int) -> str:
        """Return the id of one of its requests."""
        return f"{self.request_id}:{number}"


class BatchAnswers:
    """Answers batches; counts and logs their requests as those of ``POST /predict``."""

    def __init__(self, service: Service) -> None:
        self._monotonic, self._metrics = service.clock.monotonic, service.metrics
        self._turnstile = service.parts.turnstile
        self._predictor, self._cached, self._joint = service.predictor, service.cached, service.joint
        self._encode = msgspec.json.Encoder().encode

    async def of(self, batch: Batch) -> BatchAnswer | None:
        """Return what became of each request, None where the caller hung up meanwhile.

        Raises:
            Refused: 503 or 504, the first part has no turn.
        """
        results: list[msgspec.Raw] = []
        answered, refused = 0, None
        for part in batch.parts:
            if part.start and refused is None and await batch.is_gone():
                return None
            found: list[BatchResult] = []
            if refused is None:
                try:
                    found = await self._part(batch, part)
                except Refused as error:
                    if not part.start:
                        raise
                    refused = error
            if refused is not None:
                found = [self._failed(batch, refused, number) for number in part]
            answered += sum(result.error is None for result in found)
            results += [msgspec.Raw(self._encode(result)) for result in found]
        return BatchAnswer(results, answered, len(results) - answered)

    async def _part(self, batch: Batch, part: range) -> list[BatchResult]:
        """Return what became of the requests of one part.

        Raises:
            Refused: 503 or 504, it has no turn.
        """
        arrived = self._monotonic()
        ticket = await self._turnstile.enter(batch.priority, batch.deadline, arrived)
        try:
            with until(batch.deadline, arrived):
                started = self._monotonic()
                questions = self._questions([batch.asked[number] for number in part])
                return [
                    await self._one(batch, number, question, started)
                    for number, question in zip(part, questions, strict=True)
                ]
        finally:
            self._turnstile.leave(ticket, answered=False)  # it does not say how long one answer takes

    def _questions(self, asked: Sequence[Asked]) -> list[Question | None]:
        """Return what can be done for them together; None: it is to be answered from the start."""
        questions: list[Question | None] = [None] * len(asked)
        if self._cached is None and self._joint.largest > 1:
            for number, one in enumerate(asked):
                # What is wrong with a request, whatever it is, it finds out itself, and is told.
                with suppress(Exception):
                    questions[number] = self._predictor.question(one)
            self._joint.score([question for question in questions if question is not None])
        return questions

    async def _one(self, batch: Batch, number: int, question: Question | None, started: float) -> BatchResult:
        request_id = batch.id_of(number)
        try:
            answer = await self._answer(batch.asked[number], question, request_id, started)
        except Refused as refused:
            return self._failed(batch, refused, number)
        except Exception as error:  # whatever it is, the caller gets the documented form, the log the trace
            return self._failed(batch, failure("predict_failed", error, request_id=request_id), number)
        self._metrics.answered(len(answer.predictions), answer.latency_ms)
        return BatchResult(request_id, answer)

    async def _answer(self, asked: Asked, question: Question | None, request_id: str, started: float) -> PredictAnswer:
        if question is not None:
            return self._predictor.answer_to(question, request_id, started)
        if self._cached is not None:
            return await self._cached.answer(asked, request_id, started)
        return self._predictor.answer(asked, request_id, started)

    def _failed(self, batch: Batch, refused: Refused, number: int) -> BatchResult:
        self._metrics.refused(refused.status, in_time=in_time(refused, batch.headers))
        return BatchResult(batch.id_of(number), error=BatchError(refused.status, refused.code, refused.message))
