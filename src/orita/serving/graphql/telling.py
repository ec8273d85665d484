"""How a refusal is told in GraphQL."""

from __future__ import annotations

from orita.serving.graphql.messages import ErrorExtensions, GraphqlError, Location
from orita.serving.http.refusal import Refused

__all__ = ["told"]


def told(
    refused: Refused, request_id: str, locations: list[Location] | None = None, path: list[str | int] | None = None
) -> GraphqlError:
    """Return *refused* as an error of GraphQL; *locations* and *path* say of which field."""
    extensions = ErrorExtensions(refused.code, request_id, refused.retry_after)
    return GraphqlError(refused.message, extensions, locations or [], path or [])
