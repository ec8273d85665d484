"""A registered model with weights of one byte, as a version of its own: measured on its own rows, then registered.

Validation rows decide whether it is good enough; test rows are only reported, with the interval of the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orita.core.errors import UserError
from orita.events.staging import work_folder
from orita.models.evaluation import Comparison, Evaluation, compare, evaluate
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.package import Package, load_package
from orita.models.package.quantise import quantise
from orita.models.package.write import write_described
from orita.models.reissue import reissue_package
from orita.pipelines.derived import INT8, WEIGHTS, Derived, derived_id, inherited, keep_like_parent, rows_of_model
from orita.pipelines.references import keep_reference, reference_path
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import Catalogue, ModelVersion, RunLog
from orita.registry.lineage import PARENT
from orita.registry.trust import trust_of

__all__ = ["MAX_AUC_LOSS", "Quantised", "quantise_version"]

MAX_AUC_LOSS = 0.001


@dataclass(frozen=True, slots=True)
class Quantised(Derived):
    """What became of a quantisation.

    Attributes:
        figures: what is on its card: losses on validation and test rows, size and time of the graph.
    """

    figures: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**Derived.to_dict(self), "figures": dict(self.figures)}


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
        if parent.tags.get(WEIGHTS) == INT8:
            raise UserError(f"{parent.version} has int8 weights already: name the version that it was made of.")
        made = next((e for e in catalogue.versions(system) if _is_int8_of(e, parent)), None)
        if made is not None:
            _refuse_loss(made, parent, max_auc_loss)
        if made is None or not reference_path(workspace, made.version).exists():
            with rows_of_model(workspace, parent) as parts, work_folder(workspace.home) as folder:
                entry = made or _registered(workspace, catalogue, parent, parts, folder / "int8", max_auc_loss)
                keep_reference(workspace, entry, parts["test"])
        else:
            entry = made
        keep_like_parent(workspace, entry)
    return Quantised(parent, entry, made is None, _on_card(entry))


def _is_int8_of(entry: ModelVersion, parent: ModelVersion) -> bool:
    return (entry.tags.get(WEIGHTS), entry.tags.get(PARENT)) == (INT8, parent.version)


def _on_card(entry: ModelVersion) -> Mapping[str, Any]:
    figures: Mapping[str, Any] = load_package(entry.package).description.card["quantisation"]
    return figures


def _refuse_loss(made: ModelVersion, parent: ModelVersion, max_auc_loss: float) -> None:
    """Refuse a version that was made before, under another limit, and lost more than is accepted now."""
    found = _on_card(made)
    loss = found["val_auc_before"] - found["val_auc_after"]
    if not loss <= max_auc_loss:
        raise UserError(
            f"{made.version} is {parent.version} with int8 weights, which cost {loss:.5f} of AUC on "
            f"{found['val_rows']:,} rows; max_auc_loss allows {max_auc_loss:g}: raise it, or serve {parent.version}."
        )


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
    found: dict[str, Any] = {"parent": parent.version, "parent_run": parent.run_id, "weights": INT8}
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
    system, tags = workspace.system.name, {**inherited(parent), WEIGHTS: INT8}
    test = {name: value for name, value in judged["test"].metrics.items() if value is not None}
    val = {f"val_{name}": value for name, value in judged["val"].metrics.items() if value is not None}
    params = {"type": parent.type, "weights": INT8, "parent": parent.version}
    run_id = catalogue.runs.log(system, RunLog(f"{parent.type} {INT8}", params, {**test, **val}, tags=tags))
    write = _writer(draft, run_id, test)
    return catalogue.register(system, run_id, write, type_=parent.type, tags=tags)


def _writer(draft: Package, run_id: str, metrics: Mapping[str, float]) -> Callable[[Path, str], None]:
    """Return what writes the package; the evaluation on the card stays its parent's, as the card says."""
    own = {"model_id": derived_id(draft.metadata.model_id, INT8), "mlflow_run_id": run_id, "metrics": dict(metrics)}

    def write(folder: Path, version: str) -> None:
        card = {**draft.metadata.to_dict(), **own, "model_version": version}
        reissue_package(draft, folder, ModelMetadata.from_dict(card))

    return write
