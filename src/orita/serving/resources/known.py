"""A model as the server knows it: its card, where it stands, what is said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from orita.control.model_records import ModelRecord
from orita.models.metadata import ModelMetadata

__all__ = ["KnownModel", "ModelRegistry", "Stage", "created_at", "version_order"]

Stage = Literal["production", "available", "candidate", "retired"]
"""``production``: it is deployed. ``available``: it is in the package store. ``candidate``: it is registered and was
never promoted, so it is not in the package store. ``retired``: it is out of use, until somebody takes that back."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One model of one system.

    Attributes:
        system: whose it is.
        metadata: its card.
        stage: where it stands.
        record: what is said of it.
        deployed_at: since when it is deployed, None where it is not.
    """

    system: str
    metadata: ModelMetadata
    stage: Stage
    record: ModelRecord
    deployed_at: datetime | None

    @property
    def id(self) -> str:
        """The model's UUID."""
        return self.metadata.model_id

    @property
    def version(self) -> str:
        """``v1.2.3``."""
        return self.metadata.model_version

    @property
    def accuracy(self) -> float | None:
        """On the model's own test rows; None where it was not measured."""
        return self.metadata.metrics.get("accuracy")


class ModelRegistry(Protocol):
    """What a server asks of the registry, whose alias is the truth of what serves. Called from threads."""

    def candidates(self) -> Mapping[str, Path]:
        """Return the folders of the packages of all registered versions, by version."""
        ...

    def publish(self, version: str) -> None:
        """Put the package of *version* into the package store, as ``orita models publish`` does.

        The alias ``champion`` agrees with what is deployed from then on.

        Raises:
            UserError: it cannot be; the sentence says why.
            Unavailable: the registry does not answer.
        """
        ...

    def promote(self, version: str, *, reason: str) -> None:
        """Make *version* the champion, as ``orita models promote`` does.

        Raises:
            UserError: it cannot be; the sentence says why, and what serves goes on serving.
            Unavailable: the registry does not answer.
        """
        ...


def created_at(metadata: ModelMetadata) -> datetime:
    """Return when a model was trained, in UTC.

    Raises:
        ValueError: its card says no time.
    """
    found = datetime.fromisoformat(metadata.training_date)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def version_order(version: str) -> tuple[int, ...]:
    """Return what versions are ordered by: ``v1.10.0`` is later than ``v1.9.0``."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", version))
