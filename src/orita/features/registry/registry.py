"""Which features there are and were: every version of every declaration of a system, with owner and description.

One JSON file a system. A feature whose meaning changes gets a new version; what it was is kept as data, so that a model
that was trained on it is served on until nobody uses it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from orita.core.clock import Clock, SystemClock
from orita.core.errors import NotFound, UserError, closest
from orita.core.files import atomic_file
from orita.core.home import Home
from orita.features.declarations import Expression
from orita.features.declaring.columns import feature_columns
from orita.features.declaring.meaning import meaning
from orita.features.registry.written import read_expression, written_expression
from orita.features.schema import FeatureSchema
from orita.features.system import System

__all__ = ["FeatureRegistry", "FeatureVersion", "RegisteredFeature"]


@dataclass(frozen=True, slots=True)
class FeatureVersion:
    """A declaration as it was from some time on.

    Attributes:
        number: 1, 2, 3, …
        meaning: digest of the declaration (`orita.features.declaring.meaning`).
        since: when it was first seen, ISO 8601.
        declared: the expression as JSON values; None where it holds a Python function.
    """

    number: int
    meaning: str
    since: str
    declared: Mapping[str, Any] | None

    @property
    def expression(self) -> Expression | None:
        """The expression, None where it could not be written down."""
        return None if self.declared is None else read_expression(self.declared)


@dataclass(frozen=True, slots=True)
class RegisteredFeature:
    """A feature with its versions, the newest last; *current* is false once it is not declared any more."""

    name: str
    description: str
    owner: str
    current: bool
    versions: tuple[FeatureVersion, ...]

    @property
    def version(self) -> FeatureVersion:
        """The newest version."""
        return self.versions[-1]


@dataclass(frozen=True, slots=True)
class FeatureRegistry:
    """The registry of one system.

    Attributes:
        file: where it is kept.
    """

    file: Path

    @classmethod
    def of(cls, home: Home, system: str) -> FeatureRegistry:
        """Return the registry of *system* in *home*."""
        return cls(home.features / f"{system}.json")

    def features(self) -> tuple[RegisteredFeature, ...]:
        """Return every feature that was ever recorded, by name."""
        if not self.file.exists():
            return ()
        content = json.loads(self.file.read_text(encoding="utf-8"))
        return tuple(
            RegisteredFeature(**{**each, "versions": tuple(FeatureVersion(**v) for v in each["versions"])})
            for each in content["features"]
        )

    def feature(self, name: str) -> RegisteredFeature:
        """Return feature *name*.

        Raises:
            NotFound: it was never recorded.
        """
        known = {feature.name: feature for feature in self.features()}
        if name not in known:
            raise NotFound(f"feature {name!r} is not in the registry. {closest(name, known)}")
        return known[name]

    def record(self, system: System, clock: Clock | None = None) -> tuple[str, ...]:
        """Record what *system* declares; return the names that are new or changed. Nothing new writes nothing."""
        now = (clock or SystemClock()).now().isoformat()
        before = {feature.name: feature for feature in self.features()}
        after = {name: replace(feature, current=False) for name, feature in before.items()}
        for name, expression in system.declared.items():
            notes = system.notes[name]
            versions = before[name].versions if name in before else ()
            if not versions or versions[-1].meaning != meaning(expression):
                versions = (*versions, _version(len(versions) + 1, expression, now))
            after[name] = RegisteredFeature(name, notes.description, notes.owner, True, versions)
        if after != before:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(self.file) as path:
                content = {"system": system.name, "features": [asdict(after[name]) for name in sorted(after)]}
                path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
        return tuple(name for name, feature in after.items() if feature != before.get(name) and feature.current)

    def kept_for(self, system: System, readers: Iterable[FeatureSchema]) -> System:
        """Return *system* with those earlier versions of its features that *readers* still read.

        Args:
            system: what is declared now.
            readers: the schemas of the models that may serve.
        """
        declared = {(column.name, column.meaning) for column in system.schema().columns}
        wanted = {(c.name, c.meaning) for schema in readers for c in schema.columns if c.meaning} - declared
        if not wanted:
            return system
        found: dict[str, Expression] = {}
        for name, version, expression in self._newest_first({meant for _, meant in wanted}):
            made = _columns(name, expression, system)
            if not wanted.isdisjoint(made):
                wanted -= made
                found[f"{name}@{version.number}"] = expression
        return system.keep_earlier(found)

    def as_it_was(self, system: System, schema: FeatureSchema) -> System:
        """Return *system* with those features that *schema* names and no others, declared as they were then.

        Sources and entities are those of then, too. What was never recorded, or is an earlier Python function, is not
        among the features.

        Raises:
            UserError: a feature, or the label, would mean something else beside the others.
        """
        wanted = {(column.name, column.meaning) for column in schema.columns}
        earlier = [(name, expression) for name, _, expression in self._newest_first({meant for _, meant in wanted})]
        found: dict[str, Expression] = {}
        for name, expression in (*system.declared.items(), *earlier):
            if name not in found and not wanted.isdisjoint(_columns(name, expression, system)):
                found[name] = expression
        then = system.declarations
        for expression in reversed(found.values()):
            then = then.then(expression)
        return system.on(then, found)

    def _newest_first(self, meanings: Container[str]) -> Iterator[tuple[str, FeatureVersion, Expression]]:
        """Yield the versions of features that have one of *meanings*, as far as they were kept as data."""
        versions = [(feature.name, version) for feature in self.features() for version in feature.versions]
        for name, version in sorted(versions, key=lambda each: each[1].since, reverse=True):
            expression = version.expression if version.meaning in meanings else None
            if expression is not None:
                yield name, version, expression


def _columns(name: str, expression: Expression, system: System) -> set[tuple[str, str]]:
    """Return the names of a feature's columns, each with what it means."""
    columns = feature_columns(name, expression, system.user, system.item)
    return {(column.name, meaning(expression)) for column in columns}


def _version(number: int, expression: Expression, now: str) -> FeatureVersion:
    try:
        declared = written_expression(expression)
    except UserError:  # a Python function: known, but not kept
        declared = None
    return FeatureVersion(number, meaning(expression), now, declared)
