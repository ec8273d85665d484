"""What people say of models: descriptions, tags, and which ones are retired.

A package never changes, so what is said of it later is kept here. The last event that speaks of a version holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from orita.control.aggregates import Change, Keeper, Kind
from orita.control.events import ControlEvent
from orita.core.clock import from_micros, to_micros

__all__ = ["MODELS", "UNTOLD", "ModelRecord", "ModelRecords", "ModelsState"]


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """What is said of one version.

    Attributes:
        description: what it is, in words.
        tags: texts by name.
        retired_at: since when it is out of use, None where it is not.
    """

    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    retired_at: datetime | None = None


UNTOLD = ModelRecord()
"""Of a version that nobody has said anything of."""


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an event: all that is said of a version from then on."""

    version: str
    description: str
    tags: dict[str, str]
    retired_micros: int | None


class ModelsState(msgspec.Struct, frozen=True):
    """What is said of the models of a system, by version."""

    told: dict[str, Told]


def _evolve(state: ModelsState | None, event: ControlEvent, body: Any) -> ModelsState:
    told = msgspec.convert(body, Told)
    return ModelsState({**(state.told if state is not None else {}), told.version: told})


MODELS = Kind("models", ModelsState, ("told",), _evolve)


class ModelRecords(Keeper[ModelsState]):
    """What is said of the models of one tenant's systems; opened as every `Keeper` is."""

    kind = MODELS

    def of(self, system: str) -> dict[str, ModelRecord]:
        """Return what is said of the versions of *system*; a version that nobody spoke of is not there."""
        held = self._of.get(system)
        return {} if held is None else {version: _record(told) for version, told in held.state.told.items()}

    def describe(
        self, system: str, version: str, *, description: str, tags: Mapping[str, str], actor: str
    ) -> ModelRecord:
        """Replace the description and the tags of a version; return its record."""
        with self._of.changing(system) as change:
            before = _before(change, version)
            return _tell(change, version, ModelRecord(description, dict(tags), before.retired_at), actor)

    def retire(self, system: str, version: str, *, actor: str) -> ModelRecord:
        """Say that a version is out of use; return its record. One that is already stays as it is."""
        with self._of.changing(system) as change:
            before = _before(change, version)
            if before.retired_at is not None:
                return before
            return _tell(change, version, ModelRecord(before.description, before.tags, change.at), actor)

    def restore(self, system: str, version: str, *, actor: str) -> ModelRecord:
        """Say that a retired version may be used again; return its record."""
        with self._of.changing(system) as change:
            before = _before(change, version)
            if before.retired_at is None:
                return before
            return _tell(change, version, ModelRecord(before.description, before.tags), actor)


def _before(change: Change[ModelsState], version: str) -> ModelRecord:
    told = change.state.told.get(version) if change.state is not None else None
    return UNTOLD if told is None else _record(told)


def _tell(change: Change[ModelsState], version: str, record: ModelRecord, actor: str) -> ModelRecord:
    retired = None if record.retired_at is None else to_micros(record.retired_at)
    told = Told(version, record.description, dict(sorted(record.tags.items())), retired)
    change.record("told", told, actor=actor, reason="")
    return record


def _record(told: Told) -> ModelRecord:
    retired = None if told.retired_micros is None else from_micros(told.retired_micros)
    return ModelRecord(told.description, told.tags, retired)
