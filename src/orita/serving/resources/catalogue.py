"""Which models there are: the packages in the package store, and beside them what the registry has besides.

It reads files and control state, so it is called from threads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import structlog

from orita.control.deployments import Deployment, Deployments
from orita.control.model_records import UNTOLD, ModelRecord, ModelRecords
from orita.core.clock import Clock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.models.metadata import ModelMetadata
from orita.models.package.files import METADATA_FILE
from orita.serving.http.refusal import Refused
from orita.serving.resources.known import KnownModel, ModelRegistry, Stage, created_at, version_order

__all__ = ["ModelCatalogue"]

_log = structlog.stdlib.get_logger("orita.serving")


class ModelCatalogue:
    """The models of one system.

    Args:
        home: where packages and control state are.
        system: whose models.
        clock: the time.
        registry: what else is registered; None: only the package store is looked at.

    Attributes:
        records: what is said of models.
    """

    def __init__(self, home: Home, system: str, clock: Clock, registry: ModelRegistry | None) -> None:
        self.system = system
        self.records = ModelRecords(home.control, home.tenant, clock)
        self._deployments = Deployments(home.control, home.tenant, clock)
        self._folder = home.packages / system
        self._registry = registry
        self._cards: dict[Path, tuple[int, ModelMetadata | None]] = {}

    def all(self) -> list[KnownModel]:
        """Return every model, the newest version first; one whose card cannot be read is left out, and logged once."""
        published = {folder.name: folder for folder in self._packages()}
        candidates = dict(self._registry.candidates()) if self._registry else {}
        history, records = self._deployments.history(self.system), self.records.of(self.system)
        found = []
        for version, folder in (candidates | published).items():
            card = self._card(folder)
            if card is not None:
                record = records.get(version, UNTOLD)
                found.append(_known(self.system, card, record, history, published=version in published))
        return sorted(found, key=lambda model: version_order(model.version), reverse=True)

    def get(self, model_id: str) -> KnownModel:
        """Return the model of that id; of several with one id, which are one model, the deployed or the newest.

        Raises:
            Refused: 404, there is none.
        """
        found = [model for model in self.all() if model.id == model_id]
        if not found:
            where = "GET /api/v1/models lists those of this server"
            raise Refused(404, "model_not_found", f"there is no model {model_id[:80]!r}: {where}.")
        return next((model for model in found if model.stage == "production"), found[0])

    def _packages(self) -> Iterable[Path]:
        if not self._folder.is_dir():
            return ()
        return (folder for folder in self._folder.iterdir() if (folder / METADATA_FILE).is_file())

    def _card(self, folder: Path) -> ModelMetadata | None:
        """Return the card in *folder*, read once as long as it does not change."""
        try:
            written = (folder / METADATA_FILE).stat().st_mtime_ns
        except OSError:  # a registered version whose package was deleted
            return None
        known = self._cards.get(folder)
        if known is None or known[0] != written:
            known = self._cards[folder] = (written, _read_card(folder))
        return known[1]


def _read_card(folder: Path) -> ModelMetadata | None:
    try:
        card = ModelMetadata.from_dict(json.loads((folder / METADATA_FILE).read_bytes()))
        created_at(card)
    except (OSError, ValueError, TypeError, KeyError, UserError) as error:
        _log.warning("model_card_not_read", folder=str(folder), error=str(error))
        return None
    return card


def _known(
    system: str, card: ModelMetadata, record: ModelRecord, history: list[Deployment], *, published: bool
) -> KnownModel:
    """Return a model with its stage: a deployment is stronger than an earlier retirement."""
    last = next((event for event in reversed(history) if event.version == card.model_version), None)
    deployed_at = last.at if last is not None and last is history[-1] else None
    stage: Stage = "available" if published else "candidate"
    if deployed_at is not None:
        stage = "production"
    elif record.retired_at is not None and (last is None or record.retired_at >= last.at):
        stage = "retired"
    return KnownModel(system, card, stage, record, deployed_at)
