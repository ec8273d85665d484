"""A home in which small models were trained, and one of them answered requests as a server does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tests.features.small_system import NOW
from tests.registry.small_registry import registered, trained_home

from orita.core.clock import to_micros
from orita.events.prediction_files import convert_segment, segment_folder
from orita.events.prediction_segment import ScoredRequest, SegmentHeader, encode_frame, encode_header
from orita.features.api.feature_store import FeatureStore
from orita.models.package import Package, load_package
from orita.pipelines.etl import publish_online
from orita.pipelines.workspace import Workspace

__all__ = ["ITEMS", "answered", "loader", "served_home"]

ITEMS: tuple[int | str, ...] = (100, 102, 104, 999)


def served_home(folder: Path, type_: str = "two_tower") -> tuple[Workspace, Package]:
    """Return a home whose champion of *type_* answered the request ``r1`` of user 3, on a phone, for `ITEMS`."""
    workspace = trained_home(folder)
    entry = registered(workspace, type_)
    workspace.catalogue().promote("small", entry.version, actor="ada", reason="the first")
    publish_online(workspace)
    package = load_package(entry.package)
    answered(workspace, package, "r1", 3)
    return workspace, package


def answered(
    workspace: Workspace,
    package: Package,
    request_id: str,
    user: int | str,
    items: Sequence[int | str] = ITEMS,
    *,
    features: Sequence[str] | None = None,
    at: datetime = NOW,
    spoilt: float = 0.0,
) -> None:
    """Log what *package* answers now; of its *features*, or all, and with scores that are *spoilt* by so much."""
    names = package.schema.names
    with closing(FeatureStore(workspace.home, workspace.system, clock=workspace.clock)) as store:
        read = store.get_online_features(user, items, context={"device": "mobile"}, features=None)
    x_NF = np.column_stack([pc.fill_null(read[name].cast(pa.float32()), np.nan).to_numpy() for name in names])
    scores_N = package.score_user(user, list(items), x_NF) + np.float32(spoilt)
    ranks_N = np.empty(len(items), np.int32)
    ranks_N[np.argsort(-scores_N, kind="stable")] = np.arange(1, len(items) + 1)
    kept = list(names if features is None else features)
    header = SegmentHeader(f"{at.date()}-{request_id}", at.date(), "small", package.version, tuple(kept))
    request = ScoredRequest(
        at_micros=to_micros(at),
        as_of_micros=to_micros(NOW),
        request_id=request_id,
        salt=hash(request_id) % 2**61,
        user_id=user,
        item_ids=list(items),
        latency_ms=1.5,
        scores=scores_N.astype(np.float32).tobytes(),
        ranks=ranks_N.tobytes(),
        features=np.ascontiguousarray(x_NF[:, [names.index(name) for name in kept]], np.float32).tobytes(),
    )
    path = segment_folder(workspace.home) / f"{header.name}.wal"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_header(header) + encode_frame(request))
    convert_segment(workspace.home, path)


class loader:  # noqa: N801 - called like a function
    """Opens the packages of versions, those that were *added* before those of the catalogue."""

    def __init__(self, workspace: Workspace, *added: Package) -> None:
        self._workspace = workspace
        self._added = {package.version: package for package in added}

    def __call__(self, version: str) -> Package:
        """Return the package of *version*, which may be an alias."""
        if version in self._added:
            return self._added[version]
        return load_package(self._workspace.catalogue().get("small", version).package)
