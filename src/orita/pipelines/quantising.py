"""A registered model with weights of one byte, as a version of its own: measured on its own rows, then registered.

Validation rows decide whether it is good enough; test rows are only reported, with the interval of the difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from orita.core.errors import NotFound, UserError
from orita.events.staging import work_folder
from orita.features.training_sets.reproduction import reproduce
from orita.features.training_sets.training_set import TrainingSet, open_training_set
from orita.models.evaluation import Comparison, Evaluation, compare, evaluate
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.package import Package, load_package
from orita.models.package.quantise import quantise
from orita.models.package.write import write_described
from orita.models.reissue import reissue_package
from orita.monitoring.reference import Reference
from orita.pipelines.judged_rows import judged_rows
from orita.pipelines.training import reference_path
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import Catalogue, ModelVersion, RunLog
from orita.registry.lineage import PARENT
from orita.registry.trust import trust_of

__all__ = ["INHERITED", "MAX_AUC_LOSS", "Quantised", "keep_reference", "quantise_version", "rows_of_model"]

MAX_AUC_LOSS = 0.001
_BITS = "orita.weights"
_INT8 = "int8"
INHERITED = ("orita.training_set", "orita.tables", "orita.feature_schema", "orita.code")


@dataclass(frozen=True, slots=True)
class Quantised:
    """What became of a quantisation.

    Attributes:
        parent: the version with float32 weights.
        entry: the version with int8 weights.
        new: false where it was made before, and nothing was changed.
        figures: what is on its card: losses on validation and test rows, size and time of the graph.
    """

    parent: ModelVersion
    entry: ModelVersion
    new: bool
    figures: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "version": self.entry.version,
            "parent": self.parent.version,
            "type": self.entry.type,
            "new": self.new,
            "figures": dict(self.figures),
        }


def quantise_version(workspace: Workspace, version: str, *, max_auc_loss: float = MAX_AUC_LOSS) -> Quantised:
    """Register a version of model *version* with int8 weights as the challenger; the same again changes nothing.

    Args:
        workspace: where the model and its training set are.
        version: a version, or an alias.
        max_auc_loss: the largest loss of AUC on validation rows that is accepted, 0 … 1.

    Raises:
        NotFound: there is no such model, or its training set is not in this home.
        UserError: it has int8 weights already, it has no weights to quantise (trees, counts), the loss is larger, or
            a signature is required and nobody who is trusted signed it.
    """
    if not 0 <= max_auc_loss <= 1:
        raise UserError(f"max_auc_loss has the value {max_auc_loss:g}, allowed are 0 … 1.")
    catalogue, system = workspace.catalogue(), workspace.system.name
    with workspace.alone("quantise"):
        parent = catalogue.get(system, version)
        if parent.tags.get(_BITS) == _INT8:
            raise UserError(f"{parent.version} has int8 weights already: name the version that it was made of.")
        made = next((e for e in catalogue.versions(system) if _is_int8_of(e, parent)), None)
        if made is None or not reference_path(workspace, made.version).exists():
            with rows_of_model(workspace, parent) as parts, work_folder(workspace.home) as folder:
                entry = made or _registered(workspace, catalogue, parent, parts, folder / "int8", max_auc_loss)
                keep_reference(workspace, entry, parts["test"])
        else:
            entry = made
    return Quantised(parent, entry, made is None, load_package(entry.package).description.card["quantisation"])


def _is_int8_of(entry: ModelVersion, parent: ModelVersion) -> bool:
    return (entry.tags.get(_BITS), entry.tags.get(PARENT)) == (_INT8, parent.version)


@contextmanager
def rows_of_model(workspace: Workspace, entry: ModelVersion) -> Iterator[dict[str, Examples]]:
    """Yield the rows of the model's own training set, made again where the files were let go."""
    name, home = entry.tags.get("orita.training_set", ""), workspace.home
    if not name:
        raise NotFound(
            f"{entry.version} names no training set of this home, so there are no rows to measure on: do this "
            "where it was trained, then 'orita models export' and 'orita models import'."
        )
    training_set = open_training_set(home.training_sets, workspace.system.name, name)
    schema, reader = load_package(entry.package).schema, f"model {entry.version}"
    with work_folder(home) as folder:
        if not training_set.complete:
            training_set = _made_again(workspace, training_set, folder / "rows")
        yield {part: judged_rows(workspace, training_set, part, schema, reader) for part in ("train", "val", "test")}


def _made_again(workspace: Workspace, training_set: TrainingSet, folder: Path) -> TrainingSet:
    memory = workspace.data.validation.memory_mb
    made = reproduce(
        workspace.home, workspace.system, training_set.id, folder, memory_mb=memory, progress=workspace.progress
    )
    if not made.equal:
        raise UserError(
            f"the files of training set {training_set.id} were let go, and made again they differ: take a model of a "
            "newer set."
        )
    return replace(training_set, folder=folder)


