"""What a scoring is of and with, settled before the first row: model, input, columns, and what makes two the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orita.core.errors import UserError
from orita.events.lake import Lake
from orita.features.plan import Plan, plan_of
from orita.features.schema import FeatureSchema
from orita.models.objectives import check_objective
from orita.models.package import Package, load_package
from orita.pipelines.judged_rows import system_for
from orita.pipelines.scoring.manifest import Manifest
from orita.pipelines.scoring.model import model_folder
from orita.pipelines.scoring.options import ScoreOptions
from orita.pipelines.scoring.source import LAKE, Source, open_source
from orita.pipelines.scoring.wanted import Wanted, computed, ready, refuse_missing
from orita.pipelines.workspace import Workspace
from orita.registry.trust import trust_of

__all__ = ["Settled", "difference", "package_digest", "settle"]

_PACKAGE_MANIFEST = "manifest.json"
_CALLED = {
    "system": "the system", "model": "the model", "package": "the files of the model's package",
    "input": "rows of the input", "features": "what the input has of features", "objective": "the objective",
    "at": "the time of rows without one", "as_of": "--as-of", "top": "--top", "keep": "--keep",
    "part_rows": "--part-rows", "engine": "--engine",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settled:
    """What a scoring is of and with.

    Attributes:
        options: what was asked for.
        system: whose rows they are.
        folder: of the package.
        package: the model.
        source: the input.
        wanted: what is read of it.
        plan: of the features that the model reads; None: the input has them.
        schema: these features, as the plan names them.
    """

    options: ScoreOptions
    system: str
    folder: Path
    package: Package
    source: Source
    wanted: Wanted
    plan: Plan | None
    schema: FeatureSchema

    @property
    def making(self) -> dict[str, Any]:
        """All that decides the rows that come out."""
        options, package = self.options, self.package
        weights = options.objective if options.objective is not None else package.description.objective
        return {
            "system": self.system,
            "model": package.version,
            "package": package_digest(self.folder),
            "feature_schema_version": package.metadata.feature_schema_version,
            "objective": dict(weights) if package.heads else None,
            "input": self.source.digest,
            "features": self.wanted.features,
            "as_of": options.as_of if self.plan else None,
            "at": options.at.isoformat() if options.at else None,
            "top": options.top,
            "keep": list(options.keep),
            "part_rows": options.part_rows,
            "engine": options.engine,
        }


def package_digest(folder: Path) -> str:
    """Return the SHA-256 of the manifest of the package in *folder*, which lists the digest of each of its files."""
    return hashlib.sha256((folder / _PACKAGE_MANIFEST).read_bytes()).hexdigest()


def settle(workspace: Workspace, options: ScoreOptions, previous: Manifest | None) -> Settled:
    """Return what *options* mean now.

    Args:
        workspace: where everything is.
        options: what is asked for.
        previous: what the folder of the scores says of itself.

    Raises:
        NotFound: there is no such model, file or table.
        UserError: the input cannot be scored with this model, or an option does not go with them.
    """
    version, folder = model_folder(workspace, options.model)
    package = load_package(folder, trust=trust_of(workspace.registry, workspace.home))
    if options.objective is not None:
        if not package.heads:
            raise UserError(f"{version} has one head, and its score is the chance of the label: leave --objective out.")
        check_objective(options.objective, package.heads, "--objective")
    known = previous.told["input"]["files"] if previous else ()
    source = open_source(
        _begun_with(options, previous), Lake(workspace.home), workspace.data.validation, known, workspace.progress
    )
    plan, schema, wanted = _columns(workspace, package, source, options)
    if options.at is not None and (wanted.timed or wanted.features == "ready"):
        why = "have times of their own" if wanted.timed else "have their features, so nothing is looked up"
        raise UserError(f"--at is {options.at.isoformat()}, and the rows of {options.source} {why}: leave --at out.")
    return Settled(options, workspace.system.name, folder, package, source, wanted, plan, schema)


def _begun_with(options: ScoreOptions, previous: Manifest | None) -> str:
    """Return the input, of a lake table without a version that which the scoring to go on with was begun with."""
    named = options.source
    if previous is not None and not previous.finished_at and not options.restart:
        told = str(previous.told["input"]["name"])
        if told.startswith(LAKE) and named == told.rpartition("@")[0]:
            return told
    return named


def _columns(
    workspace: Workspace, package: Package, source: Source, options: ScoreOptions
) -> tuple[Plan | None, FeatureSchema, Wanted]:
    """Return the plan, the features as it names them, and what is read: features that are ready need no plan."""
    there, schema = source.schema, package.schema
    refuse_missing(there, workspace.system, schema, options.keep)
    if all(name in there.names for name in schema.names):
        return None, schema, ready(there, workspace.system, schema, options.keep)
    system, names = system_for(workspace, schema, f"model {package.version}")
    plan = plan_of(system).narrowed(names)
    called = FeatureSchema(tuple(replace(c, name=name) for c, name in zip(schema.columns, names, strict=True)))
    return plan, called, computed(there, plan, options.keep)


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Return in words the first thing in which two makings differ, None where they make the same rows."""
    for name, called in _CALLED.items():
        if before.get(name) == now[name]:
            continue
        if name in ("package", "input"):
            return f"{called} have changed since"
        return f"{called} was {before.get(name)!r}, and is {now[name]!r} now"
    return None
