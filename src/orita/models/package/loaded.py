"""A model that was loaded, and scores.

Legend: N rows, F features, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import NotFound, UserError, closest
from orita.features.id_list import numbers_of
from orita.features.schema import FeatureSchema
from orita.models.examples import Examples, Ids
from orita.models.graph import HEADS, OUTPUT, run_graph
from orita.models.metadata import ModelMetadata
from orita.models.objectives import Head
from orita.models.package.description import RANKER, Description
from orita.models.package.keys import PublicKey
from orita.models.package.request_graph import RequestGraph
from orita.models.package.sample_check import answering, furthest
from orita.models.package.tables import Sample
from orita.models.vocabulary import Vocabulary

__all__ = ["SAMPLE_TOLERANCE", "Package"]

SAMPLE_TOLERANCE = 1e-5
_BLOCK_ROWS = 16_384  # bounds the memory of a long table


@dataclass(frozen=True, slots=True)
class Package:
    """A loaded model that scores rows; safe to share between threads.

    Attributes:
        folder: where it was loaded from.
        metadata: its card.
        schema: the features it reads, in the order of ``x_NF``.
        description: its graphs, and what is done before and after them.
        signer: whose signature was checked; None where nobody was to be trusted, or nobody known signed.
    """

    folder: Path
    metadata: ModelMetadata
    schema: FeatureSchema
    description: Description
    signer: PublicKey | None
    _sample: Sample
    _sessions: Mapping[str, Any]
    _inputs: Mapping[str, Any]
    _users: Vocabulary | None
    _items: Vocabulary | None
    _request_graph: RequestGraph

    @property
    def version(self) -> str:
        """The model's version, ``v1.2.3``."""
        return self.metadata.model_version

    @property
    def extra(self) -> Mapping[str, Any]:
        """What its writer kept beside the card (``package.json``)."""
        return self.description.extra

    @property
    def sample(self) -> Examples:
        """The rows that it keeps to be checked by, with its graph's outputs as labels."""
        return self._sample.rows

    @property
    def heads(self) -> tuple[Head, ...]:
        """What it foretells where it has several heads, the label's first; empty where it has one."""
        return self.description.heads

    @property
    def objective(self) -> Mapping[str, float]:
        """What one unit of each head is worth in the score; empty where it has one head."""
        return self.description.objective

    @property
    def label_objective(self) -> Mapping[str, float] | None:
        """The objective by which `score` is the chance of the label; None where there is one head, which is that."""
        return {self.heads[0].name: 1.0} if self.heads else None

    def score(
        self,
        users_N: Ids,
        items_N: Ids,
        x_NF: npt.NDArray[np.float32],
        objective: Mapping[str, float] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return ``scores_N`` in [0, 1], in the order of the rows; unknown ids are allowed.

        They are click probabilities, or with several heads what rows are worth by the objective.

        Args:
            users_N, items_N, x_NF: the rows.
            objective: what one unit of each head is worth, by name; None: as the package declares.

        Raises:
            UserError: the lengths disagree, ``x_NF`` has another number of columns than the schema, or *objective*
                weighs what is no head.
        """
        return self.description.score(self.outputs(users_N, items_N, x_NF), objective)

    def score_heads(self, users_N: Ids, items_N: Ids, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return ``p_NH``, the calibrated output of each of `heads`, in [0, 1]: of an amount the share of its cap.

        Raises:
            UserError: as `score`, or it has one head.
        """
        if not self.heads:
            raise UserError(f"{self.folder} has one head: use score.")
        p_NH = self.outputs(users_N, items_N, x_NF)
        return np.column_stack([head.calibration.apply(p_NH[:, h]) for h, head in enumerate(self.heads)])

    def known(self, users_N: Ids, items_N: Ids) -> dict[str, npt.NDArray[np.bool_]]:
        """Return of ``users`` and ``items`` which ids it was trained on, [N]; what it knows no ids of is left out."""
        asked = {"users": (self._users, users_N), "items": (self._items, items_N)}
        return {what: known.rows(ids_N) > 0 for what, (known, ids_N) in asked.items() if known is not None}

    def score_user(
        self,
        user_id: int | str,
        item_ids: Ids | Sequence[int | str],
        x_NF: npt.NDArray[np.float32],
        objective: Mapping[str, float] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return ``scores_N`` of *item_ids* for one user in one context; ``x_NF`` has one row an item.

        User and context features are the same in all rows; a graph that can takes them from the first row alone. What
        it makes of items alone it makes once, as long as they stay the same.
        *objective* is as of `score`: a deployment or a request may have weights of its own.

        Raises:
            UserError: as `score`.
        """
        if len(item_ids) != len(x_NF):
            raise UserError(f"score_user was given {len(item_ids)} items and {len(x_NF)} rows; they must agree.")
        user_row = None if self._users is None else np.array([self._users.row(user_id)], np.int64)
        if user_row is not None and self._inputs["users"] != "U":
            user_row = user_row.repeat(len(x_NF))
        number_N = None if isinstance(item_ids, np.ndarray) else numbers_of(item_ids)
        items_N = item_ids if number_N is None else number_N
        return self.description.score(self._run(user_row, items_N, x_NF, request=True), objective)

    def score_requests(
        self,
        user_ids: Sequence[int | str],
        lengths: Sequence[int],
        item_ids: Sequence[int | str],
        x_NF: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Return ``scores_N`` of several requests, one after the other, in one run: what `score_user` says of each.

        It costs less where requests have few items. Equal within 1e-6: how a sum is made may depend on how many rows
        there are.

        Args:
            user_ids: one for each request.
            lengths: how many rows each has, at least 1.
            item_ids, x_NF: the rows of all.

        Raises:
            UserError: as `score`, or the lengths disagree.
        """
        if not (len(user_ids) == len(lengths) and sum(lengths) == len(item_ids) == len(x_NF)):
            raise UserError(
                f"score_requests was given {len(user_ids)} users, {len(lengths)} lengths of {sum(lengths)} rows, "
                f"{len(item_ids)} items and {len(x_NF)} rows; they must agree."
            )
        user_rows_N = None if self._users is None else self._users.rows(user_ids).repeat(lengths)
        return self.description.score(self._run(user_rows_N, item_ids, x_NF, request=True))

    def run(self, graph: str, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Return the outputs by name of one of the package's graphs, as it is: without the declared steps.

        Raises:
            NotFound: it has no such graph.
        """
        if graph not in self._sessions:
            raise NotFound(f"{self.folder} has no graph {graph!r}. {closest(graph, self._sessions)}")
        session = self._sessions[graph]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    def check_sample(self) -> None:
        """Score the rows that were kept when the package was written.

        The graph must give what it gave then, and the steps after it must make of that what they made then: apart, as a
        calibration may be so steep that it turns a rounding of the graph into more than a rounding.

        The last ids that the package knows are asked for as well: a list of ids that is longer than the graph's table
        of them would fail at the first request that names one.

        Raises:
            UserError: a score differs by more than 1e-5 from the one kept, or is no number; or the graph fails, or
                does not give one score a row.
        """
        sample, rows = self._sample, self._sample.rows
        with answering(self.folder):
            now, final_N = self.outputs(rows.users_N, rows.items_N, rows.x_NF), self.description.score(sample.outputs)
            users_1, items_1 = (
                known.ids_V[-1:] if known else own_N[:1]
                for known, own_N in ((self._users, rows.users_N), (self._items, rows.items_N))
            )
            self.outputs(users_1, items_1, rows.x_NF[:1])
            asked = self._outputs_as_asked(rows)
        if now.shape != sample.outputs.shape:
            raise UserError(
                f"{self.folder} answers the {len(rows)} rows of its own sample with the shape {now.shape}, expected "
                f"{sample.outputs.shape}: its graph does not give one score a row."
            )
        difference = max(furthest(final_N, sample.final_N), *(furthest(each, sample.outputs) for each in (now, asked)))
        if not difference <= SAMPLE_TOLERANCE:
            raise UserError(
                f"{self.folder} scores its own sample {difference:.2g} away from the scores kept with it, "
                f"allowed is {SAMPLE_TOLERANCE:g}; write the package again."
            )

    def outputs(self, users_N: Ids, items_N: Ids, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return what the graph gives before the steps after it: ``scores_N``, or ``p_NH`` where it has several heads.

        Raises:
            UserError: the lengths disagree, or ``x_NF`` has another number of columns than the schema.
        """
        if not len(users_N) == len(items_N) == len(x_NF):
            raise UserError(
                f"score was given {len(users_N)} users, {len(items_N)} items and {len(x_NF)} rows; they must agree."
            )
        user_rows_N = None if self._users is None else self._users.rows(users_N)
        if len(x_NF) <= _BLOCK_ROWS:
            return self._run(user_rows_N, items_N, x_NF)
        blocks = [slice(start, start + _BLOCK_ROWS) for start in range(0, len(x_NF), _BLOCK_ROWS)]
        return np.concatenate(
            [self._run(None if user_rows_N is None else user_rows_N[b], items_N[b], x_NF[b]) for b in blocks]
        )

    def _outputs_as_asked(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return `outputs` on the way of `score_user`."""
        user_rows_N = None if self._users is None else self._users.rows(rows.users_N)
        return self._run(user_rows_N, rows.items_N, rows.x_NF, request=True)

    def _run(
        self,
        user_rows_N: npt.NDArray[np.int64] | None,
        items_N: Any,
        x_NF: npt.NDArray[np.float32],
        *,
        request: bool = False,
    ) -> npt.NDArray[np.float32]:
        """Return what the graph gives; *request*: as requests run it."""
        if x_NF.ndim != 2 or x_NF.shape[1] != len(self.schema):
            raise UserError(
                f"x_NF has the shape {x_NF.shape}, expected {len(self.schema)} columns: {', '.join(self.schema.names)}."
            )
        if len(x_NF) == 0:
            return np.zeros((0, len(self.heads)) if self.heads else 0, np.float32)
        feeds: dict[str, npt.NDArray[Any]] = {}
        if "features" in self._inputs:
            feeds["features"] = self._prepared(x_NF)
        if user_rows_N is not None:
            feeds["users"] = user_rows_N
        if self._items is not None:
            feeds["items"] = self._items.rows(items_N)
        output = HEADS if self.heads else OUTPUT
        if request:
            return self._request_graph.run(items_N, feeds, output)
        return run_graph(self._sessions[RANKER], feeds, output)

    def _prepared(self, x_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if not self.description.pre:
            return np.ascontiguousarray(x_NF, dtype=np.float32)
        x_NF = np.array(x_NF, np.float32)
        for step in self.description.pre:
            step.apply(x_NF, self.schema)
        return x_NF