def _draft(
    workspace: Workspace, parent: ModelVersion, parts: Mapping[str, Examples], folder: Path, max_auc_loss: float
) -> tuple[Package, dict[str, Evaluation]]:
    """Write the package with int8 weights, with what it lost on its card."""
    trust = trust_of(workspace.registry, workspace.home)  # what is made of it is signed here
    before = load_package(parent.package, trust=trust)
    with workspace.progress.bar(f"Quantise {parent.version}", total=3) as bar:
        try:
            after = quantise(parent.package, folder, parts["val"], max_auc_loss=max_auc_loss, trust=trust)
        except UserError as error:
            raise UserError(f"{parent.version} ({parent.type}) stays as it is: {error}") from None
        bar.advance()
        duels = {part: _duel(workspace, after, before, parts[part]) for part in ("val", "test")}
        bar.advance()
        judged = {part: _judged(workspace, after, parts, part) for part in ("val", "test")}
        bar.advance()
    card = {**after.description.card, "quantisation": _figures(after, parent, duels)}
    write_described(folder, after.metadata, after.schema, replace(after.description, card=card))
    return load_package(folder), judged


def _duel(workspace: Workspace, after: Package, before: Package, rows: Examples) -> Comparison:
    settings = workspace.model.evaluation
    scores = [
        package.score(rows.users_N, rows.items_N, rows.x_NF, package.label_objective) for package in (after, before)
    ]
    return compare(
        scores[0],
        scores[1],
        rows,
        metrics=settings.metrics,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=workspace.model.seed,
    )


def _judged(workspace: Workspace, package: Package, parts: Mapping[str, Examples], part: str) -> Evaluation:
    settings, rows = workspace.model.evaluation, parts[part]
    return evaluate(
        package.score(rows.users_N, rows.items_N, rows.x_NF, package.label_objective),
        rows,
        metrics=settings.metrics,
        slices=(),
        train=parts["train"],
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=workspace.model.seed,
    )


def _figures(after: Package, parent: ModelVersion, duels: Mapping[str, Comparison]) -> dict[str, Any]:
    """Return what stands on the card, flat: the card's table has a name and a value a line."""
    measured = dict(after.description.card["quantisation"])
    found: dict[str, Any] = {"parent": parent.version, "parent_run": parent.run_id, "weights": _INT8}
    for part, duel in duels.items():
        found |= {
            f"{part}_rows": duel.rows,
            f"{part}_auc_before": duel.b,
            f"{part}_auc_after": duel.a,
            f"{part}_auc_difference": duel.delta,
            f"{part}_auc_difference_low": duel.low,
            f"{part}_auc_difference_high": duel.high,
        }
        if (loss := duel.metrics.get("log_loss")) is not None:
            found |= {f"{part}_log_loss_before": loss.b, f"{part}_log_loss_after": loss.a}
    kept = ("largest_difference", "bytes_before", "bytes_after", "microseconds_before", "microseconds_after")
    found |= {name: measured[name] for name in kept}
    found["bytes_ratio"] = measured["bytes_before"] / measured["bytes_after"]
    found["microseconds_ratio"] = measured["microseconds_before"] / measured["microseconds_after"]
    return found


def _registered(
    workspace: Workspace,
    catalogue: Catalogue,
    parent: ModelVersion,
    parts: Mapping[str, Examples],
    folder: Path,
    max_auc_loss: float,
) -> ModelVersion:
    draft, judged = _draft(workspace, parent, parts, folder, max_auc_loss)
    system = workspace.system.name
    tags = {name: parent.tags[name] for name in INHERITED if name in parent.tags}
    tags |= {PARENT: parent.version, _BITS: _INT8}
    test = {name: value for name, value in judged["test"].metrics.items() if value is not None}
    val = {f"val_{name}": value for name, value in judged["val"].metrics.items() if value is not None}
    params = {"type": parent.type, "weights": _INT8, "parent": parent.version}
    run_id = catalogue.log_run(system, RunLog(f"{parent.type} {_INT8}", params, {**test, **val}, tags=tags))
    write = _writer(draft, run_id, test)
    return catalogue.register(system, run_id, write, type_=parent.type, tags=tags)


def _writer(draft: Package, run_id: str, metrics: Mapping[str, float]) -> Callable[[Path, str], None]:
    """Return what writes the package; the evaluation on the card stays its parent's, as the card says."""
    identity = hashlib.sha256(f"{draft.metadata.model_id}/{_INT8}".encode()).hexdigest()[:32]

    def write(folder: Path, version: str) -> None:
        card = {
            **draft.metadata.to_dict(),
            "model_id": str(UUID(identity)),
            "model_version": version,
            "mlflow_run_id": run_id,
            "metrics": dict(metrics),
        }
        reissue_package(draft, folder, ModelMetadata.from_dict(card))

    return write


def keep_reference(workspace: Workspace, entry: ModelVersion, rows: Examples) -> None:
    """Keep what its features and scores look like, for monitoring."""
    package = load_package(entry.package)
    scores_N = package.score(rows.users_N, rows.items_N, rows.x_NF)
    Reference.from_rows(
        rows.schema,
        rows.x_NF,
        scores_N,
        users_N=rows.users_N,
        items_N=rows.items_N,
        labels_N=rows.y_N,
        model_version=entry.version,
        made_at=workspace.clock.now(),
    ).save(reference_path(workspace, entry.version))
