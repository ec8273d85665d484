"""One answered request as it was logged, out of the rows of its items.

Legend: N items of the request, F features.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import NotFound, closest

__all__ = ["TAIL", "LoggedRequest", "latest_answer"]

TAIL = 19
"""Where, in a prediction id, begins what all rows of one answer share."""


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One answer as it was logged, its items in the order of the request.

    Attributes:
        request_id, system, model_version, user_id: of the request; ids are text.
        at: when it was answered.
        as_of: the time its features were computed for.
        latency_ms: inside the server.
        prediction_ids: N ids.
        item_ids: N ids, as text.
        scores_N: float32.
        ranks_N: from 1.
        features: F names.
        x_NF: float32, NaN where missing.
        answers: how many answers of this request id lie beside it in the log; this is the latest of them.
        level: how good the answer is: 1 the model's, 2 and more what stood in for it, without features.
        cached: whether its scores were computed for an earlier request.
        objective: what one unit of each head was worth, where the request weighed them.
        rollout: the rollout whose dice chose the model, None where none did.
        variant: the variant of a rollout that answered, None where none ran.
    """

    request_id: str
    system: str
    model_version: str
    user_id: str
    at: datetime
    as_of: datetime
    latency_ms: float
    prediction_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    scores_N: npt.NDArray[np.float32]
    ranks_N: npt.NDArray[np.int32]
    features: tuple[str, ...]
    x_NF: npt.NDArray[np.float32]
    answers: int = 1
    level: int = 1
    cached: bool = False
    objective: Mapping[str, float] | None = None
    rollout: str | None = None
    variant: str | None = None

    def place(self, item: str) -> int:
        """Return the position of *item* in the request.

        Raises:
            NotFound: it was not among the items.
        """
        if item not in self.item_ids:
            raise NotFound(f"request {self.request_id} did not ask for item {item!r}. {closest(item, self.item_ids)}")
        return self.item_ids.index(item)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain JSON values, its items best first; a missing feature is null."""
        told = {name: getattr(self, name) for name in ("request_id", "system", "model_version", "user_id")}
        items = [
            {
                "item_id": self.item_ids[n],
                "score": float(self.scores_N[n]),
                "rank": int(self.ranks_N[n]),
                "prediction_id": self.prediction_ids[n],
                "features": {
                    name: None if np.isnan(value) else value
                    for name, value in zip(self.features, self.x_NF[n].tolist(), strict=True)
                },
            }
            for n in np.argsort(self.ranks_N, kind="stable").tolist()
        ]
        times = {"at": self.at.isoformat(), "as_of": self.as_of.isoformat()}
        counts = {"latency_ms": self.latency_ms, "answers": self.answers, "level": self.level, "cached": self.cached}
        by = {"objective": self.objective, "rollout": self.rollout, "variant": self.variant}
        return {**told, **times, **counts, **by, "items": items}


def latest_answer(rows: pa.Table) -> LoggedRequest:
    """Return the latest of the answers in *rows*, which share a request id, or are one."""
    tails = pc.utf8_slice_codeunits(rows["prediction_id"], TAIL)
    latest = pc.max(rows["timestamp"])
    tail = tails.filter(pc.equal(rows["timestamp"], latest))[0]
    chosen = rows.filter(pc.equal(tails, tail)).sort_by("prediction_id")
    first = chosen.slice(0, 1).drop_columns([n for n in ("features",) if n in chosen.column_names]).to_pylist()[0]
    features, x_NF = _features(chosen)
    return LoggedRequest(
        request_id=first["request_id"],
        system=first["system"],
        model_version=first["model_version"],
        user_id=first["user_id"],
        at=first["timestamp"],
        as_of=first["as_of"],
        latency_ms=first["latency_ms"],
        prediction_ids=tuple(chosen["prediction_id"].to_pylist()),
        item_ids=tuple(chosen["item_id"].to_pylist()),
        scores_N=chosen["score"].to_numpy().astype(np.float32),
        ranks_N=chosen["rank"].to_numpy().astype(np.int32),
        features=features,
        x_NF=x_NF,
        answers=len(tails.unique()),
        level=first.get("level") or 1,  # files of before have no such column, or none in these rows
        cached=bool(first.get("cached")),
        objective=json.loads(first["objective"]) if first.get("objective") else None,
        rollout=first.get("rollout"),
        variant=first.get("variant"),
    )


def _features(rows: pa.Table) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    if "features" not in rows.column_names:  # Parquet has no struct without fields
        return (), np.empty((len(rows), 0), np.float32)
    names = tuple(field.name for field in rows.schema.field("features").type)
    x_NF = np.empty((len(rows), len(names)), np.float32)
    for f, name in enumerate(names):
        values = pc.struct_field(rows["features"], name).cast(pa.float32())
        x_NF[:, f] = pc.fill_null(values, np.nan).to_numpy()
    return names, x_NF
