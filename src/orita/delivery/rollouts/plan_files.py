"""Plans of rollouts as JSON and YAML, read strictly; `RolloutPlan` says what stands in one.

strategy: canary
versions: [v1.3.0]
steps: [{share: 1}, {share: 10, least_seconds: 3600}, {share: 100}]
audience: {is: in, attribute: country, values: [SE, NO]}
checks: {alpha: 0.01, metric: {name: click, most_loss: 0.025, window_seconds: 1800}}
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from orita.core.errors import UserError
from orita.delivery.rollouts.plan import RolloutPlan
from orita.delivery.yaml12 import from_yaml

__all__ = ["plan_of", "read_document"]


def read_document(text: bytes | str, what: str, form: Literal["json", "yaml"] = "yaml") -> Any:
    """Return what a document holds, unchecked.

    Raises:
        UserError: it is none; *what* names it.
    """
    try:
        return msgspec.json.decode(text) if form == "json" else from_yaml(text)
    except RecursionError:
        raise UserError(f"{what} is nested too deep: make its conditions simpler.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{what} cannot be read as {form.upper()}: {error}.") from None


def plan_of(document: Any) -> RolloutPlan:
    """Return the plan that a document declares.

    Raises:
        UserError: it has a key that is not known or a value of another type, or contradicts itself; the place is told.
    """
    try:
        return msgspec.convert(document, RolloutPlan)
    except RecursionError:
        raise UserError("the plan is nested too deep: make its audience simpler.") from None
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, UserError):  # said by the plan itself
            raise error.__cause__ from None
        raise UserError(f"the plan of the rollout is wrong: {error}.") from None
