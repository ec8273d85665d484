"""Registered versions: what each is, all of them in a few questions however many there are, and search among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orita.core.errors import NotFound, closest
from orita.core.extras import require
from orita.models.config import is_metric
from orita.registry.matching import Facts, matches, rank
from orita.registry.mlmodel import PACKAGE
from orita.registry.parsing import parse_query
from orita.registry.query import Order, Word
from orita.registry.run import Run
from orita.registry.searching import checked_limit, order_of, read_runs
from orita.registry.store import Store, local_path

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

__all__ = ["READY", "STANDINGS", "VERSION_WORDS", "ModelVersion", "Versions", "version_name"]

READY = "orita.ready"
STANDINGS = frozenset({"champion", "challenger"})
_TYPE, _FIRST, _PAGE = "orita.type", 1, 10_000
_NUMBERED = re.compile(rf"v{_FIRST}\.([0-9]{{1,9}})\.0|([0-9]{{1,9}})")  # a database holds no much larger number

VERSION_WORDS: Mapping[str, Word] = {
    "type": Word("attribute", "type"),
    "alias": Word("attribute", "alias", nullable=True),
    "version": Word("attribute", "version"),
    "number": Word("attribute", "number", "number"),
    "run_id": Word("attribute", "run_id"),
    "registered": Word("attribute", "registered", "moment"),
}


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered model.

    Attributes:
        system: whose model it is.
        version: ``v1.<number>.0``, see decision 0006.
        number: its number in the registry.
        type: ``two_tower``, ``lightgbm``, …
        aliases: ``champion`` and ``challenger`` where it is.
        metrics: test metrics by name.
        run_id: the MLflow run it came from.
        created_at: when it was registered, UTC.
        package: where its package is.
        tags: lineage (training set, lake versions, feature schema, code version).
    """

    system: str
    version: str
    number: int
    type: str
    aliases: tuple[str, ...]
    metrics: Mapping[str, float]
    run_id: str
    created_at: datetime
    package: Path
    tags: Mapping[str, str]

    @property
    def champion(self) -> bool:
        """Whether it is the one that serves."""
        return "champion" in self.aliases

    @property
    def stands(self) -> bool:
        """Whether it is champion or challenger; people may give a version other aliases beside."""
        return not STANDINGS.isdisjoint(self.aliases)


def version_name(number: int | str) -> str:
    """Return the version that the registry's *number* stands for."""
    return f"v{_FIRST}.{number}.0"


class Versions:
    """The registered versions of one home and tenant, read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self, system: str) -> list[ModelVersion]:
        """Return every version of *system*, the newest first."""
        return [entry for entry, _ in self._with_runs(system)]

    def search(self, system: str, text: str, order: str | None, limit: int) -> list[ModelVersion]:
        """Return the versions that the query *text* describes, in *order*, by default the newest first."""
        query = parse_query(text, VERSION_WORDS)
        ordered = Order("attribute", "number") if order is None else order_of(order, VERSION_WORDS)
        limit = checked_limit(limit)
        found = [(entry, _facts(entry, run)) for entry, run in self._with_runs(system)]
        kept = [(entry, facts) for entry, facts in found if matches(query, facts)]
        return [entry for entry, facts in sorted(kept, key=lambda pair: rank(ordered, pair[1]))][:limit]

    def get(self, system: str, version: str) -> ModelVersion:
        """Return the model that *version*, its number or an alias names.

        Raises:
            NotFound: there is none; the sentence says what exists.
        """
        found = self.find(system, version)
        if found is not None:
            return found
        entries = self.all(system)
        if not entries:
            raise NotFound(f"system {system!r} has no model yet: run 'orita train' first.")
        known = [
            *(entry.version for entry in entries),
            *(alias for entry in entries for alias in entry.aliases),
        ]
        raise NotFound(f"system {system!r} has no model {version!r}. {closest(version, known)}")

    def find(self, system: str, version: str) -> ModelVersion | None:
        """Return the model that *version*, its number or an alias names, or None; without reading the others."""
        if not (self._store.exists and version):
            return None
        mlflow = require("mlflow.exceptions", extra="train")
        client, name, numbered = self._store.client, self._store.name(system), _NUMBERED.fullmatch(version)
        try:
            if numbered:
                found = client.get_model_version(name, str(int(numbered[1] or numbered[2])))
            else:
                found = client.get_model_version_by_alias(name, version)
        except mlflow.MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None
        if not found.tags.get(READY):
            return None
        runs = read_runs(self._store, system, [found.run_id])
        return _entry(system, found, self._aliases(name), runs.get(found.run_id))

    def _with_runs(self, system: str) -> list[tuple[ModelVersion, Run | None]]:
        if not self._store.exists:
            return []
        name = self._store.name(system)
        found: list[MlflowVersion] = []
        page, token = None, None
        while page is None or token:
            page = self._store.client.search_model_versions(f"name = '{name}'", max_results=_PAGE, page_token=token)
            found, token = [*found, *page], page.token
        ready = sorted((v for v in found if v.tags.get(READY)), key=lambda v: -int(v.version))
        if not ready:
            return []
        aliases, runs = self._aliases(name), read_runs(self._store, system, [version.run_id for version in ready])
        return [(_entry(system, v, aliases, runs.get(v.run_id)), runs.get(v.run_id)) for v in ready]

    def _aliases(self, name: str) -> dict[str, list[str]]:
        by_version: dict[str, list[str]] = {}
        for alias, version in self._store.client.get_registered_model(name).aliases.items():
            by_version.setdefault(str(version), []).append(alias)
        return by_version


def _entry(system: str, version: MlflowVersion, aliases: Mapping[str, list[str]], run: Run | None) -> ModelVersion:
    source = local_path(version.source)
    return ModelVersion(
        system=system,
        version=version_name(version.version),
        number=int(version.version),
        type=version.tags.get(_TYPE, ""),
        aliases=tuple(sorted(aliases.get(str(version.version), []))),
        metrics={name: value for name, value in run.metrics.items() if is_metric(name)} if run else {},
        run_id=version.run_id,
        created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        package=source if source.name == PACKAGE else source / PACKAGE,  # older ones name the package itself
        tags=dict(version.tags),
    )


def _facts(entry: ModelVersion, run: Run | None) -> Facts:
    """Return what a query may ask of a version: metrics and params of its run, tags of its own."""
    return Facts(
        metrics=run.metrics if run else {},
        params=run.params if run else {},
        tags=entry.tags,
        attributes={
            "type": entry.type,
            "alias": entry.aliases,
            "version": entry.version,
            "number": float(entry.number),
            "run_id": entry.run_id,
            "registered": entry.created_at.timestamp() * 1000,
        },
    )
