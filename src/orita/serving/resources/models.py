"""What can be done with models, said once: REST and GraphQL are two faces of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from orita.core.clock import Clock
from orita.core.errors import NotFound, Unavailable, UserError
from orita.serving.access.callers import Caller
from orita.serving.features.jobs import BoundedWork
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers
from orita.serving.predict.predictor import PredictAnswer
from orita.serving.predict.requests import Asked
from orita.serving.resources.catalogue import ModelCatalogue
from orita.serving.resources.known import KnownModel, ModelRegistry, Stage
from orita.serving.resources.messages import MOST_TAGS, ModelUpdate, Page
from orita.serving.resources.predicting import ModelPredictor

__all__ = ["ENVIRONMENT", "Models"]

_log = structlog.stdlib.get_logger("orita.serving")

T = TypeVar("T")

ENVIRONMENT = "production"
"""What a server deploys to: itself."""

_RETRY_SECONDS = 1
_NO_REGISTRY = (
    "this server has no registry, which must know what serves: 'orita models promote {version}' deploys it where the "
    "registry is, and this server takes it up."
)


class Models:
    """Reads, changes and asks the models of one system.

    Args:
        catalogue: which models there are.
        predictor: asks them.
        registry: is told of deployments; None: there are none.
        clock: the time.
    """

    def __init__(
        self, catalogue: ModelCatalogue, predictor: ModelPredictor, registry: ModelRegistry | None, clock: Clock
    ) -> None:
        self._catalogue, self._predictor, self._registry, self._clock = catalogue, predictor, registry, clock
        self._reading = BoundedWork(2, 64, "models_busy")
        self._changing = BoundedWork(1, 8, "models_busy")

    async def all(self, page: Page, stage: Stage | None = None) -> tuple[list[KnownModel], int]:
        """Return the models of a page, and how many there are on all.

        Args:
            page: which.
            stage: only those that stand there; None: all but the retired.
        """
        found = await self._done(self._reading, self._catalogue.all)
        wanted = [m for m in found if (m.stage != "retired" if stage is None else m.stage == stage)]
        return wanted[page.offset : page.offset + page.limit], len(wanted)

    async def get(self, model_id: str) -> KnownModel:
        """Return one model.

        Raises:
            Refused: 404, there is none.
        """
        return await self._done(self._reading, partial(self._catalogue.get, model_id))

    async def update(self, model_id: str, update: ModelUpdate, caller: Caller, request_id: str) -> KnownModel:
        """Make a model what *update* says; return it as it is then.

        Its stage changes first: where it cannot, nothing does.

        Raises:
            Refused: 404, there is none; 409, its stage cannot become that one; 422, it has too many tags.
        """
        if len(update.tags) > MOST_TAGS:
            raise Refused(422, "invalid_value", f"tags has {len(update.tags)} entries, allowed are {MOST_TAGS}.")

        def change() -> KnownModel:
            model = self._catalogue.get(model_id)
            if update.stage is not None and update.stage != model.stage:
                self._move(model, update.stage, caller, request_id)
            told = {"description": update.description, "tags": update.tags, "actor": caller.name}
            self._catalogue.records.describe(model.system, model.version, **told)  # type: ignore[arg-type]
            return self._catalogue.get(model_id)

        return await self._done(self._changing, change)

    async def retire(self, model_id: str, caller: Caller) -> KnownModel:
        """Put a model out of use; return it as it is then. Its package stays, and `update` takes it back.

        Raises:
            Refused: 404, there is none; 409, it is deployed.
        """

        def change() -> KnownModel:
            self._retire(self._catalogue.get(model_id), caller)
            return self._catalogue.get(model_id)

        return await self._done(self._changing, change)

    async def deploy(self, model_id: str, environment: str, request_id: str) -> KnownModel:
        """Deploy a model; return it as it is then. The champion follows within a second.

        Raises:
            Refused: 404, there is none; 409, it cannot be deployed here; 422, there is no such environment.
        """
        if environment != ENVIRONMENT:
            message = f"environment has the value {environment[:80]!r}, allowed is {ENVIRONMENT}: "
            raise Refused(422, "invalid_value", f"{message}a server deploys to itself; ask the server of another one.")

        def change() -> KnownModel:
            model = self._catalogue.get(model_id)
            if model.stage != "production":
                self._deploy(model, request_id)
            return self._catalogue.get(model_id)

        return await self._done(self._changing, change)

    async def predict(self, model_id: str, asked: Asked, request_id: str, headers: Headers) -> PredictAnswer:
        """Return what a model answers, in its turn.

        Args:
            model_id: which model; the deployed one answers as in ``POST /predict``.
            asked: the checked request.
            request_id: joins feedback to the answer.
            headers: of the request: its deadline and its priority.

        Raises:
            Refused: 404, there is none; 503 or 504, it gets no turn; or it cannot answer.
        """
        started = self._clock.monotonic()
        if self._predictor.answers_now(model_id):
            async with self._predictor.turn(headers, started):
                return self._predictor.answer(asked, request_id, started)
        with self._predictor.until_said(headers, started):
            loaded = await self._predictor.loaded(await self.get(model_id))
            async with self._predictor.turn(headers, self._clock.monotonic()):
                return self._predictor.answer_by(loaded, asked, request_id, started)

    def _move(self, model: KnownModel, stage: str, caller: Caller, request_id: str) -> None:
        if stage == "production":
            self._deploy(model, request_id)
        elif stage == "retired":
            self._retire(model, caller)
        elif model.stage == "retired":
            self._catalogue.records.restore(model.system, model.version, actor=caller.name)
        elif model.stage == "production":
            raise _deployed(model)
        else:
            message = f"model {model.version} was never promoted: deploy it, which publishes its package."
            raise Refused(409, "model_not_published", message)

    def _retire(self, model: KnownModel, caller: Caller) -> None:
        if model.stage == "production":
            raise _deployed(model)
        if model.stage != "retired":
            self._catalogue.records.retire(model.system, model.version, actor=caller.name)

    def _deploy(self, model: KnownModel, request_id: str) -> None:
        if self._registry is None:
            raise Refused(409, "no_registry", _NO_REGISTRY.format(version=model.version))
        try:
            self._registry.promote(model.version, reason=f"asked over HTTP, request {request_id}")
        except UserError as error:
            raise Refused(409, "not_deployed", str(error)) from None

    async def _done(self, line: BoundedWork, work: Callable[[], T]) -> T:
        """Return what *work* answers in a thread.

        Raises:
            Refused: it refuses, or control state or the registry cannot be had.
        """
        try:
            return await line.run(work)
        except NotFound as error:
            raise Refused(404, "model_not_found", str(error)) from None
        except (Unavailable, SQLAlchemyError, OSError) as error:
            _log.error("models_unavailable", alert=True, error=repr(error))
            message = "models cannot be read or changed now; the server's log has the reason."
            raise Refused(503, "models_unavailable", message, retry_after=_RETRY_SECONDS) from None
        except Refused:
            raise
        except Exception as error:  # the edge: the caller gets the documented form, the log the trace
            raise failure("models_failed", error) from None


def _deployed(model: KnownModel) -> Refused:
    message = f"model {model.version} is deployed: deploy another one first."
    return Refused(409, "model_deployed", message)
