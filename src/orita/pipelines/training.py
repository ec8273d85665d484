"""model_training: split files to judged, logged, registered models.

Every type that the configuration names is trained on the same rows, exported, and judged by its exported package, so
that the figures are those of what will serve. The best on validation rows is registered; test rows decide nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from orita.core.files import atomic_file
from orita.core.version import VERSION
from orita.features.training_sets.training_set import TrainingSet, latest_training_set, open_training_set
from orita.models.build import build_ranker
from orita.models.calibration import fit_calibration
from orita.models.evaluation import Evaluation, evaluate, permutation_importance, worst_slices, write_evaluation_report
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.package import Package, load_package, write_package
from orita.models.ranker import FitContext
from orita.models.reading import read_examples
from orita.models.reissue import reissue_package
from orita.monitoring.reference import Reference
from orita.pipelines.graph import Graph, Result, Task
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import ModelVersion, RunLog

__all__ = ["reference_path", "training_graph"]

_DRAFT = "orita.draft"
_UNREGISTERED = "v0.0.0"


def training_graph() -> Graph:
    """Return the graph."""
    return Graph(
        "model_training",
        None,
        (
            Task("load_features", load_features),
            Task("train_model", train_model),
            Task("evaluate_model", evaluate_model),
            Task("log_to_mlflow", log_to_mlflow),
            Task("register_model", register_model),
        ),
        alone=True,
    )


def reference_path(workspace: Workspace, version: str) -> Path:
    """Return where the reference of a model version is kept: what its features and scores looked like at training."""
    return workspace.home.reports / "references" / workspace.system.name / f"{version}.parquet"


@dataclass(frozen=True, slots=True)
class _Drafts:
    """Trained models that are not registered yet, one folder a type; killed work goes on from what is there."""

    workspace: Workspace
    training_set: TrainingSet

    @property
    def key(self) -> str:
        """Digest of the training set and everything that decides the models."""
        model = self.workspace.model
        parts = [
            VERSION,
            self.training_set.id,
            *(s.model_dump_json() for s in (model.model, model.training)),
            str(model.seed),
        ]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]

    @property
    def types(self) -> tuple[str, ...]:
        """The types to train, each once."""
        return tuple(dict.fromkeys((self.workspace.model.model.type, *self.workspace.model.beside)))

    @property
    def root(self) -> Path:
        """Where this training's drafts are."""
        return self.workspace.home.staging / "drafts" / self.workspace.system.name / self.key

    def package(self, type_: str) -> Path:
        """Return the package folder of one type."""
        return self.root / type_

    def report(self, type_: str) -> Path:
        """Return the file in which one type's fit report is kept."""
        return self.root / f"{type_}.json"


