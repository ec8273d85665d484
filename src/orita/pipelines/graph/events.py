"""What is told of runs: CloudEvents 1.0 (https://github.com/cloudevents/spec), JSON form.

| type | when |
|---|---|
| ``pipeline.run.started`` | a run begins, or is gone on with |
| ``pipeline.task.completed``, ``pipeline.task.failed`` | a task ended; a failed one will not be tried again |
| ``pipeline.run.completed``, ``pipeline.run.failed``, ``pipeline.run.cancelled`` | a run ended |
| ``model.training.completed``, ``model.promotion.completed``, ``data.drift.detected`` | told by tasks of the graphs |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orita.core.errors import UserError
from orita.core.ids import uuid7
from orita.pipelines.workspace import Workspace

__all__ = ["CloudEvent", "happened"]


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event.

    Attributes:
        type: what happened, such as ``model.training.completed``.
        source: where: ``/orita/<tenant>/<system>/<graph>``.
        subject: the run, or ``<run>/<task>``.
        data: plain JSON.
        time: UTC, ISO 8601.
        id: unique; whoever is handed an event twice knows it by this.
    """

    type: str
    source: str
    subject: str
    data: Mapping[str, Any]
    time: str
    id: str = field(default_factory=uuid7)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": self.time,
            "subject": self.subject,
            "datacontenttype": "application/json",
            "data": dict(self.data),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CloudEvent:
        """Return the event of the JSON form, or of the plain form with ``event_type``, ``event_id``, ``timestamp``.

        Raises:
            UserError: a required attribute is missing, or the version is not 1.0.
        """
        if content.get("specversion", "1.0") != "1.0":
            raise UserError(f"specversion is {content['specversion']!r}: only CloudEvents 1.0 are read.")
        plain = {"type": "event_type", "id": "event_id", "time": "timestamp"}
        found = {name: content.get(name, content.get(plain.get(name, name))) for name in ("type", "id", "source")}
        missing = [name for name, value in found.items() if not value]
        if missing:
            raise UserError(f"the event has no {missing[0]!r}: CloudEvents 1.0 require id, source, type.")
        time = content.get("time", content.get("timestamp", ""))
        return cls(**found, subject=content.get("subject", ""), data=content.get("data") or {}, time=time)


def happened(workspace: Workspace, graph: str, subject: str, type_: str, data: Mapping[str, Any]) -> CloudEvent:
    """Return the event of *type_* that happens now in a run of *graph*."""
    source = f"/orita/{workspace.home.tenant}/{workspace.system.name}/{graph}"
    at = workspace.clock.now().isoformat().replace("+00:00", "Z")
    return CloudEvent(type_, source, subject, data, at, uuid7(workspace.clock))
