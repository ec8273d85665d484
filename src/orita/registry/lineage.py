"""Where a registered model came from: run, training set, tables and their sources, features, code.

And the other way: which models were trained from a version of a table, or from a training set. What the home does not
have any more (a set that was made elsewhere, a table that was vacuumed) is told as far as it is known.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.events.lake import Lake
from orita.events.lake.commits import newest_version
from orita.features.declarations import Expression
from orita.features.declaring.lineage import lineage_of
from orita.features.declaring.meaning import meaning
from orita.features.registry.registry import FeatureRegistry
from orita.features.registry.words import in_words
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.features.training_sets.training_set import SPLITS
from orita.models.package import package_schema
from orita.registry.catalogue import Catalogue, ModelVersion
from orita.registry.transfer import ORIGIN, origins_of, training_manifest

__all__ = ["PARENT", "FeatureOrigin", "Origin", "TableOrigin", "code_of", "is_made_of", "origin_of", "trained_from"]

PARENT = "orita.parent"
"""Tag of a version that was made of another one: quantised, or weighed otherwise."""

_MOST_COMMITS = 1000
_COMMIT_TAGS = ("mlflow.source.git.commit", "orita.commit")


@dataclass(frozen=True, slots=True)
class TableOrigin:
    """A lake table as it was when a training set was made of it.

    Attributes:
        name, version: which.
        at: when that version was made, ISO 8601; empty where the log does not go back so far.
        rows: of that version; None where it cannot be read any more.
        readable: whether it can.
        origin: whose rows, as said when the table was made.
        sources: rows by the file or stream they came from, of the latest 1,000 commits up to that version.
        offsets: by partition, up to where it holds the event log.
    """

    name: str
    version: int
    at: str = ""
    rows: int | None = None
    readable: bool = False
    origin: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    offsets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeatureOrigin:
    """A column that the model reads, and the declaration that it came from.

    Attributes:
        column: its name in the model's schema.
        meaning: digest of the declaration; empty where nothing is known of it.
        feature, version: the declaration, and its number in the feature registry; empty where it is not known here, 0
            where it is declared and not recorded.
        owner: whose it is.
        declared: the declaration in words; empty where it was not kept.
        tables: that it is computed from.
        current: whether it is declared so now.
    """

    column: str
    meaning: str
    feature: str = ""
    version: int = 0
    owner: str = ""
    declared: str = ""
    tables: tuple[str, ...] = ()
    current: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Everything that a model came from.

    Attributes:
        run: id, name, status, times, parameters, the run above it; empty where it is gone.
        code: version of Orita, digest of the project's own Python files, and the commit, as far as they are known.
        parent: the version that it was made of, empty where it was trained.
        imported: the registries that it came from, the latest first.
        training_set: id, plan, label, parts with rows and times; empty where none is known.
        here: whether that set and its tables are of this home.
        tables: what it was made of.
        features: what the model reads.
    """

    run: Mapping[str, Any]
    code: Mapping[str, str]
    parent: str
    imported: list[dict[str, str]]
    training_set: Mapping[str, Any]
    here: bool
    tables: list[TableOrigin]
    features: list[FeatureOrigin]


def origin_of(catalogue: Catalogue, system: System, entry: ModelVersion) -> Origin:
    """Return what *entry* of *system* came from."""
    home, manifest = catalogue.home, training_manifest(catalogue.home, entry) or {}
    here = bool(entry.tags.get("orita.training_set"))
    tables = manifest.get("tables") or json.loads(entry.tags.get("orita.tables", "{}"))
    run, tags = _run(catalogue, entry.run_id)
    code = code_of(entry)
    if "commit" not in code and (commit := next((tags[name] for name in _COMMIT_TAGS if name in tags), "")):
        code["commit"] = commit
    return Origin(
        run=run,
        code=code,
        parent=entry.tags.get(PARENT, ""),
        imported=origins_of(entry),
        training_set=_training_set(manifest, entry, here),
        here=here,
        tables=[_table(home, name, version, here) for name, version in sorted(tables.items())],
        features=_features(home, system, package_schema(entry.package)),
    )


def code_of(entry: ModelVersion) -> dict[str, str]:
    """Return which code made *entry*: ``orita``, ``project`` and ``commit``, here or where it was imported from."""
    found = {}
    for name, tag in (("orita", "code"), ("project", "code.project"), ("commit", "code.commit")):
        if value := entry.tags.get(f"orita.{tag}") or entry.tags.get(f"{ORIGIN}{tag}"):
            found[name] = value
    return found


