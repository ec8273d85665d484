"""Predictions of a model that is named: the deployed one answers as in ``POST /predict``, others on the same path."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from orita.core.errors import UserError
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers
from orita.serving.inference_protocol.asking import Asking
from orita.serving.inference_protocol.models import ModelSource
from orita.serving.predict.predictor import LoadedModel, PredictAnswer, Predictor
from orita.serving.predict.requests import Asked
from orita.serving.protocols import FeatureReader, FeatureSource, LogStream, ScoringPackage
from orita.serving.resilience.admitted import in_turn, said_deadline
from orita.serving.resilience.deadline import until
from orita.serving.resources.known import KnownModel
from orita.serving.service import Service

__all__ = ["ModelPredictor"]

_MOST_READERS = 16


class ModelPredictor:
    """Answers with the model that is asked.

    Args:
        service: the server's parts.
        system: whose models.
        features: where the features of a request come from.
        source: has models in memory, or loads them.
    """

    def __init__(self, service: Service, system: str, features: FeatureSource, source: ModelSource) -> None:
        self._service = service
        self._system = system
        self._features = features
        self._asking = Asking(source, service.parts)
        self._readers: dict[str, FeatureReader] = {}

    def answers_now(self, model_id: str) -> bool:
        """Tell whether the model of that id is the one that answers ``POST /predict``."""
        champion = self._service.follower.champion
        return champion is not None and champion.package.metadata.model_id == model_id

    def until_said(self, headers: Headers, arrived: float) -> until:
        """Return a block that lasts until the deadline that *headers* say; without an end where they say none.

        Raises:
            Refused: 422, they say something else.
        """
        return until(said_deadline(self._service.parts, headers, arrived))

    def turn(self, headers: Headers, arrived: float) -> AbstractAsyncContextManager[None]:
        """Let it be the turn of a request; see `in_turn`."""
        return in_turn(self._service.parts, headers, arrived)

    def answer(self, asked: Asked, request_id: str, started: float) -> PredictAnswer:
        """Return what the deployed model answers, with all that stands in for it; no rollout has a say.

        Raises:
            Refused: as ``POST /predict``.
        """
        predictor = self._service.predictor
        return predictor.answer_to(predictor.question_to_champion(asked), request_id, started)

    async def loaded(self, model: KnownModel) -> LoadedModel:
        """Return *model*, loaded if need be, as what answers a request.

        Raises:
            Refused: 404 or 503, it cannot be loaded; 504, not before `current_deadline`; 409, its package is
                not here, or it reads features that are not known any more; 410, it is retired.
        """
        if model.stage == "retired":
            message = f"model {model.version} is retired: put it to the stage 'available' first."
            raise Refused(410, "model_retired", message)
        if model.stage == "candidate":
            message = f"model {model.version} was never promoted, so its package is not published: deploy it."
            raise Refused(409, "model_not_published", message)
        package = await self._asking.model(self._system, model.version)
        return LoadedModel(
            package,
            self._reader(package),
            LogStream(self._system, package.version, package.schema.names),
            0,  # no deployment
            self._service.clock.now(),
        )

    def answer_by(self, model: LoadedModel, asked: Asked, request_id: str, started: float) -> PredictAnswer:
        """Return what *model* answers, of level 1 or not at all; it is logged under its version.

        Raises:
            Refused: as ``POST /predict``.
        """
        service = self._service
        predictor = Predictor(
            lambda: model,
            service.sink,
            service.clock,
            store_seconds=service.config.resilience.store_ms / 1000,
            objective_bounds=service.config.objective_bounds,
        )
        return predictor.answer(asked, request_id, started)

    def _reader(self, package: ScoringPackage) -> FeatureReader:
        """Return the reader of a package's features; versions of one schema share it."""
        known = self._readers.get(package.schema.version)
        if known is not None:
            return known
        try:
            reader = self._features.reader(package.schema)
        except UserError as error:
            raise Refused(409, "features_unknown", f"model {package.version} cannot be asked: {error}") from None
        if len(self._readers) >= _MOST_READERS:
            self._readers.pop(next(iter(self._readers)))
        self._readers[package.schema.version] = reader
        return reader
