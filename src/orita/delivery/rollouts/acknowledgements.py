"""What holds a rollout until somebody looks, and holds it no more once somebody said that it is meant.

Scores of another type of model have another scale; features may be meant to differ. The analysis cannot know, so it
holds. What holds now, of which version, can be acknowledged: it goes on being computed and told, and holds that rollout
no more. Of another version, and of the next rollout, it holds again. What takes a version back cannot be acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from orita.control.events import Conflict
from orita.core.errors import UserError, nearest
from orita.delivery.rollouts.findings import CheckFinding
from orita.delivery.rollouts.rollout import Acknowledgement, Beyond, Rollout

__all__ = ["HOLDING", "check_names", "holding", "how_to_acknowledge", "with_acknowledgements"]

HOLDING = ("scores", "drift", "split")
"""The checks that may hold a rollout."""


def with_acknowledgements(checks: Sequence[CheckFinding], rollout: Rollout) -> tuple[CheckFinding, ...]:
    """Return what checks say of *rollout*; what is beyond its limit and was acknowledged says so, by whom and why."""
    said = {(each.beyond.check, each.beyond.version): each for each in rollout.acknowledged}
    return tuple(
        _acknowledged(each, said[each.check, each.version])
        if each.says == "beyond" and (each.check, each.version) in said
        else each
        for each in checks
    )


def how_to_acknowledge(checks: Sequence[CheckFinding]) -> str:
    """Return what to do about checks that hold a rollout."""
    names = " ".join(dict.fromkeys(each.check for each in checks))
    return f"If it is meant, 'orita rollout acknowledge {names} --reason …' lets the rollout go on."


def check_names(names: Sequence[str]) -> None:
    """Refuse names of checks that hold no rollout.

    Raises:
        UserError: one is none.
    """
    for name in names:
        if name not in HOLDING:
            near = nearest(name, HOLDING)
            meant = f" Did you mean {near!r}?" if near else ""
            raise UserError(
                f"the check {name[:80]!r} cannot be acknowledged: only {', '.join(HOLDING[:-1])} and {HOLDING[-1]} "
                f"hold a rollout, and what takes a version back nobody can acknowledge.{meant}"
            )


def holding(rollout: Rollout, evidence: Mapping[str, Any], names: Sequence[str] = ()) -> tuple[Beyond, ...]:
    """Return what holds *rollout* now, by the *evidence* of its latest look.

    Args:
        rollout: as it is.
        evidence: as `orita.delivery.rollouts.findings.Finding.evidence` tells it.
        names: of checks, of which each must hold it; none: all that do.

    Raises:
        UserError: a name is none of `HOLDING`.
        Conflict: a check does not hold it, or nothing does.
    """
    check_names(names)
    said = {(each.beyond.check, each.beyond.version) for each in rollout.acknowledged}
    found = []
    for key, told in evidence.get("checks", {}).items():
        check, _, version = key.partition(" ")
        if check in HOLDING and told["says"] == "beyond" and (check, version) not in said:
            found.append(Beyond(check=check, version=version, why=told["why"]))
    there = list(dict.fromkeys(each.check for each in found))
    if missing := [name for name in names if name not in there] or ([] if there else [""]):
        what = f"{missing[0]} does not hold" if missing[0] else "no check holds"
        others = f": {' and '.join(there)} {'does' if len(there) == 1 else 'do'}" if there else ""
        raise Conflict(f"{what} rollout {rollout.id} now{others}. 'orita rollout status' tells what each check says.")
    return tuple(each for each in found if not names or each.check in names)


def _acknowledged(finding: CheckFinding, known: Acknowledgement) -> CheckFinding:
    by = {"by": known.by, "at": known.at.isoformat(), "reason": known.reason}
    why = f"{finding.why}; acknowledged by {known.by}: {known.reason}"
    return replace(finding, says="acknowledged", why=why, evidence=finding.evidence | {"acknowledged": by})
