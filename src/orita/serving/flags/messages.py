"""What the OpenFeature Remote Evaluation Protocol says over HTTP, as types for its description."""

from __future__ import annotations

from typing import Any

import msgspec

from orita.serving.http.refusal import Refused

__all__ = ["BulkAnswer", "EvaluationAnswer", "EvaluationFailure", "EvaluationRequest", "GeneralFailure"]


class _Camel(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A message of the protocol, its names in the protocol's case."""


class EvaluationRequest(_Camel, frozen=True):
    """What is known of the request; ``targetingKey`` names the unit."""

    context: dict[str, Any] = {}


class EvaluationAnswer(_Camel, frozen=True):
    """What a flag serves, in which variant and why; *metadata* names the rule that applied."""

    key: str
    reason: str
    variant: str
    value: bool | str | float | dict[str, Any]
    metadata: dict[str, str] = {}


class EvaluationFailure(_Camel, frozen=True):
    """Why a flag could not be evaluated."""

    key: str
    error_code: str
    error_details: str


class BulkAnswer(_Camel, frozen=True):
    """What every flag serves."""

    flags: list[EvaluationAnswer]


class GeneralFailure(_Camel, frozen=True):
    """Why a request could not be answered, whatever flags it is about."""

    error_code: str
    error_details: str

    @classmethod
    def of(cls, refused: Refused) -> GeneralFailure:
        """Return what refuses a request."""
        return cls("PROVIDER_NOT_READY" if refused.status == 503 else "GENERAL", refused.message)
