"""Plans of rollouts as JSON and YAML, read strictly; `RolloutPlan` says what stands in one.

strategy: canary
versions: [v1.3.0]
steps: [{share: 1}, {share: 10, least_seconds: 3600}, {share: 100}]
audience: {is: in, attribute: country, values: [SE, NO]}
checks: {alpha: 0.01, metric: {name: click, most_loss: 0.025, window_seconds: 1800}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import msgspec

from orita.core.errors import UserError
from orita.delivery.rollouts.checking import check_plan
from orita.delivery.rollouts.plan import RolloutPlan
from orita.delivery.wrong_fields import wrong_field
from orita.delivery.yaml12 import from_yaml

__all__ = ["plan_of", "read_document"]


def read_document(text: bytes | str, what: str, form: Literal["json", "yaml"] = "yaml") -> Any:
    """Return what a document in UTF-8 holds, unchecked.

    Raises:
        UserError: it is none; *what* names it.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(what, str(error)) from None
    if "\0" in decoded:
        raise _not_utf8(what, "it has zero bytes")
    try:
        return msgspec.json.decode(decoded) if form == "json" else from_yaml(decoded)
    except RecursionError:
        raise UserError(f"{what} is nested too deep: make its conditions simpler.") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise UserError(f"{what} cannot be read as {form.upper()}: {error}.") from None


def plan_of(document: Any, options: Mapping[str, str] | None = None) -> RolloutPlan:
    """Return the plan that a document declares.

    Args:
        document: as `read_document` returns it.
        options: what fields are called where the command line says them, such as ``--alpha`` for ``checks.alpha``.

    Raises:
        UserError: it has a key that is not known or a value of another type, contradicts itself, or cannot be carried
            out; the field is named.
    """
    try:
        plan = msgspec.convert(document, RolloutPlan)
    except RecursionError:
        raise UserError("the plan is nested too deep: make its audience simpler.") from None
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, UserError):  # said by the plan itself
            raise error.__cause__ from None
        fault = wrong_field(str(error), document, RolloutPlan, whole="the plan of the rollout")
        raise UserError(replace(fault, place=(options or {}).get(fault.place, fault.place)).sentence) from None
    check_plan(plan)
    return plan


def _not_utf8(what: str, reason: str) -> UserError:
    return UserError(f"{what} is not UTF-8: {reason}. Save it as UTF-8.")
