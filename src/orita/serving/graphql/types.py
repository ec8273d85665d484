"""The types of the graph."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from orita.serving.http.refusal import Refused
from orita.serving.predict.predictor import PredictAnswer
from orita.serving.resources.known import KnownModel, created_at

__all__ = [
    "ID_SCALAR",
    "Context",
    "Deployment",
    "EntityId",
    "Features",
    "HeadWeight",
    "Model",
    "Prediction",
    "RankedItem",
]

EntityId = NewType("EntityId", object)


def _entity_id(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"EntityId has the value {str(value)[:80]!r}, allowed are whole numbers and texts")
    return value


ID_SCALAR: ScalarDefinition = strawberry.scalar(
    name="EntityId",
    description="The id of a user or an item: a whole number from 0 to below 2^63, or a text of 1 to 256 characters.",
    serialize=_entity_id,
    parse_value=_entity_id,
)


@strawberry.type(description="A model of the system that this server answers for.")
class Model:
    """A model."""

    id: strawberry.ID = strawberry.field(description="Its UUID.")
    name: str = strawberry.field(description="The system that it is a model of.")
    version: str = strawberry.field(description="Such as v1.2.0.")
    accuracy: float | None = strawberry.field(description="On its own test rows; null where it was not measured.")
    created_at: datetime = strawberry.field(description="When it was trained.")
    type: str = strawberry.field(description="Such as two_tower.")
    stage: str = strawberry.field(description="production, available, candidate or retired.")
    deployed_at: datetime | None = strawberry.field(description="Since when it is deployed; null where it is not.")
    description: str = strawberry.field(description="What people say of it.")

    @staticmethod
    def of(known: KnownModel) -> Model:
        """Return *known* as a type of the graph."""
        return Model(
            id=strawberry.ID(known.id),
            name=known.system,
            version=known.version,
            accuracy=known.accuracy,
            created_at=created_at(known.metadata),
            type=known.metadata.model_type,
            stage=known.stage,
            deployed_at=known.deployed_at,
            description=known.record.description,
        )


@strawberry.input(description="Under which circumstances it is asked.")
class Context:
    """The context of a request."""

    device: str | None = strawberry.field(default=None, description="What the user holds, such as mobile.")
    timestamp: datetime | None = strawberry.field(
        default=None, description="The time to answer for, ISO 8601 with an offset; by default now."
    )


@strawberry.input(description="What one unit of a head of the model is worth.")
class HeadWeight:
    """The weight of one head."""

    head: str = strawberry.field(description="A head of the model, within what the server lets requests weigh.")
    weight: float = strawberry.field(description="Within its bounds.")


@strawberry.input(description="Of whom and what the features are; the server reads their values.")
class Features:
    """What a model is asked."""

    user_id: EntityId = strawberry.field(description="For whom to rank.")
    item_ids: list[EntityId] = strawberry.field(description="What to rank, each once.")
    context: Context | None = strawberry.field(default=None, description="Under which circumstances.")
    objective: list[HeadWeight] | None = strawberry.field(
        default=None, description="What heads of the model are worth; by default as the model declares."
    )

    def request(self) -> dict[str, Any]:
        """Return the body of ``POST /predict`` that asks the same.

        Raises:
            Refused: 422, the objective names a head twice.
        """
        asked: dict[str, Any] = {"user_id": self.user_id, "item_ids": self.item_ids}
        if self.context is not None:
            asked["context"] = {"device": self.context.device, "timestamp": self.context.timestamp}
        if self.objective is not None:
            asked["objective"] = {each.head: each.weight for each in self.objective}
            if len(asked["objective"]) < len(self.objective):
                raise Refused(422, "invalid_value", "objective names a head more than once: give each one weight.")
        return asked


@strawberry.type(description="One item of a prediction.")
class RankedItem:
    """One item, its score and its rank."""

    item_id: EntityId = strawberry.field(description="As asked.")
    score: float = strawberry.field(description="A click probability.")
    rank: int = strawberry.field(description="From 1.")


@strawberry.type(description="The items that were asked, best first.")
class Prediction:
    """What a model answered."""

    user_id: EntityId = strawberry.field(description="As asked.")
    predictions: list[RankedItem] = strawberry.field(description="Every item asked, best first.")
    model_version: str = strawberry.field(description="Which version answered.")
    latency_ms: float = strawberry.field(description="Milliseconds of the answer.")
    level: int = strawberry.field(description="1 by the model; 2 to 4 where it could not be asked.")
    reason: str | None = strawberry.field(description="Why it is not of level 1, in a word; null where it is.")
    request_id: str = strawberry.field(description="Joins feedback to the answer.")

    @staticmethod
    def of(answer: PredictAnswer, request_id: str) -> Prediction:
        """Return *answer* as a type of the graph."""
        ranked = [RankedItem(item_id=EntityId(r.item_id), score=r.score, rank=r.rank) for r in answer.predictions]
        return Prediction(
            user_id=EntityId(answer.user_id),
            predictions=ranked,
            model_version=answer.model_version,
            latency_ms=answer.latency_ms,
            level=answer.level,
            reason=answer.reason,
            request_id=request_id,
        )


@strawberry.type(description="A model that was deployed; servers take it up within a second.")
class Deployment:
    """A deployment."""

    model: Model = strawberry.field(description="As it is now.")
    environment: str = strawberry.field(description="Where.")
