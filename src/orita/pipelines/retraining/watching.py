"""After a promotion: what became of a rollout, and whether the new version does worse than the one before it.

The new version is judged on what it answered since, the other on what it answered for as long before: each on rows that
it ranked itself, so that both are shown the best of their own candidates. Where the world changed in between both are
not the same world; the interval says nothing of that. A version is taken back only where the loss is sure.

Looks repeat: the k-th look may be wrong with a share of 1 ÷ k (k + 1) of the declared rate, which sums to the rate over
any number of looks (Bonferroni's inequality).
"""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from orita.control.deployments import Deployment, Deployments
from orita.core.errors import NotFound
from orita.events.lake import Lake
from orita.events.predictions import prediction_log
from orita.monitoring.feedback import Attribution, join_feedback
from orita.monitoring.quality import VersionQuality, version_quality
from orita.pipelines.answers import answers_to
from orita.pipelines.components.champion import taken_back
from orita.pipelines.graph import Result
from orita.pipelines.retraining.config import WatchSection
from orita.pipelines.retraining.record import Decision, Outcome, RetrainingRecord
from orita.pipelines.retraining.rolling_out import rollout_of
from orita.pipelines.retraining.telling import ROLLED_BACK, tell_over, tell_rolled_back, tell_stopped
from orita.pipelines.workspace import Workspace
from orita.stats.intervals import Interval

__all__ = ["end", "record_of", "watch_promoted"]

_COLUMNS = ("timestamp", "request_id", "item_id", "score", "model_version", "user_id")


def record_of(workspace: Workspace) -> RetrainingRecord:
    """Return the record of retraining of a workspace."""
    return RetrainingRecord(workspace.home.control, workspace.home.tenant, workspace.clock)


def watch_promoted(workspace: Workspace) -> Result | None:
    """Look at what the last trainings brought, and take back what surely degraded; None where nothing is watched.

    Returns:
        ``version``, ``outcome`` (``promoted`` while it is watched on), ``why`` and, where something was compared,
        ``evidence``.
    """
    decision = record_of(workspace).state(workspace.system.name).current
    if decision is not None and decision.outcome == "rollout":
        decision = _follow_rollout(workspace, decision)
    if decision is None or decision.outcome != "promoted" or decision.watch_until is None:
        return _told(decision) if decision is not None and decision.outcome != "open" else None
    return _looked(workspace, decision)


def _told(decision: Decision, **more: Any) -> Result:
    return {"version": decision.version, "outcome": decision.outcome, "why": decision.why, **more}


def _follow_rollout(workspace: Workspace, decision: Decision) -> Decision:
    """Note how the rollout of a decision ended, where it did."""
    rollout = rollout_of(workspace, decision.rollout or "")
    if rollout is None:
        return end(workspace, decision, "superseded", "its rollout ended long ago")
    if not rollout.ended:
        return decision
    told = {"rollout": rollout.id, "state": rollout.state}
    why = f"rollout {rollout.id}: {rollout.state.replace('_', ' ')}" + (f", {rollout.why}" if rollout.why else "")
    if rollout.state == "promoted":
        watch = workspace.model.retraining.watch
        workspace.catalogue().reconcile(workspace.system.name)
        return end(workspace, decision, "promoted", why, told, watch=timedelta(hours=watch.hours) if watch else None)
    return end(workspace, decision, "rolled_back" if rollout.state == "rolled_back" else "aborted", why, told)


def _looked(workspace: Workspace, decision: Decision) -> Result:
    watch, system, version = workspace.model.retraining.watch, workspace.system.name, str(decision.version)
    deployments = Deployments(workspace.home.control, workspace.home.tenant, workspace.clock)
    deployed, now = deployments.current(system), workspace.clock.now()
    if deployed is None or deployed.version != version:
        return _told(_replaced(workspace, decision, deployed))
    previous = deployments.previous(system)
    if watch is None or previous is None:
        why = "nothing is watched any more" if watch is None else "there is no version before it to compare with"
        return _told(end(workspace, decision, "confirmed", why))
    worse, why, evidence = _compared(workspace, watch, deployed, previous, decision.looks + 1)
    if worse:
        reason = f"{why}; {previous} serves again"
        workspace.catalogue().rollback(system, actor=workspace.actor, reason=f"worse than {previous}: {why}")
        ended = end(workspace, decision, "rolled_back", reason, evidence)
        tell_rolled_back(workspace, version, reason)
        return _told(ended, evidence=evidence)
    if decision.watch_until is not None and now >= decision.watch_until:
        return _told(end(workspace, decision, "confirmed", f"watched for {watch.hours:g} h; {why}", evidence))
    record_of(workspace).watched(system, decision.id, actor=workspace.actor, why=why, evidence=evidence)
    return _told(decision, evidence=evidence) | {"why": why}


