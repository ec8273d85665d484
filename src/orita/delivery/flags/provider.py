"""Orita's flags behind OpenFeature's Python SDK: `pip install 'orita[flags]'`.

from openfeature import api
api.set_provider(OritaProvider(lambda: flags))
api.get_client().get_boolean_value("new-checkout", False, EvaluationContext("user-12", {"country": "SE"}))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from orita.core.extras import require
from orita.delivery.flags.evaluation import Evaluation, Reason
from orita.delivery.flags.flag_set import FlagSet

require("openfeature", extra="flags")

from openfeature.evaluation_context import EvaluationContext  # noqa: E402
from openfeature.exception import ErrorCode  # noqa: E402
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType  # noqa: E402
from openfeature.flag_evaluation import Reason as OpenFeatureReason  # noqa: E402
from openfeature.provider import AbstractProvider, Metadata  # noqa: E402

__all__ = ["OritaProvider"]

_Objects = Sequence[FlagValueType] | Mapping[str, FlagValueType]


class OritaProvider(AbstractProvider):
    """Resolves flags in this process.

    Args:
        flags: returns the set that holds now; asked at each evaluation.
    """

    def __init__(self, flags: Callable[[], FlagSet]) -> None:
        super().__init__()
        self._flags = flags

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata(name="orita")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """Return a boolean."""
        found = self._evaluate(flag_key, default_value, evaluation_context)
        return _resolved(found, default_value, found.value, isinstance(found.value, bool), "a boolean")

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Return text."""
        found = self._evaluate(flag_key, default_value, evaluation_context)
        return _resolved(found, default_value, found.value, isinstance(found.value, str), "text")

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Return a whole number."""
        found = self._evaluate(flag_key, default_value, evaluation_context)
        right = isinstance(found.value, int) and not isinstance(found.value, bool)
        return _resolved(found, default_value, found.value, right, "a whole number")

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Return a number; a whole one becomes a float."""
        found = self._evaluate(flag_key, default_value, evaluation_context)
        right = isinstance(found.value, int | float) and not isinstance(found.value, bool)
        return _resolved(found, default_value, float(found.value) if right else found.value, right, "a number")

    def resolve_object_details(
        self, flag_key: str, default_value: _Objects, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[_Objects]:
        """Return an object, a copy of the flag's."""
        found = self._evaluate(flag_key, default_value, evaluation_context)
        right = isinstance(found.value, Mapping)
        return _resolved(found, default_value, deepcopy(found.value) if right else found.value, right, "an object")

    def _evaluate(self, key: str, default: object, context: EvaluationContext | None) -> Evaluation:
        attributes: dict[str, object] = {}
        if context is not None:
            attributes |= context.attributes
            if context.targeting_key is not None:
                attributes["targetingKey"] = context.targeting_key
        return self._flags().evaluate(key, attributes, default)


def _resolved(found: Evaluation, default: Any, value: Any, right: bool, wanted: str) -> FlagResolutionDetails[Any]:
    """Return *value* in the SDK's words, or *default* where there is none or it is not of the type that is *wanted*."""
    if found.error_code is not None:
        code, reason = ErrorCode(found.error_code.value), OpenFeatureReason.ERROR
        return FlagResolutionDetails(default, code, found.error_message, reason)
    if not right:
        sentence = f"the flag {found.flag!r} serves {found.value!r}, which is not {wanted}: ask for its type."
        return FlagResolutionDetails(default, ErrorCode.TYPE_MISMATCH, sentence, OpenFeatureReason.ERROR)
    metadata = {"rule": found.rule} if found.rule else {}
    reason = OpenFeatureReason(Reason(found.reason).value)
    return FlagResolutionDetails(value, reason=reason, variant=found.variant, flag_metadata=metadata)
