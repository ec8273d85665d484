"""automated_retraining: when a trigger asks for it, train on fresh data and promote only what is surely better.

Every run makes one decision, which is recorded before anything is done (`orita.pipelines.retraining.record`), and one
outcome. A task that is carried out again after a kill goes on with the decision that it made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from orita.control.deployments import Deployments
from orita.core.errors import UserError
from orita.core.ids import uuid7
from orita.events.lake import Lake
from orita.features.training_sets.training_set import latest_training_set
from orita.models.package import load_package
from orita.pipelines.comparison import refuse_other_features
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import Graph, Result, Task, run_graph
from orita.pipelines.occurrences import model_promoted
from orita.pipelines.promotion import compare_with_production, promote_if_better
from orita.pipelines.retraining.conditions import conditions_now
from orita.pipelines.retraining.holding import bounds_now, holds_now
from orita.pipelines.retraining.led_elsewhere import led_elsewhere
from orita.pipelines.retraining.record import Decision, RetrainingState
from orita.pipelines.retraining.rolling_out import begin_rollout
from orita.pipelines.retraining.watching import end, record_of, watch_promoted
from orita.pipelines.training import training_graph
from orita.pipelines.workspace import Workspace

__all__ = ["retraining_graph"]

Body = Callable[[Workspace, Mapping[str, Result]], Result]


def retraining_graph(*, force: bool = False, done_by: str | None = None) -> Graph:
    """Return the graph.

    Args:
        force: retrain whatever the triggers say.
        done_by: the run of ETL or training that another scheduler led for the one task that is asked for: the task
            takes over its result and runs nothing.
    """

    def check(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        return check_trigger_conditions(workspace, results, force=force)

    etl: Body = trigger_etl if done_by is None else partial(trigger_etl, done_by=done_by)
    training: Body = trigger_training if done_by is None else partial(trigger_training, done_by=done_by)
    return Graph(
        "automated_retraining",
        "0 0 * * 0",
        (
            Task("check_trigger_conditions", check),
            Task("fetch_recent_data", _counted(fetch_recent_data)),
            Task("trigger_etl_dag", _counted(etl)),
            Task("trigger_training_dag", _counted(training)),
            Task("evaluate_new_model", _counted(evaluate_new_model)),
            Task("compare_with_production", _counted(compare_with_production)),
            Task("promote_if_better", _counted(promote), tells=model_promoted),
        ),
        alone=True,
        subject="forced" if force else "",
    )


def check_trigger_conditions(workspace: Workspace, results: Mapping[str, Result], *, force: bool) -> Result:
    """Decide from the declared conditions whether a new model is due, and record the decision with its evidence.

    Raises:
        UserError: it is asked for by hand while retraining is stopped or its budget is spent; or the champion reads
            what cannot be computed any more.
    """
    champion = workspace.catalogue().champion(workspace.system.name)
    package = load_package(champion.package) if champion else None
    if champion and package:
        refuse_other_features(workspace, champion.version, package.schema)
    record, system = record_of(workspace), workspace.system.name
    command = workspace.attempt.token if workspace.attempt else None
    state = _settled(workspace, command)
    found = conditions_now(workspace, champion, package, state.decisions[0] if state.decisions else None)
    asking = tuple(condition.sentence for condition in found if condition.state == "holds")
    bounds = tuple(bounds_now(workspace, state))
    if force and bounds:
        raise UserError(" ".join(bounds))
    holds = bounds if force else (*bounds, *holds_now(workspace, state))
    reasons = ("asked for with --force", *asking) if force else asking
    retrain = bool(reasons) and not holds
    decision = record.decide(
        system,
        Decision(
            id=uuid7(workspace.clock),
            at=workspace.clock.now(),
            retrain=retrain,
            forced=force,
            reasons=reasons,
            held=holds if reasons else (),
            champion=champion.version if champion else None,
            outcome="open" if retrain else "held" if reasons else "not_due",
        ),
        evidence={"conditions": [condition.to_dict() for condition in found]},
        actor=workspace.actor,
        command=command,
    )
    told = {"decision": decision.id, "retrain": decision.retrain, "reasons": list(decision.reasons)}
    return {**told, "held": list(decision.held), "champion": decision.champion}


def _settled(workspace: Workspace, command: str | None) -> RetrainingState:
    """Note what became of earlier decisions: of a rollout, of a promotion, and of a run that was killed for good."""
    record, system = record_of(workspace), workspace.system.name
    watch_promoted(workspace)
    state = record.state(system)
    for open_ in (each for each in state.decisions if each.outcome == "open"):
        if command is None or not _decided_by(workspace, open_, command):
            _given_up(workspace, open_)
    return record.state(system)


def _decided_by(workspace: Workspace, decision: Decision, command: str) -> bool:
    events = record_of(workspace).history(workspace.system.name)
    return any(e.command == command and decision.id in e.body for e in events)


def _given_up(workspace: Workspace, decision: Decision) -> None:
    """Note the end of a run that was killed and that nobody went on with; what it had promoted counts."""
    if decision.version is not None and _deployed_since(workspace, decision):
        end(workspace, decision, "promoted", "promoted; the run was killed afterwards", watch=_watch(workspace))
    else:
        end(workspace, decision, "failed", "the run was killed, and nobody went on with it")


def _counted(body: Body) -> Body:
    """Return a task's body whose failure is noted as the outcome of the decision."""

    def counted(workspace: Workspace, results: Mapping[str, Result]) -> Result:
        with _failure_noted(workspace, results):
            return body(workspace, results)

    return counted


