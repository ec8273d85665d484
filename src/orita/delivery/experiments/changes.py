"""What may change of a running experiment: nothing that moves users, and nothing that its decision rests on.

Whoever has looked at results could otherwise choose the metric, the margin or the level by them.
"""

from __future__ import annotations

from msgspec.structs import replace

from orita.core.errors import UserError
from orita.delivery.experiments.declarations import ExperimentPlan, Exposures, FileSource

__all__ = ["check_change"]

_MOVES = ("variants", "by", "layer", "holdouts", "audience")
_JUDGES = ("baseline", "primary", "alpha", "analysis", "multiple_testing")


def check_change(before: ExperimentPlan, after: ExperimentPlan) -> None:
    """Refuse a change of a running experiment that would move users or change how it is judged.

    Guardrails may be added, and secondary metrics may change; overrides, owner, hypothesis and the paths of files, too:
    rows may move, but no other column, table or log may take their place.

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
    _check_sources(before, after)


def _check_sources(before: ExperimentPlan, after: ExperimentPlan) -> None:
    judged = {metric.source for metric in before.metrics if metric.role != "secondary"}
    told: list[tuple[str, Exposures | None, Exposures | None]] = [("exposures", before.exposures, after.exposures)]
    told += [(f"outcomes.{name}", before.outcomes.get(name), after.outcomes.get(name)) for name in sorted(judged)]
    for field, was, now in told:
        if not _same_rows(was, now):
            raise UserError(
                f"experiment {before.key!r} is running, and to change {field} in more than the path of a file would "
                f"change what its decision rests on: {_INSTEAD}"
            )


def _same_rows(was: Exposures | None, now: Exposures | None) -> bool:
    if isinstance(was, FileSource) and isinstance(now, FileSource):
        return replace(was, path=now.path) == now
    return was == now


_INSTEAD = "stop it, and declare another one under a new key."
