"""All gates that are declared, one after the other; the log is asked last, and only where nothing refuses before."""

from __future__ import annotations

from collections.abc import Iterator

from orita.models.package import load_package
from orita.pipelines.comparison import fresh_rows, meeting
from orita.pipelines.gates.finding import GateFinding, GateState
from orita.pipelines.gates.latency import latency_gate
from orita.pipelines.gates.safety import safety_gate
from orita.pipelines.gates.size import size_gate
from orita.pipelines.gates.slices import slices_gate
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion

__all__ = ["judge"]


def judge(workspace: Workspace, challenger: str, champion: str | None) -> list[GateFinding]:
    """Return what each declared gate says of *challenger*; without a champion nothing is compared with one.

    Raises:
        UserError: a gate cannot be asked: no row is fresh, a slice names no feature.
    """
    catalogue, system = workspace.catalogue(), workspace.system.name
    entry = catalogue.get(system, challenger)
    before = catalogue.get(system, champion) if champion is not None else None
    return list(_found(workspace, entry, before))


def _found(workspace: Workspace, entry: ModelVersion, champion: ModelVersion | None) -> Iterator[GateFinding]:
    gates, allows = workspace.model.blessing.gates, True
    if any((gates.safety, gates.size, gates.latency, gates.slices)):
        for finding in _offline(workspace, entry, champion):
            allows &= finding.allows
            yield finding
    if gates.ope is not None and champion is not None and allows:
        yield ope_finding(workspace, entry.version, champion.version)


def _offline(workspace: Workspace, entry: ModelVersion, champion: ModelVersion | None) -> Iterator[GateFinding]:
    gates, evaluation = workspace.model.blessing.gates, workspace.model.evaluation
    package = load_package(entry.package)
    met = meeting(workspace, entry, champion) if champion and (gates.safety or gates.slices) else None
    if gates.safety is not None:
        rows, scores_N = (met.rows, met.scores_N) if met else fresh_rows(workspace, entry, package)
        yield safety_gate(package, rows, scores_N, gates.safety)
    if gates.size is not None:
        yield size_gate(entry.package, champion.package if champion else None, gates.size)
    if gates.latency is not None:
        yield latency_gate(package, load_package(champion.package) if champion else None, gates.latency)
    if gates.slices is not None and met is not None:
        yield slices_gate(met, gates.slices, resamples=evaluation.resamples, seed=workspace.model.seed)


def ope_finding(workspace: Workspace, challenger: str, champion: str) -> GateFinding:
    """Return what the champion's own log says, as the other gates say it."""
    from orita.pipelines.ope_gate import ope_gate

    gate = workspace.model.blessing.gates.ope
    assert gate is not None, "asked of a gate that is not declared"
    found = ope_gate(workspace, challenger, champion, gate)
    passed, enough = bool(found["passed"]), bool(found["enough"])
    state: GateState = "not_enough_data" if not enough else "pass" if passed else "fail"
    return GateFinding("ope", state, str(found["why"]), passed, found)
