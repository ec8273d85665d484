"""The component that says whether a model may serve (TFX's Evaluator, its second half)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orita.core.errors import NotFound
from orita.features.training_sets.training_set import latest_training_set
from orita.pipelines.components.artifact import Artifact, Made
from orita.pipelines.components.blessing_config import BlessingSection
from orita.pipelines.components.champion import champion_version, taken_back
from orita.pipelines.components.component import Call
from orita.pipelines.workspace import Workspace

__all__ = ["Blessing", "read_blessing"]


class Blessing:
    """Blesses a model that keeps the limits of the configuration and is surely better than the champion, if any.

    Test rows of fewer than ten users on either side (clicks, rows without) make nobody sure: the champion stays.

    Args:
        version: the registered model.
    """

    name = "blessing"
    version = 2  # what few users can make sure
    inputs: Mapping[str, str] = {}
    outputs: Mapping[str, str] = {"blessing": "Blessing"}

    def __init__(self, version: str) -> None:
        self._version = version

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return the two models, the rows on which they meet, and how they are judged."""
        return {
            "challenger": self._version,
            "champion": champion_version(workspace),
            "taken_back": taken_back(workspace, self._version),
            "training_set": _training_set(workspace),
            "evaluation": workspace.model.evaluation.model_dump(mode="json", exclude={"slices", "report"}),
            "blessing": workspace.model.blessing.model_dump(mode="json", exclude={"gates"}),  # those look at the log
            "seed": workspace.model.seed,
        }

    def run(self, call: Call) -> Mapping[str, Made]:
        """Judge, and write the verdict as JSON."""
        verdict = _verdict(call.workspace, self._version)
        file = call.folder / "blessing.json"
        file.write_text(json.dumps(verdict, indent=1), encoding="utf-8")
        return {"blessing": Made(file, facts={"blessed": verdict["better"], "challenger": self._version})}


def read_blessing(workspace: Workspace, blessing: Artifact) -> dict[str, Any]:
    """Return the verdict: ``challenger``, ``champion``, ``better``, ``why``, and the difference where two met."""
    content: dict[str, Any] = json.loads(blessing.path(workspace.home).read_text(encoding="utf-8"))
    return content


def _verdict(workspace: Workspace, version: str) -> dict[str, Any]:
    from orita.pipelines.comparison import compare_versions  # with SciPy, a second, which a verdict of before saves

    catalogue = workspace.catalogue()
    challenger, champion = catalogue.get(workspace.system.name, version), catalogue.champion(workspace.system.name)
    told = {"challenger": challenger.version, "champion": champion.version if champion else None}
    if champion and champion.version == challenger.version:
        return {**told, "better": False, "why": "it serves already"}
    if taken_back(workspace, challenger.version):  # by a person, who knew more than test rows say
        return {
            **told,
            "better": False,
            "why": "it was taken back by a rollback: 'orita models promote' brings it back",
        }
    if broken := _broken_limit(challenger.metrics, workspace.model.blessing):
        return {**told, "better": False, "why": broken}
    if champion is None:
        return {**told, "better": True, "why": "nothing serves yet"}
    duel = compare_versions(workspace, challenger, champion)
    found = duel.comparison
    interval = f" ({found.low:+.4f} to {found.high:+.4f})" if found.low is not None else ""
    why = f"AUC {found.delta:+.4f}{interval} on {duel.rows:,} rows"
    if found.too_few:
        why = f"{why}; {found.too_few}"
    met = {"rows": duel.rows, "users": found.users, "delta": found.delta, "low": found.low, "high": found.high}
    return {**told, "better": duel.better, "why": why, **met}


def _broken_limit(metrics: Mapping[str, float], limits: BlessingSection) -> str | None:
    """Return the first limit that the figures do not keep, in words."""
    for name in (*limits.at_least, *limits.at_most):
        if name not in metrics:
            return f"{name} was not taken, and blessing has a limit on it: add it to evaluation.metrics"
    for name, limit in limits.at_least.items():
        if not metrics[name] >= limit:
            return f"{name} is {metrics[name]:.4f}, at least {limit:g} is asked for"
    for name, limit in limits.at_most.items():
        if not metrics[name] <= limit:
            return f"{name} is {metrics[name]:.4f}, at most {limit:g} is allowed"
    return None


def _training_set(workspace: Workspace) -> str | None:
    try:
        return latest_training_set(workspace.home.training_sets, workspace.system.name).id
    except NotFound:
        return None
