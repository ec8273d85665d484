"""What a flag answers, in the words of OpenFeature (specification 0.8, sections 1.4 and 2.2, types)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

__all__ = ["ErrorCode", "Evaluation", "Reason"]


class Reason(StrEnum):
    """Why a value was served."""

    STATIC = "STATIC"
    """The flag has no rules: the value is the same for everybody."""
    DEFAULT = "DEFAULT"
    """No rule applied."""
    TARGETING_MATCH = "TARGETING_MATCH"
    """An override or the condition of a rule applied."""
    SPLIT = "SPLIT"
    """A rollout or a split decided."""
    DISABLED = "DISABLED"
    """The flag is not enabled, not scheduled now, or its prerequisites are not met."""
    STALE = "STALE"
    """As evaluated, by flags that may be out of date."""
    ERROR = "ERROR"
    """There is no such flag, or the caller asked wrongly: the value is the caller's default."""


class ErrorCode(StrEnum):
    """What was wrong."""

    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    PARSE_ERROR = "PARSE_ERROR"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    INVALID_CONTEXT = "INVALID_CONTEXT"


class Evaluation(Struct, frozen=True, gc=False):
    """What a flag answers for a request.

    Attributes:
        flag: its key.
        value: boolean, text, number or object. It is shared by all evaluations: read it, do not change it.
        variant: the name of the value, None where it is the caller's default.
        reason: why.
        error_code: None unless the reason is ERROR.
        error_message: a sentence, likewise.
        rule: the name of the rule that applied, '' where it has none or none did.
    """

    flag: str
    value: Any
    variant: str | None
    reason: Reason
    error_code: ErrorCode | None = None
    error_message: str = ""
    rule: str = ""
