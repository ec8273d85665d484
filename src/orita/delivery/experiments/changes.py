"""What may change of a running experiment: nothing that moves users, and nothing that its decision rests on.

Whoever has looked at results could otherwise choose the metric, the margin or the level by them.
"""

from __future__ import annotations

from orita.core.errors import UserError
from orita.delivery.experiments.declarations import ExperimentPlan

__all__ = ["check_change"]

_MOVES = ("variants", "by", "layer", "holdouts", "audience")
_JUDGES = ("baseline", "primary", "alpha", "analysis", "multiple_testing")


def check_change(before: ExperimentPlan, after: ExperimentPlan) -> None:
    """Refuse a change of a running experiment that would move users or change how it is judged.

    Guardrails may be added, and secondary metrics may change; overrides, owner, hypothesis and where rows are, too.

    Raises:
        UserError: it would.
    """
    for fields, why in ((_MOVES, "would move users"), (_JUDGES, "would change what its decision rests on")):
        for field in fields:
            if getattr(before, field) != getattr(after, field):
                name = {"baseline": "control", "primary": "the primary metric"}.get(field, field)
                raise UserError(f"experiment {before.key!r} is running, and to change {name} {why}: {_INSTEAD}")
    names = {metric.name: metric for metric in after.metrics}
    for metric in before.metrics:
        if metric.role == "guardrail" and names.get(metric.name) != metric:
            raise UserError(
                f"experiment {before.key!r} is running, and to change the guardrail {metric.name!r} would change what "
                f"its decision rests on: {_INSTEAD}"
            )


_INSTEAD = "stop it, and declare another one under a new key."