def trained_from(catalogue: Catalogue, system: str, *, table: str = "", training_set: str = "") -> list[ModelVersion]:
    """Return the versions of *system* that were trained from a table, or from a training set, the newest first.

    Args:
        catalogue: where they are registered.
        system: whose models.
        table: ``NAME@VERSION``, or ``NAME`` for any version of it.
        training_set: its id, or the first letters of it.

    Raises:
        UserError: the version of the table is no number.
    """
    is_made_of({}, table)  # refuses what is no version, also where there is no model yet
    found = []
    for entry in catalogue.versions(system):
        tables: Mapping[str, int] = json.loads(entry.tags.get("orita.tables", "{}"))
        named = entry.tags.get("orita.training_set", "")
        if is_made_of(tables, table) or (training_set and named.startswith(training_set)):
            found.append(entry)
    return found


def is_made_of(tables: Mapping[str, int], table: str) -> bool:
    """Tell whether *table*, ``NAME@VERSION`` or ``NAME``, is among the versions by name *tables*; ``""`` never is.

    Raises:
        UserError: the version is no number.
    """
    name, at, number = table.partition("@")
    if at and not number.isdecimal():
        raise UserError(f"table {table!r} is not NAME@VERSION: give a version such as {name}@3, or {name} alone.")
    return name in tables and (not at or tables[name] == int(number))


def _run(catalogue: Catalogue, run_id: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    try:
        run = catalogue.runs.get(run_id)
    except NotFound:
        return {}, {}
    told = {
        "id": run.run_id,
        "name": run.name,
        "status": run.status,
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "parent": run.parent,
        "params": dict(run.params),
    }
    return told, run.tags


def _training_set(manifest: Mapping[str, Any], entry: ModelVersion, here: bool) -> dict[str, Any]:
    if not manifest:
        named = entry.tags.get("orita.training_set", "")
        return {"id": named} if named else {}
    kept = ("rows", "positive_share", "start", "end")
    parts = {name: {key: manifest["splits"][name][key] for key in kept} for name in SPLITS}
    return {
        "id": manifest["id"],
        "here": here,
        "plan": manifest.get("plan", ""),
        "meaning": manifest.get("rows", {}),
        "split": manifest.get("split", {}),
        "parts": parts,
    }


def _table(home: Home, name: str, version: int, here: bool) -> TableOrigin:
    lake = Lake(home)
    if not here or not lake.exists(name):
        return TableOrigin(name, version)
    newest = newest_version(home.table(name)) or 0
    commits = [c for c in lake.history(name, newest - version + _MOST_COMMITS) if c.version <= version]
    sources: Counter[str] = Counter()
    for commit in commits:
        if "source" in commit.properties:
            sources[commit.properties["source"]] += commit.rows
    found = TableOrigin(
        name,
        version,
        at=commits[0].at.isoformat() if commits and commits[0].version == version else "",
        origin=lake.origin(name),
        sources=dict(sources),
    )
    try:
        rows, offsets = lake.snapshot(name, version).rows, lake.offsets(name, version)
    except NotFound:  # vacuumed
        return found
    return TableOrigin(
        name,
        version,
        found.at,
        rows,
        True,
        found.origin,
        found.sources,
        {str(partition): offset for partition, offset in offsets.items()},
    )


def _features(home: Home, system: System, schema: FeatureSchema) -> list[FeatureOrigin]:
    known = list(_declarations(home, system))
    return [_feature(column.name, column.meaning, known) for column in schema.columns]


def _declarations(home: Home, system: System) -> Iterator[FeatureOrigin]:
    """Yield every declaration that was recorded, and those of now that were not, as the origin of its own column."""
    now = {name: (meaning(expression), expression) for name, expression in system.declared.items()}
    for feature in FeatureRegistry.of(home, system.name).features():
        for version in feature.versions:
            current = now.get(feature.name, ("", None))[0] == version.meaning
            yield _described(feature.name, version.meaning, version.expression, feature.owner, version.number, current)
    for name, (digest, expression) in now.items():
        yield _described(name, digest, expression, system.notes[name].owner, 0, True)


def _described(
    name: str, digest: str, expression: Expression | None, owner: str, number: int, current: bool
) -> FeatureOrigin:
    if expression is None:
        return FeatureOrigin(name, digest, name, number, owner, current=current)
    tables = lineage_of(expression).sources
    return FeatureOrigin(name, digest, name, number, owner, in_words(expression), tables, current)


def _feature(column: str, digest: str, known: list[FeatureOrigin]) -> FeatureOrigin:
    """Return the declaration of a column; columns of one-hot features are called after their feature, with a value."""
    for each in known:
        if digest and each.meaning == digest and column.startswith(each.feature):
            return replace(each, column=column)
    return FeatureOrigin(column, digest)
