"""How a request is answered: features, scores, order, log; the same steps for every face of the server.

Where features or scores cannot be had, a level below answers (`orita.serving.resilience.ladder`).

Legend: N items of one request, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import structlog

from orita.core.clock import Clock, to_micros
from orita.core.errors import Unavailable, UserError
from orita.core.patience import patience
from orita.serving.features.unknown_ids import refused_by_features
from orita.serving.http.failure import log_failure
from orita.serving.http.refusal import Refused, no_model
from orita.serving.http.reply import Headers
from orita.serving.models.challengers import Challengers, Chosen
from orita.serving.predict.answer import PredictAnswer, RankedItem, ranked
from orita.serving.predict.objective_bounds import asked_objective
from orita.serving.predict.question import LoadedModel, Question
from orita.serving.predict.requests import Asked
from orita.serving.protocols import PredictionSink
from orita.serving.resilience.deadline import check_deadline, current_deadline
from orita.serving.resilience.ladder import Labelled, Ladder, Level
from orita.serving.resilience.parts import Parts, Scored
from orita.serving.tracing.recording import span

__all__ = ["LoadedModel", "PredictAnswer", "Predictor", "Question", "RankedItem"]

_log = structlog.stdlib.get_logger("orita.serving")

Floats = npt.NDArray[np.float32]


class Predictor:
    """Answers requests with whatever champion there is at that moment, and logs each answer.

    Args:
        champion: what answers now, None without a model.
        log: where answers are logged.
        clock: the time.
        parts: what keeps the server up; None: a request that the model cannot answer is refused.
        store_seconds: how long a read of features may take where the store is on another machine.
        objective_bounds: which heads a request may weigh, and between which weights.
        challengers: what answers beside the champion now, None while no rollout changes that.

    Attributes:
        ladder: the levels of its answers, None without *parts*.
    """

    def __init__(
        self,
        champion: Callable[[], LoadedModel | None],
        log: PredictionSink,
        clock: Clock,
        parts: Parts | None = None,
        *,
        store_seconds: float = 1.0,
        objective_bounds: Mapping[str, tuple[float, float]] | None = None,
        challengers: Callable[[], Challengers | None] = lambda: None,
    ) -> None:
        self._champion, self._challengers = champion, challengers
        self._log = log
        self._clock = clock
        self._store_seconds = store_seconds
        self._objective_bounds = objective_bounds or {}
        self._last_good = parts.last_good if parts is not None else None
        self.ladder: Ladder[Question, Scored] | None = None
        if parts is not None:
            self.ladder = parts.ladder(self._told, lambda question: question.model.package.version)

    def answer(self, asked: Asked, request_id: str, started: float) -> PredictAnswer:
        """Return the answer to what was *asked*, by the best level that can give one before `current_deadline`.

        Args:
            asked: the checked request.
            request_id: joins feedback to the answer.
            started: `Clock.monotonic` when the whole request was in hand.

        Raises:
            Refused: 503, there is no model, or no room in the log; 422, the features refuse the request; 504, its
                deadline passed meanwhile.
        """
        return self.answer_to(self.question(asked), request_id, started)

    def answer_to(self, question: Question, request_id: str, started: float) -> PredictAnswer:
        """Return the answer to a *question*; see `answer`."""
        return self.finished(question, self.labelled(question), request_id, started)

    @property
    def champion(self) -> LoadedModel | None:
        """What answers now, None without a model."""
        return self._champion()

    @property
    def challengers(self) -> Challengers | None:
        """What answers beside the champion now, None while no rollout changes that."""
        return self._challengers()

    def preview(self, headers: Headers) -> dict[str, str] | None:
        """Return what a request's *headers* say to a rollout whose overrides look at them, None where it is nothing."""
        challengers = self._challengers()
        return None if challengers is None else challengers.preview(headers)

    def question(self, asked: Asked, preview: Mapping[str, object] | None = None) -> Question:
        """Return what was *asked* with what answers it now: the champion, or a challenger of the rollout under way.

        Args:
            asked: the checked request.
            preview: what its headers say (`preview`).

        Raises:
            Refused: 503, there is no model, or no room in the log; 422, its objective is not allowed.
        """
        champion = self._deployed()
        challengers = self._challengers()
        chosen = Chosen(champion) if challengers is None else challengers.choose(asked, champion, preview)
        return self._question(asked, chosen)

    def question_to_champion(self, asked: Asked) -> Question:
        """Return what was *asked* with the champion, whatever rollout is under way.

        Raises:
            Refused: as `question`.
        """
        return self._question(asked, Chosen(self._deployed()))

    def _deployed(self) -> LoadedModel:
        champion = self._champion()
        if champion is None:
            raise no_model()
        return champion

    def _question(self, asked: Asked, chosen: Chosen) -> Question:
        model = chosen.model
        if not self._log.room(len(asked.item_ids)):
            raise Refused(503, "log_full", "the prediction log cannot keep up: send the request again.", retry_after=1)
        now = to_micros(self._clock.now())
        as_of = now if asked.at_micros is None else asked.at_micros
        question = Question(
            asked,
            model,
            now,
            as_of,
            current_deadline(),
            rollout=chosen.rollout,
            variant=chosen.variant,
            split_micros=chosen.split_micros,
        )
        if asked.objective is not None:
            package = model.package
            weights = asked_objective(asked.objective, self._objective_bounds, package.heads, package.objective)
            question.objective = weights
        return question

    def labelled(self, question: Question) -> Labelled[Scored]:
        """Return the scores of the best level that has some.

        Raises:
            Refused: see `answer`.
        """
        if self.ladder is not None:
            return self.ladder.answer(question, question.deadline)
        try:
            return Labelled(self._full(question), Level.FULL, "model", None)
        except Unavailable:  # the follower of features tells the log why; a caller need not know where the store is
            message = "the online features cannot be read now: send the request again."
            raise Refused(503, "features_unavailable", message, retry_after=1) from None

    def finished(
        self,
        question: Question,
        labelled: Labelled[Scored],
        request_id: str,
        started: float,
        *,
        cached: bool = False,
    ) -> PredictAnswer:
        """Return the answer that *labelled* is, ranked, once it is on its way to the log.

        Raises:
            Refused: 504, the deadline is past: nobody reads it, and nothing is logged.
        """
        asked, model, scored = question.asked, question.model, labelled.value
        if self._last_good is not None and scored.x_NF is not None and question.objective is None:
            self._last_good.remember(asked.user_id, asked.item_ids, scored.scores_N)
        items, ranks_N = ranked(asked.item_ids, scored.scores_N)
        now = self._clock.monotonic()
        check_deadline(question.deadline, now)
        latency_ms = round((now - started) * 1000, 3)
        logged = question.logged(
            request_id,
            asked.item_ids,
            scored.scores_N,
            ranks_N,
            scored.x_NF,
            latency_ms=latency_ms,
            level=labelled.level.value,
            cached=cached,
        )
        with span("log", items=len(items)):
            self._log.append(model.stream, logged)
        version, level = model.package.version, labelled.level.value
        outliers = None
        if model.outliers is not None and scored.x_NF is not None:
            outliers = model.outliers(scored.x_NF, items[0].score, items[-1].score)
        return PredictAnswer(asked.user_id, items, version, latency_ms, level, labelled.reason, cached, outliers)

    def features(self, question: Question) -> Floats:
        """Return ``x_NF``, float32.

        Raises:
            Refused: 422, the request asks for what the features cannot know.
            Unavailable: the store cannot be read now.
        """
        asked, reader = question.asked, question.model.features
        left = (question.deadline - self._clock.monotonic()) / 2  # the other half is for the levels below
        try:
            with patience(min(left, self._store_seconds)):
                x_NF = reader.matrix(asked.user_id, asked.item_ids, asked.context, question.as_of_micros)
        except UserError as error:
            raise refused_by_features(error) from None
        return x_NF.astype(np.float32, copy=False)

    def _full(self, question: Question) -> Scored:
        """Return what the model says."""
        if question.failure is not None:
            raise question.failure
        asked, package = question.asked, question.model.package
        x_NF, scores_N = question.x_NF, question.scores_N
        if x_NF is None:
            with span("feature_preprocessing", feature_count=len(package.schema)):
                x_NF = self.features(question)
        if scores_N is None:
            weights = {} if question.objective is None else {"objective": question.objective}
            with span("model_inference", model_version=package.version):
                scores_N = package.score_user(asked.user_id, asked.item_ids, x_NF, **weights)
        if np.count_nonzero(np.isfinite(scores_N)) < len(scores_N):  # half of what `all` takes
            raise Refused(500, "model_failed", f"model {package.version} gave a score that is no number.")
        return Scored(scores_N.astype(np.float32, copy=False), x_NF)

    def _told(self, question: Question) -> Scored:
        """Return what the model says; where it fails as nobody expected, the log has the trace."""
        try:
            return self._full(question)
        except (Refused, Unavailable, UserError):
            raise
        except Exception as error:
            version = question.model.package.version
            log_failure("level_failed", error, level=1, version=version)
            raise