@contextmanager
def _failure_noted(workspace: Workspace, results: Mapping[str, Result]) -> Any:
    began = workspace.clock.monotonic()
    try:
        yield
    except Exception as error:
        decision = _decision(workspace, results)
        if decision is not None and decision.retrain:
            why = " ".join((str(error) or type(error).__name__).split())[:1000]
            task = workspace.attempt.task if workspace.attempt else ""
            seconds = workspace.clock.monotonic() - began
            end(workspace, decision, "failed", f"{task}: {why}" if task else why, seconds=seconds)
        raise


def _decision(workspace: Workspace, results: Mapping[str, Result]) -> Decision | None:
    """Return the decision of this run; None in a run of before there were any."""
    id_ = results["check_trigger_conditions"].get("decision")
    return record_of(workspace).state(workspace.system.name).find(id_) if id_ else None


def fetch_recent_data(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Say how much there is to learn from."""
    decided = results["check_trigger_conditions"]
    if not decided["retrain"]:
        return {"skipped": " ".join(decided.get("held", ())) or "no trigger asks for a new model"}
    lake = Lake(workspace.home)
    if not lake.exists(workspace.system.source.name):
        raise UserError("there are no events to learn from: run 'orita ingest FILE', or 'orita run all'.")
    snapshot = lake.snapshot(workspace.system.source.name)
    return {"table": snapshot.name, "version": snapshot.version, "rows": snapshot.rows}


def trigger_etl(workspace: Workspace, results: Mapping[str, Result], *, done_by: str | None = None) -> Result:
    """Compute features of everything in the lake; nothing is generated or ingested here."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    began = workspace.clock.monotonic()
    graph = etl_graph(workspace)
    graph = replace(graph, tasks=graph.tasks[2:])
    run, results_of, cached = _carried_out(workspace, "trigger_etl_dag", graph, done_by)
    training_set, seconds = results_of["save_features"]["training_set"], workspace.clock.monotonic() - began
    return {"run": run, "training_set": training_set, "cached": cached, "seconds": seconds}


def trigger_training(workspace: Workspace, results: Mapping[str, Result], *, done_by: str | None = None) -> Result:
    """Train on the fresh training set and register the best model."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    began = workspace.clock.monotonic()
    run, results_of, cached = _carried_out(workspace, "trigger_training_dag", training_graph(), done_by)
    version = results_of["register_model"]["version"]
    seconds = workspace.clock.monotonic() - began + results["trigger_etl_dag"].get("seconds", 0.0)
    decision = _decision(workspace, results)
    if decision is not None:
        system = workspace.system.name
        learned = latest_training_set(workspace.home.training_sets, system).splits["test"].end
        record_of(workspace).trained(
            system, decision.id, version, seconds=seconds, data_to=learned, actor=workspace.actor
        )
    return {"run": run, "version": version, "cached": cached, "seconds": seconds}


def _carried_out(
    workspace: Workspace, task: str, graph: Graph, done_by: str | None
) -> tuple[str, Mapping[str, Result], bool]:
    """Run *graph*, or take over the run that *done_by* names; return its id, its results, whether it was cached."""
    if done_by is not None:
        return done_by, *led_elsewhere(workspace, task, done_by)
    report = run_graph(graph, workspace)
    return report.run_id, report.results, report.cached


def evaluate_new_model(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Return the new model's test metrics."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    entry = workspace.catalogue().get(workspace.system.name, results["trigger_training_dag"]["version"])
    return {"version": entry.version, "type": entry.type, "metrics": dict(entry.metrics)}


def promote(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Promote the challenger if it is blessed, or begin the declared rollout of it; record what was done."""
    if "skipped" in results["fetch_recent_data"]:
        return results["fetch_recent_data"]
    decision, verdict = _decision(workspace, results), results["compare_with_production"]
    if decision is None:
        return promote_if_better(workspace, results)
    if not verdict["better"]:
        refused = any(not gate["allows"] for gate in verdict.get("gates", ()))
        end(workspace, decision, "refused" if refused else "kept", verdict["why"], _evidence(verdict))
        return promote_if_better(workspace, results) | {"decision": decision.id}
    if workspace.model.retraining.rollout is not None and verdict["champion"]:
        return _rolled_out(workspace, decision, verdict)
    if _deployed_since(workspace, decision):  # by this task, before it was killed; nobody is promoted twice
        told = {"promoted": True, "champion": verdict["challenger"], "why": verdict["why"]}
    else:
        told = promote_if_better(workspace, results)
    watch = _watch(workspace) if verdict["champion"] else None
    end(workspace, decision, "promoted", verdict["why"], _evidence(verdict), watch=watch)
    return {**told, "decision": decision.id}


def _rolled_out(workspace: Workspace, decision: Decision, verdict: Result) -> Result:
    version, champion = verdict["challenger"], verdict["champion"]
    rollout = begin_rollout(workspace, version, decision.id, f"better than {champion}: {verdict['why']}")
    end(workspace, decision, "rollout", verdict["why"], _evidence(verdict), rollout=rollout.id)
    told = {"promoted": False, "champion": champion, "rollout": rollout.id, "strategy": rollout.plan.strategy}
    why = f"{version} is tried: 'orita rollout status' tells how it stands; {verdict['why']}"
    gates: Result = {name: verdict[name] for name in ("gates", "ope") if name in verdict}
    return {**told, "why": why, "decision": decision.id, **gates}


def _deployed_since(workspace: Workspace, decision: Decision) -> bool:
    """Tell whether the version of a decision was deployed after it, whatever came then."""
    deployments = Deployments(workspace.home.control, workspace.home.tenant, workspace.clock)
    history = deployments.history(workspace.system.name)
    return any(each.version == decision.version and each.at >= decision.at for each in history)


def _watch(workspace: Workspace) -> timedelta | None:
    watch = workspace.model.retraining.watch
    return timedelta(hours=watch.hours) if watch else None


def _evidence(verdict: Result) -> dict[str, Any]:
    return {name: value for name, value in verdict.items() if name != "steps"}
