"""Stand-ins to try a server without store and training: features from a hash, a model that is a mean.

Legend: N items, F features.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import NotFound, UserError, closest
from orita.core.home import Home
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.metadata import ModelMetadata
from orita.models.objectives import Head

__all__ = ["HashedFeatures", "LinePackage", "load_line_package", "publish_line_package"]

_FILE = "line.json"


class HashedFeatures:
    """Features in [0, 1), equal for equal user, item and name; names other than *known* are refused."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known = tuple(known)
        self.refreshed = 0

    def refresh(self) -> bool:
        """Count how often it was asked for news; there are none."""
        self.refreshed += 1
        return False

    def reader(self, schema: FeatureSchema, /) -> HashedReader:
        """Return a reader of *schema*.

        Raises:
            NotFound: a feature is not known.
        """
        for name in schema.names:
            if name not in self.known:
                raise NotFound(f"feature {name!r} is not declared. {closest(name, self.known)}")
        return HashedReader(schema)


@dataclass(frozen=True, slots=True)
class HashedReader:
    """Reads hashed features of one schema."""

    schema: FeatureSchema

    def matrix(
        self, user_id: int | str, item_ids: Sequence[int | str], context: Mapping[str, object], at: int, /
    ) -> npt.NDArray[np.float32]:
        """Return ``x_NF``; the first feature of item 0 is missing (NaN); a time before 2000 is refused."""
        if at < 946_684_800_000_000:
            raise UserError(f"timestamp {at} is before what the features know: send a later one.")
        user = zlib.crc32(str(user_id).encode())
        items_N = np.array(
            [item if isinstance(item, int) else zlib.crc32(item.encode()) for item in item_ids], np.uint64
        )
        names_F = np.array([zlib.crc32(name.encode()) for name in self.schema.names], np.uint64)
        mixed_NF = (items_N[:, None] * 2654435761 + names_F * 40503 + user) % 1_000_003
        x_NF = (mixed_NF / 1_000_003).astype(np.float32)
        x_NF[items_N == 0, :1] = np.nan
        return x_NF


@dataclass(frozen=True, slots=True)
class LinePackage:
    """A model that scores the mean of its features; it has what serving asks of a package."""

    version: str
    schema: FeatureSchema
    metadata: ModelMetadata
    extra: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    heads: tuple[Head, ...] = ()
    objective: Mapping[str, float] = field(default_factory=dict)

    def score_user(
        self,
        user_id: int | str,
        item_ids: Sequence[int | str],
        x_NF: npt.NDArray[np.float32],
        /,
        *,
        objective: Mapping[str, float] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return ``scores_N``, the mean of each row, a missing value counting 0; there is nothing to weigh."""
        scores_N = np.nan_to_num(x_NF).mean(axis=1).astype(np.float32)
        return np.full_like(scores_N, np.nan) if self.fault == "nan" else scores_N

    def score_requests(
        self,
        user_ids: Sequence[int | str],
        lengths: Sequence[int],
        item_ids: Sequence[int | str],
        x_NF: npt.NDArray[np.float32],
        /,
    ) -> npt.NDArray[np.float32]:
        """Return ``scores_N`` of several requests, as `score_user` scores each."""
        return self.score_user("", item_ids, x_NF)

    def check_sample(self) -> None:
        """Pass, unless the package was published with the fault ``sample``."""
        if self.fault == "sample":
            raise UserError(f"package {self.version} scores its own sample 0.5 away from the scores kept with it.")


def publish_line_package(home: Home, system: str, version: str, features: Sequence[str], *, fault: str = "") -> Path:
    """Put a line package where a server looks for it; return its folder.

    Args:
        home: whose package store.
        system: the system's name.
        version: ``v1.2.3``.
        features: names of the features it reads.
        fault: ``load`` (does not load), ``sample`` (fails its sample), ``nan`` (scores no numbers), or none.
    """
    folder = home.packages / system / version
    folder.mkdir(parents=True, exist_ok=True)
    content = {"version": version, "features": list(features), "fault": fault}
    (folder / _FILE).write_text(json.dumps(content), encoding="utf-8")
    return folder


def load_line_package(folder: Path) -> LinePackage:
    """Return the line package in *folder*.

    Raises:
        UserError: there is none, or it was published with the fault ``load``.
    """
    try:
        content = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no package: publish one.") from None
    if content["fault"] == "load":
        raise UserError(f"{folder / _FILE} does not match its checksum: publish the package again.")
    schema = FeatureSchema(tuple(FeatureColumn(name, "item") for name in content["features"]))
    version = content["version"]
    metadata = ModelMetadata(
        model_id=f"line-{version}",
        model_version=version,
        training_date="2024-11-15T00:00:00Z",
        mlflow_run_id="",
        model_type="line",
        metrics={"accuracy": 0.8, "auc": 0.75},
        feature_schema_version=schema.version,
    )
    return LinePackage(version, schema, metadata, {"model": {"embedding_dim": 0}}, content["fault"])
