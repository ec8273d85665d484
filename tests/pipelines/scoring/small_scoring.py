"""A home with events, a model that serves, and rows that ask to be scored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.features.small_system import NOW
from tests.models.clicks import TRAINING
from tests.pipelines.components.small_training import prepared
from tests.pipelines.two_versions import latest

from orita.control.deployments import Deployments
from orita.core.progress import SILENT
from orita.models.build import build_ranker
from orita.models.config import ModelSection
from orita.models.metadata import ModelMetadata
from orita.models.package import write_package
from orita.models.ranker import FitContext
from orita.models.reading import read_examples
from orita.pipelines.etl import publish_online
from orita.pipelines.scoring import ScoreOptions, ScoreReport, score_table
from orita.pipelines.workspace import Workspace

__all__ = ["SYSTEM", "deploy", "rows_asking", "scored_rows", "scoring", "served_home", "trained_package", "written"]

SYSTEM = "small"
DEVICES = ("mobile", "desktop", "tablet")


def served_home(folder: Path) -> Workspace:
    """Return surroundings with 300 events, published online, and a linear model v1.0.0 that knows ids and serves."""
    workspace = prepared(folder)
    publish_online(workspace)
    trained_package(workspace, "v1.0.0")
    deploy(workspace, "v1.0.0")
    return workspace


def trained_package(workspace: Workspace, version: str, *, seed: int = 0) -> None:
    """Train a model on the training set and write its package, as a version that may serve."""
    schema = workspace.system.schema()
    train, val = (read_examples(latest(workspace).file(part), schema) for part in ("train", "val"))
    section = TRAINING.model_copy(update={"epochs": 1, "batch_size": 64, "learning_rate": 0.05})
    ranker = build_ranker("linear", ModelSection(type="linear", id_embedding_dim=2), section)
    ranker.fit(train, val, FitContext(SILENT, seed=seed))
    at = "2024-11-15T00:00:00+00:00"
    card = ModelMetadata("01890000-0000-7000-8000-000000000000", version, at, "", "linear")
    card = replace(card, feature_schema_version=schema.version)
    write_package(workspace.home.packages / SYSTEM / version, ranker, card, schema, val)


def deploy(workspace: Workspace, version: str) -> None:
    """Make *version* the champion."""
    Deployments(workspace.home.control_db).deploy(SYSTEM, version, actor="test", reason="test")


def rows_asking(count: int, *, begin: datetime = NOW, step: timedelta = timedelta(minutes=-11)) -> list[dict[str, Any]]:
    """Return rows of known users and items, and of some that nobody knows, *step* apart from *begin* on."""
    return [
        {
            "user_id": n % 9,
            "item_id": 100 + n % 6,
            "timestamp": begin + n * step,
            "device": DEVICES[n % 3],
            "order": f"o{n}",
        }
        for n in range(count)
    ]


def scoring(workspace: Workspace, source: object, out: Path, **options: Any) -> ScoreReport:
    """Score *source* into *out*."""
    return score_table(workspace, ScoreOptions(str(source), out, **options))


def scored_rows(out: Path) -> pa.Table:
    """Return all rows of a folder of scores, as any reader of folders of Parquet files has them."""
    return pq.read_table(out)


def written(file: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write *rows* to the Parquet file *file* and return it."""
    pq.write_table(pa.Table.from_pylist(list(rows)), file)
    return file
