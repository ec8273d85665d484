"""The end of every retraining: a new model is compared with the champion, and promoted if it is blessed."""

from __future__ import annotations

from collections.abc import Mapping

from orita.pipelines.components.blessing import Blessing, read_blessing
from orita.pipelines.components.cache import carry_out
from orita.pipelines.components.champion import champion_version
from orita.pipelines.components.pusher import Pusher
from orita.pipelines.components.task import artifacts_of
from orita.pipelines.graph import Graph, Result, Task
from orita.pipelines.occurrences import model_promoted
from orita.pipelines.workspace import Workspace

__all__ = ["compare_with_production", "promote_if_better", "promotion_graph"]


def promotion_graph(version: str) -> Graph:
    """Return the graph that promotes *version* if it is blessed, for a model that was just trained."""
    earlier: dict[str, Result] = {"fetch_recent_data": {}, "trigger_training_dag": {"version": version}}
    return Graph(
        "promotion",
        None,
        (
            Task("compare_with_production", lambda w, results: compare_with_production(w, {**earlier, **results})),
            Task(
                "promote_if_better",
                lambda w, results: promote_if_better(w, {**earlier, **results}),
                tells=model_promoted,
            ),
        ),
        subject=version,
    )


def compare_with_production(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Bless the challenger if it keeps the limits and, on the same fresh rows, is surely better than the champion.

    Where ``blessing.gates`` demand it, the champion's own log must agree.
    """
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    version = results["trigger_training_dag"]["version"]
    if champion_version(workspace) == version:
        return {"challenger": version, "champion": version, "better": False, "why": "it serves already", "cached": True}
    step = carry_out(Blessing(version), workspace, {})
    verdict = {**read_blessing(workspace, step.outputs["blessing"]), "steps": [step.to_dict()]}
    return _gated(workspace, verdict)


def promote_if_better(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Promote the challenger if it is blessed; otherwise leave the champion."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    verdict = results["compare_with_production"]
    if not verdict["better"]:
        nothing_new = verdict.get("cached") or all(step["status"] == "cached" for step in verdict["steps"])
        kept = {"promoted": False, "champion": verdict["champion"], "why": verdict["why"], "cached": nothing_new}
        return {**kept, **_evidence(verdict)}
    step = carry_out(Pusher(), workspace, artifacts_of(results))
    pushed = step.outputs["pushed"].facts
    done = {"promoted": True, "champion": pushed["version"], "why": pushed["reason"], "steps": [step.to_dict()]}
    return {**done, **_evidence(verdict)}


def _evidence(verdict: Result) -> Result:
    """Return what the gates found, where there are some."""
    return {"ope": verdict["ope"]} if "ope" in verdict else {}


def _gated(workspace: Workspace, verdict: Result) -> Result:
    """Return the verdict with what the gates make of it; they are asked anew each time, as the log grows."""
    gate = workspace.model.blessing.gates.ope
    if gate is None or not verdict["better"] or not verdict["champion"]:
        return verdict
    from orita.pipelines.ope_gate import ope_gate  # with SciPy, a second, which a verdict without gates saves

    found = ope_gate(workspace, verdict["challenger"], verdict["champion"], gate)
    return {**verdict, "better": found["passed"], "why": f"{verdict['why']}; {found['why']}", "ope": found}
