"""What ``/graphql`` takes and answers, by the form of GraphQL over HTTP.

The specification: https://graphql.github.io/graphql-over-http/draft/.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

__all__ = ["ErrorExtensions", "GraphqlAnswer", "GraphqlError", "GraphqlRefusal", "GraphqlRequest", "Location"]


class GraphqlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One document.

    Attributes:
        query: the document, of 1 to 16,384 characters.
        operationName: which of its operations; needed where it has several.
        variables: values by name.
        extensions: passed over.
    """

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=16_384)]
    operationName: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


class Location(msgspec.Struct, frozen=True):
    """A place in a document, from 1."""

    line: int
    column: int


class ErrorExtensions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What machines read of an error.

    Attributes:
        code: stable, as in REST.
        request_id: the request's id, as in the header ``X-Request-Id``.
        retry_after: seconds after which to try again, if that helps.
    """

    code: str
    request_id: str
    retry_after: int | None = None


class GraphqlError(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error.

    Attributes:
        message: one sentence.
        extensions: what machines read.
        locations: where in the document.
        path: which field of the answer.
    """

    message: str
    extensions: ErrorExtensions
    locations: list[Location] = []
    path: list[str | int] = []


class GraphqlAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a document that was executed gave; ``data`` has a null where a field failed, and ``errors`` say why."""

    data: dict[str, Any] | None
    errors: list[GraphqlError] = []


class GraphqlRefusal(msgspec.Struct, frozen=True):
    """Why a document was not executed."""

    errors: list[GraphqlError]
