"""The component that makes a blessed model serve (TFX's Pusher)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orita.core.errors import UserError
from orita.pipelines.components.artifact import Artifact, Made
from orita.pipelines.components.blessing import read_blessing
from orita.pipelines.components.champion import champion_version
from orita.pipelines.components.component import Call
from orita.pipelines.workspace import Workspace

__all__ = ["Pusher"]


class Pusher:
    """Promotes a blessed model: its package is published, then serving is pointed at it."""

    name = "pusher"
    version = 1
    inputs: Mapping[str, str] = {"blessing": "Blessing"}
    outputs: Mapping[str, str] = {"pushed": "PushedVersion"}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return nothing: the blessing decides."""
        return {}

    def run(self, call: Call) -> Mapping[str, Made]:
        """Promote.

        Raises:
            UserError: the model is not blessed, or its package is damaged; the champion stays.
        """
        workspace, verdict = call.workspace, read_blessing(call.workspace, call.inputs["blessing"])
        if not verdict["better"]:
            raise UserError(f"{verdict['challenger']} is not blessed, so it is not pushed: {verdict['why']}.")
        reason = f"better than {verdict['champion']}: {verdict['why']}" if verdict["champion"] else verdict["why"]
        entry = workspace.catalogue().promote(
            workspace.system.name, verdict["challenger"], actor=workspace.actor, reason=reason
        )
        folder = workspace.home.packages / workspace.system.name / entry.version
        facts = {"version": entry.version, "reason": reason}
        return {"pushed": Made(folder, digest=entry.version, facts=facts, watched=False)}

    def lost(self, workspace: Workspace, outputs: Mapping[str, Artifact]) -> str | None:
        """Return that something else serves."""
        pushed, serving = outputs["pushed"].facts["version"], champion_version(workspace)
        return None if serving == pushed else f"{serving or 'nothing'} serves, not {pushed}"