def _replaced(workspace: Workspace, decision: Decision, deployed: Deployment | None) -> Decision:
    """Something else serves: the version was taken back, by a person or by a look that was killed, or another came."""
    there = f"{deployed.version} serves by {deployed.actor}: {deployed.reason}" if deployed else "nothing serves"
    if taken_back(workspace, str(decision.version)):
        return end(workspace, decision, "rolled_back", f"taken back, {there}")
    return end(workspace, decision, "superseded", there)


def end(
    workspace: Workspace,
    decision: Decision,
    outcome: Outcome,
    why: str,
    evidence: dict[str, Any] | None = None,
    **more: Any,
) -> Decision:
    """Record an outcome, and tell who has to know where that stops retraining, or is the end of an alert."""
    ended, stopped = record_of(workspace).end(
        workspace.system.name,
        decision.id,
        outcome,
        why,
        actor=workspace.actor,
        evidence=evidence,
        stop_after=workspace.model.retraining.stop_after_failures,
        **more,
    )
    if stopped is not None:
        tell_stopped(workspace, stopped.why)
    if outcome == "confirmed":
        tell_over(workspace, ROLLED_BACK)
    return ended


def _compared(
    workspace: Workspace, watch: WatchSection, promoted: Deployment, previous: str, look: int
) -> tuple[bool, str, dict[str, Any]]:
    """Return whether the promoted version surely lost too much, in words, and the figures."""
    now, hours = workspace.clock.now(), timedelta(hours=watch.hours)
    level = watch.false_alarm_rate / (look * (look + 1)) / len(watch.figures)
    spans = ((promoted.version, promoted.at, now), (previous, promoted.at - hours, promoted.at))
    after, before = (_quality(workspace, *span, level) for span in spans)
    evidence: dict[str, Any] = {
        "look": look,
        "level": level,
        "most_loss": watch.most_loss,
        "after": _plain(after),
        "before": _plain(before),
        "differences": {},
    }
    if after is None or before is None or not (_told_all(after) and _told_all(before)):
        lacking = promoted.version if after is None or not _told_all(after) else previous
        return False, f"not enough answers to {lacking} yet", evidence
    sentences, worse = [], False
    for figure in watch.figures:
        lost, limit, sentence = _lost(figure, after, before, watch.most_loss)
        evidence["differences"][figure] = [lost.value, lost.low, lost.high]
        worse |= lost.high < -limit
        sentences.append(sentence)
    return worse, "; ".join(sentences), evidence


def _told_all(quality: VersionQuality) -> bool:
    """Tell whether both figures have an interval."""
    found = (quality.auc, quality.ctr)
    return all(each is not None and math.isfinite(each.low) and math.isfinite(each.high) for each in found)


def _lost(figure: str, after: VersionQuality, before: VersionQuality, most: float) -> tuple[Interval, float, str]:
    """Return what the version has more than the one before, how much less is allowed, and both in words."""
    mine, theirs = (after.auc, before.auc) if figure == "auc" else (after.ctr, before.ctr)
    assert mine is not None and theirs is not None, "figures of versions that were not judged"
    difference = _difference(mine, theirs)
    limit = most if figure == "auc" else most * theirs.value
    name = "AUC" if figure == "auc" else "click rate"
    told = (
        f"{name} online {difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f}): {mine.value:.4f} of "
        f"{after.rows:,} answers to {after.model_version}, {theirs.value:.4f} of {before.rows:,} to "
        f"{before.model_version} before"
    )
    return difference, limit, told


def _difference(a: Interval, b: Interval) -> Interval:
    """Return a − b with the interval made of both (MOVER: Zou and Donner, 2008); the samples share no row."""
    value = a.value - b.value
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    return Interval(value, low, value + math.hypot(a.high - a.value, b.value - b.low))


def _quality(
    workspace: Workspace, version: str, start: datetime, until: datetime, level: float
) -> VersionQuality | None:
    """Return how good a version was online in a span of time, None where nothing of it was answered."""
    system, config = workspace.system.name, workspace.monitoring.performance_monitoring
    log = prediction_log(
        workspace.home,
        start=start,
        end=until,
        system=system,
        model_version=version,
        levels=(1,),  # what stood in for the model says nothing of it
        columns=_COLUMNS,
    )
    if not log.num_rows or not Lake(workspace.home).exists(workspace.system.source.name):
        return None
    joined = join_feedback(log, answers_to(workspace, log), Attribution.configured(config, workspace.clock.now()))
    mine_J = np.flatnonzero(joined.versions_J == version)
    at_level = config.model_copy(update={"false_alarm_rate": level})
    return version_quality(
        version,
        joined.clicks_J[mine_J],
        joined.scores_J[mine_J],
        joined.users_J[mine_J],
        at_level,
        test_auc=_test_auc(workspace, version),
    )


def _test_auc(workspace: Workspace, version: str) -> float | None:
    try:
        return workspace.catalogue().get(workspace.system.name, version).metrics.get("auc")
    except NotFound:
        return None


def _plain(quality: VersionQuality | None) -> dict[str, Any] | None:
    return None if quality is None else asdict(quality)
