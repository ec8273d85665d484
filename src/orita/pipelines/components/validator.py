"""The component that compares training rows with what is expected of them (TFX's ExampleValidator)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orita.core.errors import UserError
from orita.pipelines.components.anomalies import SEVERITIES, Anomaly, against_earlier, between_parts, untrainable
from orita.pipelines.components.artifact import Artifact, Made, digest_of
from orita.pipelines.components.champion import champion_version
from orita.pipelines.components.component import Call
from orita.pipelines.components.statistics import read_statistics
from orita.pipelines.references import kept_schema
from orita.pipelines.workspace import Workspace
from orita.registry.expectations import read_expectations

__all__ = ["Validator", "read_anomalies"]


class Validator:
    """Looks for anomalies between the parts, and against the rows that the champion was trained on."""

    name = "validator"
    version = 1
    inputs: Mapping[str, str] = {"statistics": "Statistics", "schema": "Schema"}
    outputs: Mapping[str, str] = {"anomalies": "Anomalies"}

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return the limits; another champion makes what was found before `lost`."""
        return workspace.data.expectations.model_dump(mode="json")

    def run(self, call: Call) -> Mapping[str, Made]:
        """Compare, and write JSON.

        Raises:
            UserError: what was found is so severe that the configuration says to stop.
        """
        limits = call.workspace.data.expectations
        parts = read_statistics(call.path("statistics"))
        now = read_expectations(call.path("schema"))
        found = [*untrainable(parts), *between_parts(parts, now, limits)]
        champion = _champion(call.workspace)
        if champion is not None:
            before = read_expectations(kept_schema(call.workspace, champion))
            found += against_earlier(now, before, f"champion {champion}", limits)
        found.sort(key=lambda anomaly: SEVERITIES.index(anomaly.severity))
        _stop(found, limits.stop_on)
        file = call.folder / "anomalies.json"
        file.write_text(json.dumps([each.to_dict() for each in found], indent=1), encoding="utf-8")
        counts: dict[str, Any] = {severity: sum(each.severity == severity for each in found) for severity in SEVERITIES}
        compared = {"schema": _content(call.path("schema")), "champion": champion, "against": _against(call.workspace)}
        return {"anomalies": Made(file, facts={**counts, **compared})}

    def lost(self, workspace: Workspace, outputs: Mapping[str, Artifact]) -> str | None:
        """Return that another champion was trained on rows of another schema, which these were not compared with."""
        facts, against = outputs["anomalies"].facts, _against(workspace)
        # A champion that was trained on these very rows expects what they have.
        if against in (None, facts["against"], facts["schema"]):
            return None
        return f"the champion is {_champion(workspace)}, whose training rows had another schema"


def read_anomalies(file: Path) -> list[Anomaly]:
    """Return the anomalies in *file*."""
    return [Anomaly(**each) for each in json.loads(file.read_text(encoding="utf-8"))]


def _champion(workspace: Workspace) -> str | None:
    version = champion_version(workspace)
    return version if version and kept_schema(workspace, version).exists() else None


def _against(workspace: Workspace) -> str | None:
    """Return a digest of the schema that the champion's rows had, None where it is not known."""
    version = _champion(workspace)
    return _content(kept_schema(workspace, version)) if version else None


def _content(file: Path) -> str:
    return digest_of(file.read_text(encoding="utf-8"))


def _stop(found: Sequence[Anomaly], stop_on: str) -> None:
    stopping = {"error": ("error",), "warning": ("error", "warning"), "never": ()}[stop_on]
    severe = [anomaly for anomaly in found if anomaly.severity in stopping]
    if severe:
        told = "; ".join(f"{each.column or 'rows'} ({each.where}): {each.sentence.rstrip('.')}" for each in severe[:5])
        more = f"; and {len(severe) - 5} more" if len(severe) > 5 else ""
        raise UserError(
            f"the training rows are not trained on (expectations.stop_on is {stop_on!r}): {told}{more}. Mend the data, "
            "or set expectations.stop_on to a milder value."
        )
