"""A home in which a small model was trained, signed, promoted, asked, answered and judged: what lineage is about."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from tests.features.small_system import NOW, events, ingested, small_workspace, write_jsonl

from orita.core.clock import to_micros
from orita.core.home import Home
from orita.core.progress import SILENT
from orita.events.config import ValidationConfig
from orita.events.ingest import ingest
from orita.events.prediction_files import segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame, encode_header
from orita.features.training_sets.training_set import TrainingSet, latest_training_set
from orita.models.build import build_ranker
from orita.models.config import ModelSection, TrainingSection
from orita.models.metadata import ModelMetadata
from orita.models.package import load_package, write_package
from orita.models.package.signing import sign_package
from orita.models.ranker import FitContext
from orita.models.reading import read_examples
from orita.models.reissue import reissue_package
from orita.pipelines.etl import etl_graph
from orita.pipelines.graph import run_graph
from orita.pipelines.workspace import Workspace
from orita.registry.catalogue import Catalogue, ModelVersion, RunLog
from orita.registry.tracking import mlflow_client

__all__ = ["answered", "empty_registry", "fed_back", "registered", "signed", "trained_home"]

MODEL = ModelSection(user_tower_dims=(48,), item_tower_dims=(48,), embedding_dim=32, id_embedding_dim=8)
TRAINING = TrainingSection(batch_size=64, epochs=1)


def trained_home(folder: Path) -> Workspace:
    """Return surroundings with a training set of 400 events, and an empty registry."""
    workspace = small_workspace(folder)
    empty_registry(workspace.home)
    ingested(workspace.home, folder, events(400), workspace.system)
    graph = etl_graph(workspace)
    run_graph(type(graph)(graph.id, graph.schedule, graph.tasks[2:]), workspace)
    return workspace


def registered(workspace: Workspace, type_: str = "popularity", **tags: str) -> ModelVersion:
    """Train a model of *type_* on the latest training set and register it as training does."""
    training_set = latest_training_set(workspace.home.training_sets, workspace.system.name)
    parts = {part: read_examples(training_set.file(part), training_set.schema) for part in ("train", "val")}
    ranker = build_ranker(type_, MODEL, TRAINING)
    ranker.fit(parts["train"], parts["val"], FitContext(SILENT))
    draft = workspace.home.staging / "draft"
    extra = {"training_set": training_set.id, "system": workspace.system.name, "model": MODEL.model_dump(mode="json")}
    write_package(draft, ranker, _card(training_set, type_), training_set.schema, parts["val"], extra=extra)
    lineage = {
        "orita.training_set": training_set.id,
        "orita.tables": json.dumps(dict(training_set.tables)),
        "orita.feature_schema": training_set.schema.version,
        "orita.code": "0.1.0",
        **tags,
    }
    catalogue, package = workspace.catalogue(), load_package(draft)
    history = [{"epoch": 0.0, "val_auc": 0.6}, {"epoch": 1.0, "val_auc": 0.7}]
    run_id = catalogue.runs.log(
        "small", RunLog(type_, {"type": type_}, {"auc": 0.7, "fit_seconds": 1}, history, lineage)
    )

    def write(target: Path, version: str) -> None:
        card = {**package.metadata.to_dict(), "model_version": version, "mlflow_run_id": run_id}
        reissue_package(package, target, ModelMetadata.from_dict(card))

    return catalogue.register("small", run_id, write, type_=type_, tags=lineage)


def empty_registry(home: Home) -> Catalogue:
    """Return the catalogue of *home*, whose database is there."""
    mlflow_client(home)
    return Catalogue(home)


def answered(home: Home, version: str, at: datetime, requests: Sequence[str], items: int = 3) -> None:
    """Log an answer of *version* to each of *requests*, a second apart."""
    header = SegmentHeader(f"{at:%H%M%S}-{secrets.token_hex(4)}", at.date(), "small", version, ("item_ctr",))
    frames = [
        ScoredRequest(
            at_micros=to_micros(at + timedelta(seconds=number)),
            as_of_micros=to_micros(at),
            request_id=request,
            salt=secrets.randbits(62),
            user_id=7,
            item_ids=list(range(100, 100 + items)),
            latency_ms=1.0,
            scores=np.linspace(0.9, 0.1, items, dtype=np.float32).tobytes(),
            ranks=np.arange(1, items + 1, dtype=np.int32).tobytes(),
            features=np.full((items, 1), 0.25, np.float32).tobytes(),
        )
        for number, request in enumerate(requests)
    ]
    segment_folder(home).mkdir(parents=True, exist_ok=True)
    content = encode_header(header) + b"".join(map(encode_frame, frames))
    (segment_folder(home) / f"{header.name}.wal").write_bytes(content)


def fed_back(workspace: Workspace, folder: Path, requests: Sequence[str]) -> None:
    """Ingest a click on item 100 and none on item 999 for each of *requests*; nobody was shown the latter."""
    rows: list[dict[str, Any]] = [
        {**event, "interaction_id": f"f{n}-{item}", "item_id": item, "click": int(item == 100), "request_id": request}
        for n, (request, event) in enumerate(zip(requests, events(len(requests), last=NOW), strict=True))
        for item in (100, 999)
    ]
    file = write_jsonl(folder / "feedback.jsonl", rows)
    ingest(workspace.home, file, config=ValidationConfig(), schemas=workspace.system.tables, clock=workspace.clock)


def signed(entry: ModelVersion, key: Any) -> ModelVersion:
    """Return *entry*, signed by *key*."""
    sign_package(entry.package, key)
    return entry


def _card(training_set: TrainingSet, type_: str) -> ModelMetadata:
    train = training_set.splits["train"]
    return ModelMetadata(
        "01890000-0000-7000-8000-000000000000",
        "v0.0.0",
        NOW.isoformat(),
        "",
        type_,
        {"auc": 0.7},
        training_set.schema.version,
        {"start": train.start, "end": train.end},
    )
