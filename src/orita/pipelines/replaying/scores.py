"""Logged requests scored again by the version that answered, from the features that were logged.

Legend: N rows, R requests, F features.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.explain.replay import TOLERANCE
from orita.models.package import Package
from orita.pipelines.replaying.features import Compared
from orita.pipelines.replaying.findings import Part
from orita.pipelines.replaying.rebuilding import logged_values
from orita.pipelines.replaying.requests import days_of

__all__ = ["Scored", "score_again"]

NOT_LOGGED = "rows whose log lacks a feature that the version reads"


class Scored:
    """The rows of one version with logged and new scores.

    Args:
        package: of that version.
        logged: rows of the prediction log.
    """

    def __init__(self, package: Package, logged: pa.Table) -> None:
        self.package, self.logged = package, logged
        there = {field.name for field in logged["features"].type}
        self.possible = set(package.schema.names) <= there
        self._requests = list(_requests(logged))
        self._x_NF = np.full((len(logged), len(package.schema)), np.nan, np.float32)
        for f, name in enumerate(package.schema.names):
            if name in there:
                self._x_NF[:, f] = logged_values(logged, name)
        self.was_N = np.asarray(logged["score"].to_numpy(), np.float32)
        self.is_N = self._scores(self._x_NF) if self.possible else self.was_N

    @property
    def wrong_N(self) -> npt.NDArray[np.bool_]:  # noqa: N802 - an array's name carries its shape
        """In which rows the score is another."""
        return ~_same(self.was_N, self.is_N)

    def altered(self, compared: Compared) -> npt.NDArray[np.bool_]:
        """Return the rows whose logged score follows from the rebuilt features, and not from those that were logged."""
        wrong_N = self.wrong_N
        if not wrong_N.any():
            return wrong_N
        x_NF = self._x_NF.copy()
        for f, name in enumerate(self.package.schema.names):
            if name in compared.rebuilt:
                differs_N = compared.wrong_N[name]
                x_NF[differs_N, f] = compared.rebuilt[name][differs_N]
        return np.asarray(wrong_N & _same(self.was_N, self._scores(x_NF)))

    def _scores(self, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        scores_N = np.empty(len(x_NF), np.float32)
        users, items = self.logged["user_id"], self.logged["item_id"]
        for rows_R, objective in self._requests:
            chosen = pa.array(rows_R)
            scores_N[rows_R] = self.package.score_user(
                users[int(rows_R[0])].as_py(), items.take(chosen).to_pylist(), x_NF[rows_R], objective
            )
        return scores_N


def score_again(part: Part, scored: Scored, altered_N: npt.NDArray[np.bool_] | None) -> None:
    """Count in *part* which logged scores the version gives again; *altered_N*, where its features were altered."""
    if not scored.possible:
        part.leave_out(NOT_LOGGED, len(scored.logged))
        return
    wrong_N, days = scored.wrong_N, np.array(days_of(scored.logged))
    for day in np.unique(days):
        of_day_N = days == day
        part.compared(scored.package.version, str(day), int(of_day_N.sum()), int(wrong_N[of_day_N].sum()))
    for n in np.flatnonzero(wrong_N).tolist():
        row = scored.logged.slice(n, 1)
        example = {
            "request_id": row["request_id"][0].as_py(),
            "item_id": row["item_id"][0].as_py(),
            "model_version": scored.package.version,
            "logged": float(scored.was_N[n]),
            "again": float(scored.is_N[n]),
        }
        altered = altered_N is not None and altered_N[n]
        part.differs("altered_features" if altered else "other_score", 1, example)


def _requests(logged: pa.Table) -> Iterator[tuple[npt.NDArray[np.intp], dict[str, float] | None]]:
    """Yield the rows of each answer, and what a unit of each head was worth, where the request said so."""
    told = logged.select(["user_id", "objective"])
    # A caller may use an id again, also at once: user, time and weights are one in an answer.
    keys = pc.binary_join_element_wise(
        logged["request_id"].fill_null(""),
        logged["timestamp"].cast(pa.int64()).cast(pa.string()),
        told["user_id"].fill_null(""),
        told["objective"].fill_null(""),
        "\x1f",
    )
    code_N = keys.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    order = np.argsort(code_N, kind="stable")
    for rows_R in np.split(order, np.flatnonzero(np.diff(code_N[order])) + 1):
        if len(rows_R):
            objective = told["objective"][int(rows_R[0])].as_py()
            yield rows_R, json.loads(objective) if objective else None


def _same(was_N: npt.NDArray[np.float32], is_N: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    gap_N = np.abs(was_N.astype(np.float64) - is_N.astype(np.float64))
    return np.asarray(gap_N <= TOLERANCE)
