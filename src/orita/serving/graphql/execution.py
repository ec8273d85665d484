"""Executes documents. It imports the GraphQL library, so `orita.serving.graphql.route` imports it late."""

from __future__ import annotations

from graphql import GraphQLError
from strawberry.exceptions import StrawberryGraphQLError
from strawberry.http.ides import get_graphql_ide_html
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import PreExecutionError

from orita.serving.graphql.asker import Asker
from orita.serving.graphql.messages import GraphqlAnswer, GraphqlError, GraphqlRefusal, GraphqlRequest, Location
from orita.serving.graphql.schema import build_schema
from orita.serving.graphql.telling import told
from orita.serving.http.failure import failure
from orita.serving.http.refusal import Refused

__all__ = ["Executor"]


class Executor:
    """The graph, and how a document is executed on it."""

    def __init__(self) -> None:
        self._schema = build_schema()

    def page(self) -> str:
        """Return a page to write documents in; it loads its script from a public network."""
        return get_graphql_ide_html("graphiql")

    def definition(self) -> str:
        """Return the graph in GraphQL's own language."""
        return self._schema.as_str()

    async def execute(self, asked: GraphqlRequest, asker: Asker) -> GraphqlAnswer | GraphqlRefusal:
        """Return what a document gives, or why it was not executed."""
        try:
            result = await self._schema.execute(
                asked.query,
                variable_values=asked.variables,
                operation_name=asked.operationName,
                context_value=asker,
            )
        except (CannotGetOperationTypeError, InvalidOperationTypeError) as error:
            return GraphqlRefusal([_error(GraphQLError(_reason(error)), asker.request_id)])
        errors = [_error(error, asker.request_id) for error in result.errors or ()]
        unexecuted = isinstance(result, PreExecutionError) or (
            result.data is None and not any(error.path for error in errors)
        )
        return GraphqlRefusal(errors) if unexecuted else GraphqlAnswer(result.data, errors)


def _reason(error: Exception) -> str:
    if isinstance(error, CannotGetOperationTypeError):
        return error.as_http_error_reason()
    return str(error)


def _error(error: GraphQLError, request_id: str) -> GraphqlError:
    """Return *error* as it is told: what a resolver refused with its code, what nobody foresaw without its reason."""
    cause = error.original_error
    if isinstance(cause, Refused):
        refused = cause
    elif cause is None or isinstance(cause, GraphQLError | StrawberryGraphQLError):
        refused = Refused(400, "invalid_query", error.message)
    else:
        refused = failure("graphql_failed", cause, request_id=request_id)
    locations = [Location(place.line, place.column) for place in error.locations or ()]
    return told(refused, request_id, locations, list(error.path or ()))