def load_features(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Find the latest training set."""
    found = latest_training_set(workspace.home.training_sets, workspace.system.name)
    return {"training_set": found.id, "rows": {name: split.rows for name, split in found.splits.items()}}


def train_model(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Train every configured type; one that was trained on these very rows and settings already is taken as it is."""
    drafts = _drafts(workspace, results)
    train = val = None
    fits: dict[str, Any] = {}
    for type_ in drafts.types:
        if not drafts.report(type_).exists():
            train = train or _rows(drafts.training_set, "train")
            val = val or _rows(drafts.training_set, "val")
            _fit(type_, drafts, train, val)
        fits[type_] = json.loads(drafts.report(type_).read_text())
    return {"draft": drafts.key, "fits": {type_: {"seconds": fit["seconds"]} for type_, fit in fits.items()}}


def _fit(type_: str, drafts: _Drafts, train: Examples, val: Examples) -> None:
    workspace = drafts.workspace
    checkpoints = workspace.home.checkpoints / workspace.system.name / drafts.key / type_
    ranker = build_ranker(type_, workspace.model.model, workspace.model.training)
    begun = workspace.clock.monotonic()
    fit = ranker.fit(train, val, FitContext(workspace.progress, checkpoints, workspace.model.seed, f"Train {type_}"))
    seconds = workspace.clock.monotonic() - begun
    splits = drafts.training_set.splits
    metadata = ModelMetadata(
        model_id=str(UUID(hashlib.sha256(f"{drafts.key}/{type_}".encode()).hexdigest()[:32])),
        model_version=_UNREGISTERED,
        training_date=workspace.clock.now().isoformat(),
        mlflow_run_id="",
        model_type=type_,
        feature_schema_version=drafts.training_set.schema.version,
        training_data_date_range={"start": splits["train"].start, "end": splits["train"].end},
    )
    write_package(
        drafts.package(type_),
        ranker,
        metadata,
        drafts.training_set.schema,
        val,
        extra={
            "training_set": drafts.training_set.id,
            "system": workspace.system.name,
            "selected_to": splits["val"].end,
            "model": workspace.model.model.model_dump(mode="json"),
        },
        calibration=fit_calibration(workspace.model.model.calibration, val.y_N, ranker.score(val)),
    )
    with atomic_file(drafts.report(type_)) as path:
        path.write_text(json.dumps({**asdict(fit), "seconds": seconds, "rows": len(train)}, default=str))
    shutil.rmtree(checkpoints, ignore_errors=True)


def evaluate_model(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Judge every trained model on validation rows, which choose the best, and on test rows, which are reported."""
    drafts = _drafts(workspace, results)
    train, val, test = (_rows(drafts.training_set, part) for part in ("train", "val", "test"))
    settings = workspace.model.evaluation
    judged: dict[str, dict[str, Evaluation]] = {}
    with workspace.progress.bar("Evaluate", total=2 * len(drafts.types)) as bar:
        for type_ in drafts.types:
            package = load_package(drafts.package(type_))
            judged[type_] = {}
            for name, rows in (("val", val), ("test", test)):
                judged[type_][name] = evaluate(
                    package.score(rows.users_N, rows.items_N, rows.x_NF),
                    rows,
                    metrics=settings.metrics,
                    slices=settings.slices if name == "test" else (),
                    train=train,
                    resamples=settings.resamples,
                    confidence=settings.confidence,
                    seed=workspace.model.seed,
                )
                bar.advance()
    best = max(drafts.types, key=lambda type_: judged[type_]["val"].metrics["auc"] or 0.0)
    path = _report(drafts)
    models = {type_: {name: found.to_dict() for name, found in parts.items()} for type_, parts in judged.items()}
    with atomic_file(path) as partial:
        partial.write_text(json.dumps({"best": best, "models": models}, indent=2))
    page = path.with_suffix(".html")
    if settings.report:
        _write_page(page, workspace, drafts, best, judged[best]["test"], test, train)
    metrics = {
        type_: {name: _defined(found.metrics) for name, found in parts.items()} for type_, parts in judged.items()
    }
    pages = {"page": str(page)} if settings.report else {}
    return {"best": best, "metrics": metrics, "report": str(path), **pages}


def _report(drafts: _Drafts) -> Path:
    """Return where the evaluation of a training is kept."""
    workspace = drafts.workspace
    return workspace.home.reports / "evaluations" / workspace.system.name / f"{drafts.key}.json"


def _write_page(
    path: Path, workspace: Workspace, drafts: _Drafts, type_: str, found: Evaluation, test: Examples, train: Examples
) -> None:
    """Write what the test rows say of the best model as a page for people."""
    package, seed = load_package(drafts.package(type_)), workspace.model.seed

    def score(rows: Examples) -> Any:
        return package.score(rows.users_N, rows.items_N, rows.x_NF)

    scores_N, splits = score(test), drafts.training_set.splits
    write_evaluation_report(
        path,
        found,
        test,
        scores_N,
        title=f"{workspace.system.name}: evaluation of {type_}",
        name=type_,
        facts={
            "training set": drafts.training_set.id,
            "trained on": f"{splits['train'].rows:,} rows, {splits['train'].start[:10]} to {splits['train'].end[:10]}",
        },
        worst=[worst_slices(scores_N, test, measure=m, train=train, seed=seed) for m in ("surprise", "log_loss")],
        importance=permutation_importance(score, test, seed=seed) if 0 < found.positives < found.rows else (),
        confidence=workspace.model.evaluation.confidence,
    )


def _defined(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """Leave out figures that these rows do not define, such as a precision where no user has ten rows."""
    return {name: value for name, value in metrics.items() if value is not None}


def log_to_mlflow(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Record a run for every trained model, once."""
    drafts, judged = _drafts(workspace, results), results["evaluate_model"]["metrics"]
    catalogue = workspace.catalogue()
    runs: dict[str, str] = {}
    for type_ in drafts.types:
        draft = f"{drafts.key}/{type_}"
        known = catalogue.find_run(workspace.system.name, _DRAFT, draft)
        runs[type_] = known or catalogue.log_run(workspace.system.name, _run_log(type_, draft, drafts, judged[type_]))
    return {"runs": runs}


def _run_log(type_: str, draft: str, drafts: _Drafts, metrics: Mapping[str, Mapping[str, float]]) -> RunLog:
    fit = json.loads(drafts.report(type_).read_text())
    return RunLog(
        name=type_,
        params={"type": type_, "rows": fit["rows"], **fit["params"]},
        metrics={
            **metrics["test"],
            **{f"val_{k}": v for k, v in metrics["val"].items()},
            "fit_seconds": fit["seconds"],
        },
        history=fit["history"],
        tags={_DRAFT: draft, **_lineage(drafts)},
    )


def register_model(workspace: Workspace, results: Mapping[str, Result]) -> Result:
    """Register the best model as the challenger, once, and keep what its features and scores look like."""
    drafts, best = _drafts(workspace, results), results["evaluate_model"]["best"]
    catalogue, system = workspace.catalogue(), workspace.system.name
    draft = f"{drafts.key}/{best}"
    entry = next((e for e in catalogue.versions(system) if e.tags.get(_DRAFT) == draft), None)
    if entry is None:
        run_id = results["log_to_mlflow"]["runs"][best]
        metrics = results["evaluate_model"]["metrics"][best]["test"]
        package, judged = load_package(drafts.package(best)), json.loads(_report(drafts).read_text())

        def write(folder: Path, version: str) -> None:
            card = _card(package, version, run_id, metrics)
            found = judged["models"][best]["test"]
            reissue_package(package, folder, card, text=workspace.model.card, evaluation=found)

        entry = catalogue.register(system, run_id, write, type_=best, tags={_DRAFT: draft, **_lineage(drafts)})
    _keep_reference(workspace, drafts, entry)
    _forget_older(drafts)
    return {
        "version": entry.version,
        "type": entry.type,
        "metrics": dict(results["evaluate_model"]["metrics"][best]["test"]),
    }


def _card(package: Package, version: str, run_id: str, metrics: Mapping[str, float]) -> ModelMetadata:
    card = {
        **package.metadata.to_dict(),
        "model_version": version,
        "mlflow_run_id": run_id,
        "metrics": dict(metrics),
    }
    return ModelMetadata.from_dict(card)


def _keep_reference(workspace: Workspace, drafts: _Drafts, entry: ModelVersion) -> None:
    path = reference_path(workspace, entry.version)
    if path.exists():
        return
    rows, package = _rows(drafts.training_set, "test"), load_package(entry.package)
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
    ).save(path)


def _forget_older(drafts: _Drafts) -> None:
    """Keep the drafts of this training only: running it again then has nothing to do."""
    for folder in drafts.root.parent.iterdir():
        if folder != drafts.root:
            shutil.rmtree(folder)


def _drafts(workspace: Workspace, results: Mapping[str, Result]) -> _Drafts:
    name = results["load_features"]["training_set"]
    return _Drafts(workspace, open_training_set(workspace.home.training_sets, workspace.system.name, name))


def _rows(training_set: TrainingSet, part: str) -> Examples:
    return read_examples(training_set.file(part), training_set.schema)


def _lineage(drafts: _Drafts) -> dict[str, str]:
    return {
        "orita.training_set": drafts.training_set.id,
        "orita.tables": json.dumps(dict(drafts.training_set.tables)),
        "orita.feature_schema": drafts.training_set.schema.version,
        "orita.code": VERSION,
    }
