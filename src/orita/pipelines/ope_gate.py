"""A gate before promotion: what the champion's own prediction log says of the challenger, with its evidence kept."""

from __future__ import annotations

import json
import math
from datetime import timedelta

from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.delivery.ope.estimate import Estimate
from orita.delivery.ope.evaluate_log import LogEvaluation, evaluate_log
from orita.delivery.ope.log_policies import ByModel
from orita.delivery.ope.log_rewards import LogWindow
from orita.delivery.ope.page import write_evaluation_page
from orita.models.package import Package, load_package
from orita.pipelines.graph import Result
from orita.pipelines.ope_gate_config import OpeGate
from orita.pipelines.workspace import Workspace

__all__ = ["ope_gate"]


def ope_gate(workspace: Workspace, challenger: str, champion: str, gate: OpeGate) -> Result:
    """Return whether the log lets *challenger* pass, as ``passed``, ``why``, ``enough`` and where the ``evidence`` is.

    A log that cannot be read for this (nothing answered, events without request ids) is one that cannot tell.
    """
    try:
        found = _evaluated(workspace, challenger, champion, gate)
    except UserError as error:
        return {"passed": gate.not_enough == "allow", "enough": False, "why": f"the log cannot tell: {error}"}
    evidence = _kept(workspace, found)
    passed, why = _judged(found, gate)
    return {"passed": passed, "enough": found.verdict.enough, "why": why, "evidence": evidence}


def _evaluated(workspace: Workspace, challenger: str, champion: str, gate: OpeGate) -> LogEvaluation:
    system, catalogue = workspace.system, workspace.catalogue()

    def load(version: str) -> Package:
        return load_package(catalogue.get(system.name, version).package)

    memory = workspace.data.validation.memory_mb
    return evaluate_log(
        workspace.home,
        system,
        ByModel(workspace.home, system, challenger, champion, load=load, memory_mb=memory),
        LogWindow(
            champion,
            gate.reward,
            timedelta(minutes=gate.within_minutes),
            start=workspace.clock.now() - timedelta(days=gate.days),
        ),
        clock=workspace.clock,
        confidence=gate.confidence,
        memory_mb=memory,
        progress=workspace.progress,
    )


def _judged(found: LogEvaluation, gate: OpeGate) -> tuple[bool, str]:
    if not found.verdict.enough:
        allowed = " (blessing.gates.ope.not_enough allows it)" if gate.not_enough == "allow" else ""
        return gate.not_enough == "allow", f"the log cannot tell{allowed}: {found.verdict.reasons[0]}"
    gain = found.gain(gate.estimator)
    if gain is None or found.found is None:
        return gate.not_enough == "allow", f"the log cannot tell: {gate.estimator} needs more users than there are"
    logged = found.found.evaluation.logged.value
    low, high = _ends(gain)
    least = gate.least_gain * logged
    told = (
        f"{gate.reward} a page {gain.value:+.4f} ({low:+.4f} to {high:+.4f}) by {gate.estimator} on {gain.rows:,} pages"
    )
    if low >= least:
        return True, f"the log says {told}"
    return False, f"the log says {told}, at least {least:+.4f} must be sure"


def _ends(gain: Estimate) -> tuple[float, float]:
    """Return the interval; a gain that does not vary is what it is."""
    return (gain.low, gain.high) if math.isfinite(gain.low) else (gain.value, gain.value)


def _kept(workspace: Workspace, found: LogEvaluation) -> str:
    """Write what was found beside other reports, as JSON and as a page; return the path of the first."""
    folder = workspace.home.reports / "ope"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{found.system}-{found.candidate}-{workspace.clock.now():%Y%m%dT%H%M%SZ}"
    path = folder / f"{name}.json"
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(found.to_dict(), allow_nan=False, indent=1), encoding="utf-8")
    evaluation = found.found.evaluation if found.found else None
    title = f"{found.candidate} on the log of {found.system}"
    write_evaluation_page(folder / f"{name}.html", title, found.verdict, evaluation, notes=found.notes())
    return str(path)
