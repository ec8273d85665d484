"""How a model of a source is had and asked, without keeping the event loop: the same for REST and gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from orita.core.errors import NotFound, Unavailable
from orita.models.package import Package
from orita.serving.features.jobs import BoundedWork
from orita.serving.http.failure import log_failure
from orita.serving.http.refusal import Refused
from orita.serving.inference_protocol.inference import TensorMetadata, infer, inputs_of
from orita.serving.inference_protocol.models import ModelSource
from orita.serving.inference_protocol.tensors import Tensor

__all__ = ["Asking"]

T = TypeVar("T")

_FEW_ROWS = 256  # about a millisecond of most models: less than a thread costs those who wait
_RETRY_SECONDS = 1


class Asking:
    """Asks the models of *source*."""

    def __init__(self, source: ModelSource) -> None:
        self.source = source
        self._loading = BoundedWork(1, 64)
        self._scoring = BoundedWork(2, 64)

    async def model(self, name: str, version: str | None) -> Package:
        """Return a model, loaded if need be.

        Raises:
            Refused: 404, there is none; 503, it cannot answer now.
        """
        try:
            found = self.source.loaded(name, version)
            return found if found is not None else await self._loading.run(partial(self.source.load, name, version))
        except NotFound as error:
            raise Refused(404, "not_found", str(error)) from None
        except Unavailable as error:
            raise Refused(503, "no_model", str(error), retry_after=_RETRY_SECONDS) from None
        except Refused:
            raise
        except Exception as error:  # a package may be broken in any way; why is for the log, not for callers
            log_failure("model_not_loaded", error, model=name, version=version)
            message = f"model {name!r} cannot be loaded; the server's log has the reason."
            raise Refused(503, "no_model", message, retry_after=_RETRY_SECONDS) from None

    def versions(self, name: str) -> Sequence[str]:
        """Return the versions of a model.

        Raises:
            Refused: 404, there is none.
        """
        try:
            return self.source.versions(name)
        except NotFound as error:
            raise Refused(404, "not_found", str(error)) from None

    async def is_ready(self, name: str, version: str | None) -> bool:
        """Tell whether a model is in memory, or can be loaded when it is asked.

        Raises:
            Refused: 404, there is none.
        """
        try:
            await self.model(name, version)
        except Refused as refused:
            if refused.status == 404:
                raise
            return False
        return True

    async def inputs(self, package: Package) -> list[TensorMetadata]:
        """Return the inputs of a model."""
        return await self._scoring.run(partial(inputs_of, package))

    async def answer(self, package: Package, inputs: Sequence[Tensor], wanted: Sequence[str]) -> list[Tensor]:
        """Return what `infer` does; many rows are scored in a thread, so that others are answered meanwhile.

        Raises:
            Refused: as `infer`; 503, as much is under way as may be.
        """
        work: Callable[[], list[Tensor]] = partial(infer, package, inputs, wanted)
        few = all(not tensor.shape or tensor.shape[0] <= _FEW_ROWS for tensor in inputs)
        return work() if few else await self._scoring.run(work)
