"""What a resolver has of the request that it answers; it needs no GraphQL library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from orita.serving.access.callers import Callers, Permission, Visitor
from orita.serving.http.refusal import Refused
from orita.serving.predict.predictor import PredictAnswer
from orita.serving.predict.requests import RequestDecoder
from orita.serving.resources.known import KnownModel
from orita.serving.resources.messages import Page
from orita.serving.resources.models import Models
from orita.serving.telemetry.metrics import ServingMetrics

__all__ = ["Asker", "GraphqlParts"]

_SPELLED = {"user_id": "userId", "item_ids": "itemIds"}


@dataclass(frozen=True, slots=True)
class GraphqlParts:
    """What answers GraphQL.

    Attributes:
        models: knows and asks models.
        callers: knows who asks.
        decode: checks what is asked of a model.
        metrics: where predictions are counted.
    """

    models: Models
    callers: Callers
    decode: RequestDecoder
    metrics: ServingMetrics


@dataclass(frozen=True, slots=True)
class Asker:
    """One request: who sent it, its id, the operation that it names, and what answers it."""

    parts: GraphqlParts
    visitor: Visitor
    request_id: str
    operation: str | None = None

    async def model(self, model_id: str) -> KnownModel:
        """Return one model."""
        await self._check("model:read")
        return await self.parts.models.get(model_id)

    async def models(self, page: Page) -> list[KnownModel]:
        """Return the models of a page, the newest version first."""
        await self._check("model:read")
        return (await self.parts.models.all(page))[0]

    async def predict(self, model_id: str, request: Mapping[str, Any]) -> PredictAnswer:
        """Return what a model answers to *request*, the body of ``POST /predict``."""
        await self._check("model:predict")
        try:
            asked = self.parts.decode(msgspec.json.encode(request))
        except Refused as refused:
            raise Refused(refused.status, refused.code, _respelled(refused.message)) from None
        answer = await self.parts.models.predict(model_id, asked, self.request_id, self.visitor.headers)
        self.parts.metrics.answered(len(answer.predictions), answer.latency_ms)
        return answer

    async def deploy(self, model_id: str, environment: str) -> KnownModel:
        """Deploy a model."""
        await self._check("model:write")
        return await self.parts.models.deploy(model_id, environment, self.request_id)

    async def _check(self, permission: Permission) -> None:
        await self.parts.callers.caller(permission, self.visitor)


def _respelled(message: str) -> str:
    """Return a sentence about fields of ``POST /predict`` with the names that they have here."""
    for name, here in _SPELLED.items():
        message = message.replace(name, here)
    return message
