"""The end of every retraining: a new model is compared with the champion, and promoted if it is blessed."""

from __future__ import annotations

from collections.abc import Mapping

from orita.pipelines.components.blessing import Blessing, read_blessing
from orita.pipelines.components.cache import carry_out
from orita.pipelines.components.champion import champion_version
from orita.pipelines.components.pusher import Pusher
from orita.pipelines.components.task import artifacts_of
from orita.pipelines.gates.finding import GateFinding
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
    return {name: verdict[name] for name in ("gates", "ope") if name in verdict}


def _gated(workspace: Workspace, verdict: Result) -> Result:
    """Return the verdict with what the gates make of it; they are asked anew each time, as the log grows."""
    gates = workspace.model.blessing.gates
    if not verdict["better"] or not any(gates.model_dump().values()):
        return verdict
    from orita.pipelines.gates.judging import judge  # with SciPy, a second, which a verdict without gates saves

    found = judge(workspace, verdict["challenger"], verdict["champion"])
    told = "; ".join([verdict["why"], *(_said(each) for each in found)])
    gated = {**verdict, "better": all(each.allows for each in found), "why": told}
    gated["gates"] = [each.to_dict() for each in found]
    ope = [dict(each.figures) for each in found if each.gate == "ope"]
    return {**gated, "ope": ope[0]} if ope else gated


def _said(finding: GateFinding) -> str:
    if finding.gate == "ope":
        return finding.sentence
    state = {"pass": "passed", "fail": "FAILED", "not_enough_data": "cannot tell"}[finding.state]
    return f"{finding.gate} {state}: {finding.sentence}"
