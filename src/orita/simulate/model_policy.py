"""A registered model as a policy: the server's own predict path, without a socket between.

Each page is a question to `orita.serving.predict.predictor.Predictor`, as a request is: its features are read from the
online state, its scores are the package's, and its order is the answer's. The scores of the pages of a round are made
in one run, as the server does it for requests that wait together. No request comes too late here, and only where
somebody gives a log are answers logged.

Legend: P pages, C candidates, N rows, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from orita.core.clock import Clock
from orita.events.prediction_segment import ScoredRequest
from orita.events.world import DEVICES
from orita.events.world.timestrings import fixed_strings, uuid7_bytes
from orita.features.id_list import IdList
from orita.serving.batching.measuring import joint_scores_of
from orita.serving.predict.predictor import Predictor
from orita.serving.predict.question import LoadedModel, Question
from orita.serving.predict.requests import Asked
from orita.serving.protocols import FeatureSource, LogStream, PredictionSink, ScoringPackage
from orita.simulate.life import Pages
from orita.simulate.policies import Ranked

__all__ = ["ModelPolicy"]

_AT_ONCE = 64
_UNNAMED = "simulated"  # the feedback names the pages


class _NoLog:
    """A prediction log that keeps nothing."""

    def room(self, rows: int, /) -> bool:
        return True

    def append(self, stream: LogStream, request: ScoredRequest, /) -> None:
        pass


class ModelPolicy:
    """Ranks as the server does where *package* is deployed.

    Args:
        name: what it is called in reports.
        system: whose model it is.
        package: the model.
        features: the online state.
        clock: the simulated time.
        log: takes every answer, as of the time of its page, under a name of its own by which feedback joins it; None:
            answers are not logged.
    """

    def __init__(
        self,
        name: str,
        system: str,
        package: ScoringPackage,
        features: FeatureSource,
        clock: Clock,
        *,
        log: PredictionSink | None = None,
    ) -> None:
        self.name = name
        stream = LogStream(system, package.version, tuple(package.schema.names))
        model = LoadedModel(package, features.reader(package.schema), stream, 0, clock.now())
        self._package, self._clock, self._logs = package, clock, log is not None
        self._predictor = Predictor(lambda: model, log or _NoLog(), clock)

    def rank(self, rng: np.random.Generator, pages: Pages, /) -> Ranked:
        """Return the candidates as the answers rank them."""
        questions = [self._asked(pages, page) for page in range(len(pages))]
        for start in range(0, len(questions), _AT_ONCE):
            self._score(questions[start : start + _AT_ONCE])
        items_PC = np.empty_like(pages.candidates_PC)
        names = fixed_strings(uuid7_bytes(rng, pages.time_P)).to_pylist() if self._logs else None
        for page, question in enumerate(questions):
            name = names[page] if names else _UNNAMED
            answer = self._predictor.answer_to(question, name, self._clock.monotonic())
            items_PC[page] = [item.item_id for item in answer.predictions]
        return Ranked(items_PC, names)

    def _asked(self, pages: Pages, page: int) -> Question:
        context: dict[str, object] = {"device": DEVICES[pages.devices_P[page]]}
        items = IdList(pages.candidates_PC[page].tolist())
        question = self._predictor.question(Asked(int(pages.users_P[page]), items, context, int(pages.time_P[page])))
        question.at_micros = int(pages.time_P[page])
        question.x_NF = self._predictor.features(question)
        return question

    def _score(self, questions: Sequence[Question]) -> None:
        joint = joint_scores_of(self._package)
        if joint is None:
            return  # the predictor scores each alone
        lengths = [len(each.item_ids) for each in questions]
        scores_M = joint(
            [each.user_id for each in questions],
            lengths,
            [item for each in questions for item in each.item_ids],
            np.concatenate([each.x_NF for each in questions if each.x_NF is not None]),
        )
        for each, end in zip(questions, accumulate(lengths), strict=True):
            each.scores_N = scores_M[end - len(each.item_ids) : end]
