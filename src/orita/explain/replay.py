"""A logged request scored again: by the version that answered, which must say the same, or by another, side by side.

Legend: N items of the request, F features of the model that scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import OritaError
from orita.core.home import Home
from orita.core.progress import SILENT, Progress
from orita.events.engine import open_engine
from orita.events.lake import Lake
from orita.events.logged_request import LoggedRequest
from orita.explain.explanation import LoadPackage, logged_request
from orita.features.api.relations import system_tables
from orita.features.history import offline_features
from orita.features.plan import plan_of
from orita.features.schema import FeatureSchema
from orita.features.system import System
from orita.models.package import Package
from orita.monitoring.skew import asked_again

__all__ = ["TOLERANCE", "replay_request"]

TOLERANCE = 1e-6
"""By how much a score may differ where the same version scores the same features again."""

Floats = npt.NDArray[np.float32]


def replay_request(
    home: Home,
    system: System,
    identity: str,
    *,
    load: LoadPackage,
    version: str | None = None,
    memory_mb: int = 1024,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Return what a version makes of a logged request, as plain values.

    Args:
        home: whose log and lake.
        system: the declarations.
        identity: the request's id, or that of one of its predictions.
        load: opens the package of a version.
        version: which version scores, or an alias that *load* knows; None: the one that answered.
        memory_mb: what the engine that reads events may hold.
        progress: where to draw progress.

    ``reproduced`` tells whether the version that answered says the same within `TOLERANCE`; it is None where another
    one scored. ``from_log`` and ``from_history`` name the features by where they were read, ``missing`` those that
    neither has, with the reason: they were given as missing.

    Raises:
        NotFound: the log has no such request, or there is no such version.
        UserError: another system answered it, or the version reads a feature that is not declared any more.
    """
    found = logged_request(home, system, identity, progress=progress)
    package = load(found.model_version if version is None else version)
    same = package.version == found.model_version
    kept = _kept(found, package, load)
    history, missing = _from_history(home, system, found, package, kept, memory_mb)
    x_NF = _matrix(found, package.schema, kept, history)
    scores_N = package.score_user(found.user_id, list(found.item_ids), x_NF, found.objective)
    furthest = float(np.max(np.abs(scores_N.astype(np.float64) - found.scores_N), initial=0.0))
    return {
        "request_id": found.request_id,
        "user_id": found.user_id,
        "as_of": found.as_of.isoformat(),
        "model_version": found.model_version,
        "replayed_by": package.version,
        "reproduced": bool(furthest <= TOLERANCE and not history and not missing) if same else None,
        "largest_difference": furthest,
        "from_log": list(kept),
        "from_history": list(history),
        "missing": missing,
        "items": _side_by_side(found, scores_N),
    }


def _kept(found: LoggedRequest, package: Package, load: LoadPackage) -> list[str]:
    """Return the features that *package* reads and the log has: of one name, and of one meaning where it is known."""
    if package.version == found.model_version:
        return [name for name in package.schema.names if name in found.features]
    meant = _meanings(found, load)
    return [
        column.name
        for column in package.schema.columns
        if column.name in found.features and meant.get(column.name, column.meaning) in ("", column.meaning)
    ]


def _meanings(found: LoggedRequest, load: LoadPackage) -> Mapping[str, str]:
    try:
        return {column.name: column.meaning for column in load(found.model_version).schema.columns}
    except (OritaError, OSError):  # the package that answered may be gone: names are all there is to go by
        return {}


def _from_history(
    home: Home, system: System, found: LoggedRequest, package: Package, kept: Sequence[str], memory_mb: int
) -> tuple[dict[str, Floats], dict[str, str]]:
    """Return the features that the log lacks as history has them for the time of the request, and those it has not."""
    lacking = [column for column in package.schema.columns if column.name not in kept]
    if not lacking:
        return {}, {}
    schema = FeatureSchema(tuple(lacking))
    called = dict(zip(schema.names, system.check(schema, f"model {package.version}"), strict=True))
    tables = system_tables(Lake(home), system)
    rows, left_out = asked_again(system, called, _served(found), tables)
    asked = FeatureSchema(
        tuple(replace(column, name=called[column.name]) for column in lacking if column.name not in left_out)
    )
    with open_engine(home.staging, memory_mb) as connection:
        made = offline_features(plan_of(system), connection, tables.relations, rows, asked, "known", unique=True)
    values = {
        plain: np.asarray(pc.fill_null(made[name].cast(pa.float32()), np.nan).to_numpy())
        for plain, name in called.items()
        if plain not in left_out
    }
    return values, {name: reason for name, reason in left_out.items() if name in called}


def _matrix(found: LoggedRequest, schema: FeatureSchema, kept: Sequence[str], history: Mapping[str, Floats]) -> Floats:
    """Return ``x_NF`` of the features of *schema*: from the log, from history, else missing."""
    x_NF = np.full((len(found.item_ids), len(schema)), np.nan, np.float32)
    for f, name in enumerate(schema.names):
        if name in kept:
            x_NF[:, f] = found.x_NF[:, found.features.index(name)]
        elif name in history:
            x_NF[:, f] = history[name]
    return x_NF


def _served(found: LoggedRequest) -> pa.Table:
    """Return the request as rows of the prediction log."""
    rows = len(found.item_ids)
    columns = [pa.array(found.x_NF[:, f], from_pandas=True) for f in range(len(found.features))]
    features = (
        pa.StructArray.from_arrays(columns, names=list(found.features))
        if columns
        else pa.array([{}] * rows, pa.struct([]))
    )
    return pa.table(
        {
            "user_id": pa.array([found.user_id] * rows),
            "item_id": pa.array(list(found.item_ids)),
            "as_of": pa.array([found.as_of] * rows, pa.timestamp("us", tz="UTC")),
            "features": features,
        }
    )


def _side_by_side(found: LoggedRequest, scores_N: Floats) -> list[dict[str, Any]]:
    """Return the items, the best logged first, with logged and new score and rank."""
    ranks_N = np.empty(len(scores_N), int)
    ranks_N[np.argsort(-scores_N, kind="stable")] = np.arange(1, len(scores_N) + 1)
    return [
        {
            "item_id": found.item_ids[n],
            "score": float(found.scores_N[n]),
            "rank": int(found.ranks_N[n]),
            "replayed_score": float(scores_N[n]),
            "replayed_rank": int(ranks_N[n]),
        }
        for n in np.argsort(found.ranks_N, kind="stable").tolist()
    ]
