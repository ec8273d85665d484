"""Models for tests of their faces: line packages with cards, a registry that remembers, an app over both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import pyarrow as pa
from starlette.applications import Starlette

from orita.control.deployments import Deployments
from orita.core.clock import Clock
from orita.core.errors import OritaError
from orita.core.home import Home
from orita.events.log.log import Appended, Span
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.serving import HashedFeatures, load_line_package, publish_line_package

FEATURES = ("item_ctr", "item_popularity")


def model_id(version: str) -> str:
    """Return the id of the model that `publish_model` makes of *version*."""
    return str(uuid5(NAMESPACE_URL, version))


def publish_model(home: Home, version: str, *, deploy: bool = False, **card: object) -> str:
    """Put a line package with a card into the package store; return its id. *card* replaces what the card says."""
    folder = publish_line_package(home, "feed", version, FEATURES)
    write_card(folder, version, **card)
    if deploy:
        Deployments(home.control_db).deploy("feed", version, actor="test", reason="test")
    return model_id(version)


def write_card(folder: Path, version: str, **card: object) -> None:
    """Write ``model_metadata.json`` into *folder*."""
    content: dict[str, object] = {
        "model_id": model_id(version),
        "model_version": version,
        "training_date": "2024-11-15T08:00:00+02:00",
        "mlflow_run_id": "run-1",
        "model_type": "line",
        "metrics": {"accuracy": 0.8, "auc": 0.75},
        "feature_schema_version": "abc",
        "training_data_date_range": {},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_metadata.json").write_text(json.dumps(content | card), encoding="utf-8")


@dataclass
class StandInRegistry:
    """Promotes by writing into control state, or fails with *error*."""

    home: Home
    registered: dict[str, Path] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    error: OritaError | None = None

    def candidates(self) -> Mapping[str, Path]:
        """Return what is registered."""
        return self.registered

    def publish(self, version: str) -> None:
        """Put *version* into the package store."""
        if self.error is not None:
            raise self.error
        self.asked.append((version, "publish"))
        publish_model(self.home, version)

    def promote(self, version: str, *, reason: str) -> None:
        """Deploy *version*."""
        if self.error is not None:
            raise self.error
        self.asked.append((version, reason))
        publish_model(self.home, version, deploy=True)


class StandInStore:
    """A feature store of one feature, ``length``: how many ids or rows it was asked with."""

    def get_online_features(
        self,
        user_id: int | str | tuple[int | str, ...],
        item_ids: Sequence[int | str | tuple[int | str, ...]],
        /,
        *,
        context: Mapping[str, object] | None = None,
        features: Sequence[str] | None = None,
        at: int | None = None,
    ) -> pa.Table:
        """Answer a row an item."""
        return pa.table({"length": [float(len(item_ids))] * len(item_ids)})

    def get_offline_features(
        self, rows: Sequence[Mapping[str, object]], features: Sequence[str] | None = None, /, *, as_of: str = "known"
    ) -> pa.Table:
        """Answer a row a row."""
        return pa.table({"length": [float(len(rows))] * len(rows)})

    def push_features(self, events: Sequence[Mapping[str, object]], source: str | None = None, /) -> Appended:
        """Take events."""
        return {0: Span(0, len(events))}


def model_app(home: Home, clock: Clock, registry: StandInRegistry | None, **settings: object) -> Starlette:
    """Return an app over the package store of *home*."""
    config = ServingConfig.model_validate({"reload_seconds": 0.01, **settings})
    features = HashedFeatures(FEATURES)
    return create_app(
        home,
        "feed",
        features,
        config,
        clock=clock,
        load=load_line_package,
        registry=registry,
        outcomes={"click": "flag", "like": "flag"},
    )
