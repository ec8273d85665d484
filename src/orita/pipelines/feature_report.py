"""What there is to know of each feature: declaration, versions, freshness, fill rate, cost, and who reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orita.control.deployments import Deployments
from orita.core.errors import MissingExtra, NotFound, closest
from orita.features.declarations import Expression
from orita.features.declaring.lineage import Lineage, lineage_of
from orita.features.declaring.notes import Notes
from orita.features.generations.generation import Generation
from orita.features.registry.costs import Cost, feature_costs
from orita.features.registry.registry import FeatureRegistry, FeatureVersion
from orita.features.registry.words import in_words
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.features.stores.store import OnlineStore
from orita.features.training_sets.training_set import TrainingSet, training_sets
from orita.models.package import package_schema
from orita.pipelines.workspace import Workspace

__all__ = [
    "FeatureFacts",
    "ModelReading",
    "facts_of",
    "feature_facts",
    "published_models",
    "published_store",
    "registered_models",
]


@dataclass(frozen=True, slots=True)
class ModelReading:
    """A model and what it reads.

    Attributes:
        version: such as ``v1.2.0``.
        aliases: ``champion``, ``challenger`` where it is.
        training_set: what it was trained on, empty where nothing says.
        schema: the features that it reads.
    """

    version: str
    aliases: tuple[str, ...]
    training_set: str
    schema: FeatureSchema

    def reads(self, columns: Iterable[FeatureColumn]) -> bool:
        """Tell whether it reads one of *columns*, with this meaning."""
        read = {(column.name, column.meaning) for column in self.schema.columns}
        return any((column.name, column.meaning) in read for column in columns)


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """A declared feature.

    Attributes:
        name: as it is declared.
        expression: what it is.
        columns: what it is in a matrix.
        notes: what is said of it.
        versions: those that the registry knows, the newest last.
        recorded: whether the newest of them is the declaration as it is now.
        filled: share of the latest training set's rows that have a value; None where that set lacks it.
        cost: bytes of state a key.
        training_sets: ids of those that hold it as it is declared now, the newest first.
        models: versions of those that read it as it is declared now, the newest first.
    """

    name: str
    expression: Expression
    columns: tuple[FeatureColumn, ...]
    notes: Notes
    versions: tuple[FeatureVersion, ...]
    recorded: bool
    filled: float | None
    cost: Cost
    training_sets: tuple[str, ...]
    models: tuple[ModelReading, ...]

    @property
    def version(self) -> int:
        """The number of the declaration as it is now: the newest recorded, or the one that will be."""
        return len(self.versions) if self.recorded else len(self.versions) + 1

    @property
    def lineage(self) -> Lineage:
        """Where its values come from."""
        return lineage_of(self.expression)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.name,
            "declared": in_words(self.expression),
            "side": self.columns[0].side,
            "kind": self.columns[0].kind,
            "columns": [{"name": c.name, "kind": c.kind, "type": c.arrow} for c in self.columns],
            "version": self.version,
            "meaning": self.columns[0].meaning,
            "recorded": self.recorded,
            "versions": [{"number": v.number, "meaning": v.meaning, "since": v.since} for v in self.versions],
            "description": self.notes.description,
            "owner": self.notes.owner,
            "fresh_seconds": self.notes.fresh / 1e6 if self.notes.fresh else None,
            "filled": self.filled,
            "cost": {
                "allowed": self.notes.most_bytes or None,
                "slots": self.cost.slots,
                "past": self.cost.past,
                "largest": self.cost.largest,
                "keys": self.cost.keys,
            },
            "training_sets": list(self.training_sets),
            "models": [model.version for model in self.models],
        }


def feature_facts(workspace: Workspace, models: Sequence[ModelReading] | None = None) -> tuple[FeatureFacts, ...]:
    """Return what is known of every declared feature, in the order of declaration.

    Args:
        workspace: whose features.
        models: which may read them, by default those that were published to serve.
    """
    system = workspace.system
    registered = {each.name: each for each in FeatureRegistry.of(workspace.home, system.name).features()}
    sets = training_sets(workspace.home.training_sets, system.name)
    models = published_models(workspace) if models is None else models
    with published_store(workspace) as (_, store):
        costs = feature_costs(workspace.plan, store)
    found = []
    for name, expression in system.declared.items():
        columns = system.schema([name]).columns
        known = registered.get(name)
        versions = known.versions if known else ()
        found.append(
            FeatureFacts(
                name=name,
                expression=expression,
                columns=columns,
                notes=system.notes[name],
                versions=versions,
                recorded=bool(versions) and versions[-1].meaning == columns[0].meaning,
                filled=_filled(columns, sets),
                cost=costs[name],
                training_sets=tuple(each.id for each in sets if _holds(each.schema, columns)),
                models=tuple(model for model in models if model.reads(columns)),
            )
        )
    return tuple(found)


def facts_of(workspace: Workspace, name: str) -> FeatureFacts:
    """Return what is known of one feature; every registered model may read it.

    Raises:
        NotFound: it is not declared.
    """
    facts = {each.name: each for each in feature_facts(workspace, registered_models(workspace))}
    if name not in facts:
        hint = closest(name, facts)
        raise NotFound(f"feature {name!r} is not declared in system {workspace.system.name!r}. {hint}")
    return facts[name]


def published_models(workspace: Workspace) -> tuple[ModelReading, ...]:
    """Return every model that was published to serve, with what it reads, the newest first."""
    home, system = workspace.home, workspace.system.name
    deployed = Deployments(home.control, home.tenant).current(system)
    found = []
    for folder in (home.packages / system).glob("v*"):
        aliases = ("champion",) if deployed and deployed.version == folder.name else ()
        found.append(ModelReading(folder.name, aliases, _trained_on(folder), package_schema(folder)))
    return tuple(sorted(found, key=lambda model: _number(model.version), reverse=True))


def registered_models(workspace: Workspace) -> tuple[ModelReading, ...]:
    """Return every registered model likewise, and those that are only published; without MLflow, only these."""
    published = published_models(workspace)
    try:
        entries = workspace.catalogue().versions(workspace.system.name)
    except MissingExtra:
        return published
    registered = {
        each.version: ModelReading(
            each.version, each.aliases, each.tags.get("orita.training_set", ""), package_schema(each.package)
        )
        for each in entries
        if each.package.exists()
    }
    models = {model.version: model for model in published} | registered
    return tuple(sorted(models.values(), key=lambda model: _number(model.version), reverse=True))


@contextmanager
def published_store(workspace: Workspace) -> Iterator[tuple[Generation | None, OnlineStore | None]]:
    """Open the published online state: its generation, and the store where it was written for the plan as it is now."""
    with closing(workspace.generations()) as generations:
        generation = generations.current()
        if generation is None or generation.plan != workspace.plan.version:
            yield generation, None
            return
        with closing(generations.reading(generation.name)) as store:
            yield generation, store


def _trained_on(package: Path) -> str:
    """Return the training set that a package names."""
    told = json.loads((package / "package.json").read_text(encoding="utf-8"))
    return str(told.get("extra", {}).get("training_set", ""))


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split(".") if part.isdigit())


def _holds(schema: FeatureSchema, columns: Iterable[FeatureColumn]) -> bool:
    held = {(column.name, column.meaning) for column in schema.columns}
    return all((column.name, column.meaning) in held for column in columns)


def _filled(columns: tuple[FeatureColumn, ...], sets: tuple[TrainingSet, ...]) -> float | None:
    """Return the share of rows with a value, of the column that has fewest."""
    newest: Mapping[str, float] = sets[0].filled if sets and _holds(sets[0].schema, columns) else {}
    shares = [newest[column.name] for column in columns if column.name in newest]
    return min(shares) if shares else None
