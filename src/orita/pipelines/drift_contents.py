"""Texts and embeddings that a monitoring run compares: read from the tables of attributes, or taken from the features.

Attributes are as they were when the requests of a sample ended, where the lake still has that; else as they are now.

Legend: R requests, D dimensions of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.errors import NotFound, UserError, closest
from orita.events.lake import Lake, Snapshot
from orita.events.lake.arrivals import rows_of
from orita.features.declarations import Entity
from orita.monitoring.drift.content_series import text_series, vector_series
from orita.monitoring.drift.evidence import Series
from orita.monitoring.reference import Reference
from orita.monitoring.sample import RequestSample, hashed_ids
from orita.pipelines.graph import Result
from orita.pipelines.workspace import Workspace

__all__ = ["drift_contents"]

Owner = Literal["user", "item"]

_TEXT_TYPES = ("str", "category")
_NUMBER_TYPES = ("int", "float", "flag")


def drift_contents(
    workspace: Workspace, results: Mapping[str, Result], reference: Reference, recent: RequestSample
) -> list[Series]:
    """Return the texts and embeddings that ``drift_detection`` declares, of the requests of both samples.

    Raises:
        UserError: an attribute or a feature that is declared is not there, or is of another type.
    """
    config, schema = workspace.monitoring.drift_detection, recent.schema
    sides = (reference.sample, _ends(results["load_recent_predictions"], reference)), (recent, _recent_end(results))
    found: list[Series] = []
    for text in config.texts:
        owner, columns = _attributes(workspace, "texts", (text,), _TEXT_TYPES)
        before, now = (_looked_up(workspace, owner, columns, *side)[0].to_pylist() for side in sides)
        found += text_series(text, owner.side, (reference, before), (recent, now))
    for name, patterns in config.embeddings.items():
        if any("." in pattern for pattern in patterns):
            owner, columns = _attributes(workspace, f"embeddings.{name}", patterns, _NUMBER_TYPES)
            first, second = (_matrix(_looked_up(workspace, owner, columns, *side)) for side in sides)
            found.append(vector_series(name, owner.side, (reference, first), (recent, second)))
        else:
            features = _matching(f"embeddings.{name}", patterns, schema.names, "features of the model")
            at = [schema.index(each) for each in features]
            whose: Owner = "item" if all(schema.columns[f].side == "item" for f in at) else "user"
            vectors = reference.sample.x_RF[:, at], recent.x_RF[:, at]
            found.append(vector_series(name, whose, (reference, vectors[0]), (recent, vectors[1])))
    return found


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose attributes, and on which side of a request."""

    entity: Entity
    side: Owner

    def ids(self, sample: RequestSample) -> npt.NDArray[np.int64]:
        """Return the digest of the owner of each request, [R]."""
        return sample.items_R if self.side == "item" else sample.users_R


def _attributes(
    workspace: Workspace, key: str, named: Sequence[str], types: Sequence[str]
) -> tuple[_Owner, tuple[str, ...]]:
    system = workspace.system
    owners = {system.user.name: _Owner(system.user, "user"), system.item.name: _Owner(system.item, "item")}
    parts = [each.partition(".") for each in named]
    owner = owners.get(parts[0][0])
    if owner is None or any(each[0] != parts[0][0] for each in parts):
        raise UserError(
            f"drift_detection.{key} has {', '.join(named)}: name attributes of one of {' and '.join(owners)}, such as "
            f"{system.item.name}.title."
        )
    kinds = {column.name: column.type for column in owner.entity.attributes}
    columns = _matching(key, [column for _, _, column in parts], kinds, f"attributes of {owner.entity.name}")
    for column in columns:
        if kinds[column] not in types:
            raise UserError(
                f"drift_detection.{key} has {owner.entity.name}.{column}, which is of type {kinds[column]}: "
                f"choose columns of type {' or '.join(types)}."
            )
    return owner, columns


def _matching(key: str, patterns: Sequence[str], names: Iterable[str], what: str) -> tuple[str, ...]:
    names, found = tuple(names), dict[str, None]()
    for pattern in patterns:
        matched = [name for name in names if fnmatchcase(name, pattern)]
        if not matched:
            raise NotFound(
                f"drift_detection.{key} has {pattern}, which is not among the {what}. {closest(pattern, names)}"
            )
        found.update(dict.fromkeys(matched))
    return tuple(found)


def _ends(window: Result, reference: Reference) -> datetime:
    spans = window["reference"]["spans"]
    return datetime.fromisoformat(spans[-1][1]) if spans else reference.made_at


def _recent_end(results: Mapping[str, Result]) -> datetime:
    return datetime.fromisoformat(results["load_recent_predictions"]["end"])


def _looked_up(
    workspace: Workspace, owner: _Owner, columns: tuple[str, ...], sample: RequestSample, at: datetime
) -> list[pa.Array]:
    """Return each column of the owner of each request, null where it is not known."""
    entity, wanted_R = owner.entity, owner.ids(sample)
    assert entity.table is not None
    ids_K, values = _stored(_as_of(Lake(workspace.home), entity.table, at), entity.table_column, columns)
    order_K = np.argsort(ids_K, kind="stable")
    place_R = np.searchsorted(ids_K[order_K], wanted_R)
    place_R[place_R == len(ids_K)] = 0
    known_R = ids_K[order_K][place_R] == wanted_R if len(ids_K) else np.zeros(len(wanted_R), np.bool_)
    rows = pa.array(order_K[place_R] if len(ids_K) else place_R, mask=~known_R)
    return [column.take(rows) for column in values]


def _as_of(lake: Lake, table: str, at: datetime) -> Snapshot:
    try:
        return lake.snapshot(table, at=at)
    except NotFound:  # it is younger than the requests, or what it was is vacuumed
        return lake.snapshot(table)


def _stored(snapshot: Snapshot, key: str, columns: tuple[str, ...]) -> tuple[npt.NDArray[np.int64], list[pa.Array]]:
    there = [name for name in columns if name in snapshot.schema.names]
    rows = rows_of(snapshot, columns=[key, *there])
    values = {name: rows[name].combine_chunks() for name in there}
    return hashed_ids(rows[key]), [values.get(name, pa.nulls(len(rows), pa.string())) for name in columns]


def _matrix(columns: Iterable[pa.Array]) -> npt.NDArray[np.float64]:
    """Return the vectors, [R, D], NaN where a value is missing."""
    return np.column_stack([np.asarray(c.cast(pa.float64()).to_numpy(zero_copy_only=False)) for c in columns])
