"""A blessed model begins a rollout instead of being promoted; `orita controller` advances it or takes it back."""

from __future__ import annotations

from orita.core.errors import UserError
from orita.delivery.rollouts.checking import check_metric
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.rollouts.rollouts import Rollouts
from orita.models.package import load_package
from orita.pipelines.retraining.config import plan_with
from orita.pipelines.workspace import Workspace

__all__ = ["begin_rollout", "rollout_of"]


def begin_rollout(workspace: Workspace, version: str, decision: str, reason: str) -> Rollout:
    """Begin the declared rollout of *version*, once for a decision.

    The package is published and verified before, so that every server can load it.

    Args:
        workspace: whose ``retraining.rollout``.
        version: a registered model.
        decision: the id of the decision; it is kept with the rollout's reason.
        reason: why the version is tried.

    Raises:
        UserError: the plan cannot be carried out, or another rollout is under way.
    """
    begun = _begun(workspace, version, decision)
    if begun is not None:
        return begun
    system, document = workspace.system, workspace.model.retraining.rollout
    assert document is not None, "a rollout is begun where none is declared"
    plan = plan_with(document, version)
    check_metric(plan, system.source.schema.types)
    rollouts = _rollouts(workspace)
    rollouts.check(system.name, plan)
    entry = workspace.catalogue().publish(system.name, version)
    package = load_package(workspace.home.packages / system.name / entry.version)
    system.check(package.schema, f"model {entry.version}")
    return rollouts.start(system.name, plan, actor=workspace.actor, reason=f"{reason} {_mark(decision)}")


def rollout_of(workspace: Workspace, id_: str) -> Rollout | None:
    """Return a rollout as it is now, None where it ended so long ago that it is not kept."""
    return _rollouts(workspace).current(workspace.system.name).find(id_)


def _begun(workspace: Workspace, version: str, decision: str) -> Rollout | None:
    """Return the rollout that this decision began before it was killed."""
    state = _rollouts(workspace).current(workspace.system.name)
    for event in reversed(_rollouts(workspace).history(workspace.system.name)):
        if event.type == "started" and event.reason.endswith(_mark(decision)):
            found = next((r for r in (*state.live, *state.ended) if r.started_at == event.at), None)
            if found is None or found.plan.versions != (version,):
                raise UserError(f"the rollout of decision {decision} ended long ago: begin another training.")
            return found
    return None


def _rollouts(workspace: Workspace) -> Rollouts:
    return Rollouts(workspace.home.control, workspace.home.tenant, workspace.clock)


def _mark(decision: str) -> str:
    return f"[retraining {decision}]"
