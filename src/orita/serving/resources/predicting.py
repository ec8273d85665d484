"""Predictions of a model that is named: the deployed one answers as in ``POST /predict``, others on the same path."""

from __future__ import annotations

from orita.core.errors import UserError
from orita.serving.inference_protocol.asking import Asking
from orita.serving.inference_protocol.models import ModelSource
from orita.serving.predictor import Champion, PredictAnswer, Predictor
from orita.serving.protocols import FeatureReader, FeatureSource, LogStream, ScoringPackage
from orita.serving.refusal import Refused
from orita.serving.requests import Asked
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
        self._asking = Asking(source)
        self._readers: dict[str, FeatureReader] = {}

    def answers_now(self, model_id: str) -> bool:
        """Tell whether the model of that id is the one that answers ``POST /predict``."""
        champion = self._service.follower.champion
        return champion is not None and champion.package.metadata.model_id == model_id

    def answer(self, asked: Asked, request_id: str, started: float) -> PredictAnswer:
        """Return what ``POST /predict`` would answer.

        Raises:
            Refused: as there.
        """
        return self._service.predictor.answer(asked, request_id, started)

    async def answer_by(self, model: KnownModel, asked: Asked, request_id: str, started: float) -> PredictAnswer:
        """Return what *model* answers; it is loaded if need be, and its answer is logged under its version.

        Raises:
            Refused: 404 or 503, it cannot be loaded; 409, its package is not here, or it reads features that are not
                known any more; 410, it is retired; and as ``POST /predict``.
        """
        if model.stage == "retired":
            message = f"model {model.version} is retired: put it to the stage 'available' first."
            raise Refused(410, "model_retired", message)
        if model.stage == "candidate":
            message = f"model {model.version} was never promoted, so its package is not published: deploy it."
            raise Refused(409, "model_not_published", message)
        package = await self._asking.model(self._system, model.version)
        service = self._service
        champion = Champion(
            package,
            self._reader(package),
            LogStream(self._system, package.version, package.schema.names),
            0,  # no deployment
            service.clock.now(),
        )
        return Predictor(lambda: champion, service.log, service.clock).answer(asked, request_id, started)

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
