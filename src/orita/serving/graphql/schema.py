"""The graph: two queries, two mutations, and the bounds of a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import strawberry
from graphql import GraphQLError, OperationDefinitionNode
from graphql.validation.rules.max_introspection_depth_rule import MaxIntrospectionDepthRule
from strawberry.extensions import AddValidationRules, MaxTokensLimiter, SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext, Info

from orita.serving.graphql.asker import Asker
from orita.serving.graphql.cost import CostRule
from orita.serving.graphql.types import ID_SCALAR, Deployment, EntityId, Features, Model, Prediction
from orita.serving.resources.messages import page_of

__all__ = ["MOST_TOKENS", "build_schema"]

MOST_TOKENS = 1000

Asking = Info[Asker, None]


async def _model(info: Asking, id: strawberry.ID) -> Model | None:  # noqa: A002
    return Model.of(await info.context.model(str(id)))


async def _models(info: Asking, limit: int = 20, offset: int = 0) -> list[Model]:
    return [Model.of(known) for known in await info.context.models(page_of(limit, offset))]


async def _predict(info: Asking, model_id: strawberry.ID, features: Features) -> Prediction:
    answer = await info.context.predict(str(model_id), features.request())
    return Prediction.of(answer, info.context.request_id)


async def _deploy(info: Asking, model_id: strawberry.ID, environment: str) -> Deployment:
    known = await info.context.deploy(str(model_id), environment)
    return Deployment(model=Model.of(known), environment=environment)


@strawberry.type
class Query:
    """What can be read."""

    model: Model | None = strawberry.field(
        resolver=_model, description="One model; null, with an error, where there is none."
    )
    models: list[Model] = strawberry.field(
        resolver=_models,
        description="Models, the newest version first; the retired are left out. A limit is 1 to 100.",
    )


@strawberry.type
class Mutation:
    """What can be done."""

    predict: Prediction = strawberry.field(resolver=_predict, description="Rank items for a user with this model.")
    deploy_model: Deployment = strawberry.field(
        resolver=_deploy, description="Make this model the one that answers; the environment is production."
    )


class OneOperation(SchemaExtension):
    """Refuses documents of several operations where the request does not say which: the library takes the first."""

    def on_validate(self) -> Iterator[None]:
        """Count the operations of a document that was parsed."""
        asked, document = self.execution_context, self.execution_context.graphql_document
        operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)] if document else []
        if len(operations) > 1 and asked.context.operation is None:
            message = f"the document has {len(operations)} operations: say which in operationName."
            asked.pre_execution_errors = [GraphQLError(message, operations)]
        yield


class _Schema(strawberry.Schema):
    """A schema whose errors are told by `orita.serving.graphql.route`, not by the library."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Leave *errors* to the route."""


def build_schema() -> strawberry.Schema:
    """Return the graph."""
    scalars: dict[object, Any] = {EntityId: ID_SCALAR}
    return _Schema(
        query=Query,
        mutation=Mutation,
        config=StrawberryConfig(scalar_map=scalars),
        extensions=[
            lambda: MaxTokensLimiter(MOST_TOKENS),
            OneOperation,
            lambda: AddValidationRules([CostRule, MaxIntrospectionDepthRule]),
        ],
    )
