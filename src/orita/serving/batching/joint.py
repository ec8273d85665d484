"""Predictions of several requests in one run of the model.

Before they are answered one after the other, the features of each are read and their rows scored at once. Each is then
answered as if it were alone, and finds its scores made: its deadline, its level, its row in the log and its errors are
its own. What fails beforehand fails again, or not, for each alone; so one request takes nothing from its neighbours.

Legend: N items of one request.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate

import numpy as np
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

from orita.core.clock import Clock
from orita.serving.batching.config import BatchingConfig
from orita.serving.batching.contracts import Waiting
from orita.serving.batching.measuring import joint_scores_of
from orita.serving.predict.predictor import Predictor
from orita.serving.predict.question import LoadedModel, Question
from orita.serving.predict.requests import RequestDecoder
from orita.serving.resilience.contracts import is_failure
from orita.serving.resilience.deadline import until
from orita.serving.telemetry.histogram import Histogram

__all__ = ["JointPredictions"]

_SIZES = (2, 4, 8, 16, 32, 64)
_READ_SECONDS = 0.010
"""How long features are read for one run; past it each of the others reads its own."""
_QUICK_SECONDS, _ALONE_SECONDS = 0.0025, 1.0
"""Where reading takes longer for a request, company only makes others wait: then requests go alone for so long."""
_TRIAL = 2
"""Requests that are taken together until their reading was quick."""
_BYTES_AROUND, _BYTES_AN_ITEM = 192, 12
"""What a body has beside its items, and for each: without reading it, whether it has few is told by its length."""


class JointPredictions:
    """Scores waiting requests together; one thread calls it.

    Args:
        predictor: answers each of them.
        decode: reads what is asked.
        clock: the time.
        config: how many at once, and whether at all.

    Attributes:
        largest: requests that are taken together at most; 1: none are.
        found: what was done for those whose turn it is, by the identity of the body, with the body itself.
        sizes: how many requests each run had.
        failed: runs that failed, after which each request was scored alone.
    """

    def __init__(self, predictor: Predictor, decode: RequestDecoder, clock: Clock, config: BatchingConfig) -> None:
        self._predictor, self._decode, self._monotonic = predictor, decode, clock.monotonic
        self.largest = 1 if config.enabled == "never" else config.most
        self.found: dict[int, tuple[bytes | bytearray, Question]] = {}
        self.sizes, self.failed = Histogram(_SIZES), 0
        self._quick, self._alone_until = False, 0.0

    @property
    def most(self) -> int:
        """Requests that are taken together now; 1: none are."""
        return self.largest if self._quick else min(self.largest, _TRIAL)

    def takes(self, body: bytes | bytearray, /) -> bool:
        """Return whether a request of this body is likely to have as few items as gain by company."""
        champion = self._predictor.champion
        if champion is None or not champion.joins or self._monotonic() < self._alone_until:
            return False
        return len(body) <= _BYTES_AROUND + _BYTES_AN_ITEM * champion.joins

    @contextmanager
    def together(self, requests: Sequence[Waiting], /) -> Iterator[None]:
        """Let *requests* find in `found` what was done for them, within the block."""
        try:
            for request in requests:
                # What is wrong with a request, whatever it is, it finds out itself, and is told.
                with suppress(Exception), until(request.deadline, request.arrived):
                    self.found[id(request.body)] = request.body, self._predictor.question(self._decode(request.body))
            self.score([question for _, question in self.found.values()])
            yield
        finally:
            self.found.clear()

    def taken(self, body: bytes | bytearray) -> Question | None:
        """Return the question that *body* is, where it was read beforehand."""
        found = self.found.pop(id(body), None)
        return None if found is None else found[1]

    def score(self, questions: Sequence[Question]) -> None:
        """Give *questions* their features and scores, as far as they can be had together."""
        ladder = self._predictor.ladder
        if not questions or (ladder is not None and ladder.rests(questions[0])):
            return
        model = questions[0].model
        read = self._read([each for each in questions if _joins(each, model)])
        joint = joint_scores_of(model.package)
        if len(read) < 2 or joint is None:
            return
        lengths = [len(each.item_ids) for each in read]
        try:
            scores_M = joint(
                [each.user_id for each in read],
                lengths,
                [item for each in read for item in each.item_ids],
                np.concatenate([each.x_NF for each in read if each.x_NF is not None]),
            )
        except Exception:  # whatever it is, each is scored alone: its levels find it, count it and tell the log
            self.failed += 1
            return
        for each, end in zip(read, accumulate(lengths), strict=True):
            each.scores_N = scores_M[end - len(each.item_ids) : end]
        self.sizes.add(len(read))

    def metrics(self) -> Iterator[Metric]:
        """Yield what is counted."""
        sizes = HistogramMetricFamily("joint_requests", "Requests that were scored in one run of the model, by run.")
        sizes.add_metric([], self.sizes.buckets(), self.sizes.sum)
        yield sizes
        yield CounterMetricFamily("joint_runs_failed", "Runs after which each request was scored alone.", self.failed)

    def _read(self, questions: Sequence[Question]) -> list[Question]:
        """Read the features of each; return those that have them. Where that takes long, requests then go alone."""
        began, reads, found = self._monotonic(), 0, list[Question]()
        for question in questions:
            now = self._monotonic()
            if now - began >= _READ_SECONDS:
                break
            if now >= question.deadline:
                continue
            reads += 1
            try:
                question.x_NF = self._predictor.features(question)
            except Exception as error:
                if is_failure(error):
                    question.failure = error  # its levels find it, and count it
                    break
            else:
                found.append(question)
        if reads:
            now = self._monotonic()
            self._quick = now - began <= _QUICK_SECONDS * reads
            if not self._quick:
                self._alone_until = now + _ALONE_SECONDS
        return found


def _joins(question: Question, model: LoadedModel) -> bool:
    """Return whether a request is scored with others by *model*: it has few items, and no weights of its own."""
    return question.model is model and question.objective is None and len(question.item_ids) <= model.joins
