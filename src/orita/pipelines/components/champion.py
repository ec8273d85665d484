"""Which version serves, as control state has it: asking the catalogue takes seconds."""

from __future__ import annotations

from orita.control.deployments import Deployments
from orita.pipelines.workspace import Workspace

__all__ = ["champion_version"]


def champion_version(workspace: Workspace) -> str | None:
    """Return the version that serves the system, None where nothing does."""
    home = workspace.home
    if not home.control_db.exists():
        return None
    deployed = Deployments(home.control_db, home.tenant, workspace.clock).current(workspace.system.name)
    return deployed.version if deployed else None
