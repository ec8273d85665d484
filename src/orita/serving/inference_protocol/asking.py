"""How a model of a source is had and asked, without keeping the event loop: the same for REST and gRPC."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from orita.core.errors import NotFound, Unavailable
from orita.models.package import Package
from orita.serving.features.jobs import BoundedWork
from orita.serving.http.failure import log_failure
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers
from orita.serving.inference_protocol.inference import TensorMetadata, infer, inputs_of
from orita.serving.inference_protocol.models import ModelSource
from orita.serving.inference_protocol.tensors import Tensor
from orita.serving.resilience.admitted import in_turn, said_deadline
from orita.serving.resilience.deadline import check_deadline, current_deadline, until
from orita.serving.resilience.parts import Parts

__all__ = ["Asked", "Asking"]

R = TypeVar("R")

_FEW_ROWS = 256  # about a millisecond of most models: less than a thread costs those who wait
_RETRY_SECONDS = 1


class Asked(NamedTuple, Generic[R]):
    """What is asked of a model: its inputs, the names of the outputs that are wanted, and the request as it came."""

    inputs: Sequence[Tensor]
    wanted: Sequence[str]
    request: R


class Asking:
    """Asks the models of *source*, as requests that take their turns at the door of the server.

    Args:
        source: which models there are.
        parts: what keeps the server up.
    """

    def __init__(self, source: ModelSource, parts: Parts) -> None:
        self.source, self._parts, self._monotonic = source, parts, parts.clock.monotonic
        self._loading = BoundedWork(1, 64, "models_busy")
        self._scoring = BoundedWork(2, 64, "models_busy")
        self._loads: dict[tuple[str, str | None], asyncio.Task[Package]] = {}

    async def model(self, name: str, version: str | None) -> Package:
        """Return a model, loaded if need be, before `current_deadline`; whoever asks for it later finds it.

        Raises:
            Refused: 404, there is none; 503, it cannot answer now; 504, it is still being loaded.
        """
        with _told(name, version):
            found = self.source.loaded(name, version)
        return found if found is not None else await self._loaded(name, version)

    async def answer(
        self, name: str, version: str | None, headers: Headers, decode: Callable[[], Asked[R]]
    ) -> tuple[Package, Asked[R], list[Tensor]]:
        """Return a model, what is asked of it, and what it answers.

        A model that is at hand has as long as *headers* say. Of one that is loaded for this request, that counts from
        then on where they say nothing. Many rows are scored in a thread, so that others are answered meanwhile.

        Args:
            name, version: of the model.
            headers: of the request: its deadline and its priority.
            decode: reads the request, in its turn.

        Raises:
            Refused: as `model`, *decode* and `infer` do; 422, a header is wrong; 503, there is no room; 504, the
                deadline is past.
        """
        with until(said_deadline(self._parts, headers, self._monotonic())):
            package = await self.model(name, version)
            outputs: list[Tensor] | None = None
            async with in_turn(self._parts, headers, self._monotonic()):
                asked, deadline = decode(), current_deadline()
                if all(not tensor.shape or tensor.shape[0] <= _FEW_ROWS for tensor in asked.inputs):
                    outputs = infer(package, asked.inputs, asked.wanted)

            def scored() -> list[Tensor]:
                check_deadline(deadline, self._monotonic())  # it may have waited in line
                return infer(package, asked.inputs, asked.wanted)

            if outputs is None:
                outputs = await self._scoring.run(scored)
            check_deadline(deadline, self._monotonic())
            return package, asked, outputs

    async def _loaded(self, name: str, version: str | None) -> Package:
        key = name, version
        load = self._loads.get(key)
        if load is None:
            load = self._loads[key] = asyncio.create_task(self._load(name, version))
            load.add_done_callback(partial(self._is_over, key))
        seconds = current_deadline() - self._monotonic()
        await asyncio.wait({load}, timeout=None if math.isinf(seconds) else max(0.0, seconds))
        if not load.done():
            message = f"model {name!r} is still being loaded, and the deadline of the request is past: send it again."
            raise Refused(504, "deadline_exceeded", message)
        return load.result()

    async def _load(self, name: str, version: str | None) -> Package:
        with _told(name, version):
            return await self._loading.run(partial(self.source.load, name, version))

    def _is_over(self, key: tuple[str, str | None], load: asyncio.Task[Package]) -> None:
        del self._loads[key]
        if not load.cancelled():
            load.exception()  # whoever asked may not have waited for it; the log was told

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
        """Return the inputs of a model.

        Raises:
            Refused: 503, as much is under way as may be; 504, `current_deadline` is past.
        """
        deadline = current_deadline()

        def told() -> list[TensorMetadata]:
            check_deadline(deadline, self._monotonic())
            return inputs_of(package)

        return await self._scoring.run(told)


@contextmanager
def _told(name: str, version: str | None) -> Iterator[None]:
    """Turn what goes wrong with a model into the refusal that its caller gets."""
    try:
        yield
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
