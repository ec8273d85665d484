"""Which version serves, as control state has it: asking the catalogue takes seconds."""

from __future__ import annotations

from orita.control.deployments import Deployments
from orita.pipelines.workspace import Workspace

__all__ = ["champion_version", "taken_back"]


def champion_version(workspace: Workspace) -> str | None:
    """Return the version that serves the system, None where nothing does."""
    deployments = _deployments(workspace)
    deployed = deployments.current(workspace.system.name)
    return deployed.version if deployed else None


def taken_back(workspace: Workspace, version: str) -> bool:
    """Tell whether *version* served the system, and a rollback took it back."""
    deployments, system = _deployments(workspace), workspace.system.name
    served = {event.version for event in deployments.history(system)}
    return version in served and version not in deployments.lineage(system)


def _deployments(workspace: Workspace) -> Deployments:
    return Deployments(workspace.home.control, workspace.home.tenant, workspace.clock)
