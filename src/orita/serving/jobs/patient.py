"""Answers for those who can wait: of the full model, or none yet."""

from __future__ import annotations

from orita.serving.predict.predictor import PredictAnswer, Predictor
from orita.serving.predict.requests import Asked
from orita.serving.resilience.ladder import Level

__all__ = ["NotYet", "PatientPredictor"]


class NotYet(Exception):
    """There is no answer of the full model now, and there may be one later."""


class PatientPredictor:
    """Answers requests of jobs by the one predict path."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def answer(self, asked: Asked, request_id: str, started: float, *, last: bool) -> PredictAnswer:
        """Return the answer to what was *asked*, of level 1; of a lower one only where this attempt is the last.

        Args:
            asked: the checked request.
            request_id: joins feedback to the answer.
            started: `Clock.monotonic` when its turn came.
            last: whether nobody will ask again.

        Raises:
            Refused: see `Predictor.answer`.
            NotYet: the answer would be of a lower level; nothing was logged.
        """
        question = self._predictor.question(asked)
        labelled = self._predictor.labelled(question)
        if labelled.level is not Level.FULL and not last:
            raise NotYet
        return self._predictor.finished(question, labelled, request_id, started)
