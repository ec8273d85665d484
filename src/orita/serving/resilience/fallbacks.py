"""Levels 3 and 4: the order of a published table of popularity, and a list from the configuration.

A table is a Parquet file of ``item_id`` (integers or texts) and ``score`` (a click rate, 0 to 1), published beside a
deployment, read once, and asked without any store; a server makes one itself of what its online store counts
(`orita.serving.resilience.popularity`):

    write_popularity(path, item_ids, clicks_N, shown_N)
    table = PopularityTable.read(path)
    scores_N = table.scores(item_ids)

Legend: N items, of the table or of one request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.core.whole_ids import spelt_as_in, whole_id
from orita.features.online.item_pieces import Ids

__all__ = ["PopularityTable", "StaticList", "write_popularity"]

_SMOOTHING = 20.0
_PRIOR = b"orita.prior"
_NO_NUMBER = -1  # ids are not negative

Id = int | str
Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.float64]


def write_popularity(path: Path, item_ids: Sequence[Id], clicks_N: Counts, shown_N: Counts) -> None:
    """Write smoothed click rates to *path*: (clicks + 20 r) ÷ (shown + 20), r being the rate of all items together.

    Args:
        path: replaced as a whole, or not at all.
        item_ids: N ids, each once, all integers or all texts.
        clicks_N: how often each was clicked.
        shown_N: how often each was shown; at least its clicks.

    Raises:
        UserError: lengths differ, an id is there twice, ids are of two kinds, or there are more clicks than showings.
    """
    if not len(item_ids) == len(clicks_N) == len(shown_N) or len(set(item_ids)) != len(item_ids):
        raise UserError("a popularity table needs ids that are there once, each with its clicks and its showings.")
    if len({type(item) for item in item_ids}) > 1:
        raise UserError("a popularity table has item ids of two kinds: give integers or texts, not both.")
    if not np.all((clicks_N >= 0) & (clicks_N <= shown_N)):
        raise UserError("a popularity table needs 0 ≤ clicks ≤ showings for every item.")
    scores_N, prior = _smoothed(clicks_N, shown_N)
    table = pa.table({"item_id": list(item_ids), "score": scores_N})
    with atomic_file(path) as partial:
        pq.write_table(table.replace_schema_metadata({_PRIOR: repr(prior).encode()}), partial)


class PopularityTable:
    """Scores items by how popular they are, whoever asks.

    Args:
        item_ids: N ids, each once, all integers or all texts.
        scores_N: click rates, 0 to 1.
        prior: that of an item that is not among them.
    """

    def __init__(self, item_ids: Sequence[Id] | Ids, scores_N: Floats, prior: float) -> None:
        self._prior = prior
        self._text: dict[Id, float] = {}
        self._number_N = np.zeros(0, np.int64)
        self._score_N = np.zeros(0, np.float32)
        if len(item_ids) and isinstance(item_ids[0], str):
            self._text = dict(zip(item_ids, scores_N.tolist(), strict=True))
        elif len(item_ids):
            number_N = np.array(item_ids, np.int64)
            order_N = np.argsort(number_N)
            self._number_N, self._score_N = number_N[order_N], scores_N[order_N]

    def __len__(self) -> int:
        return len(self._text) + len(self._number_N)

    @classmethod
    def of(cls, item_ids: Sequence[Id] | Ids, clicks_N: Counts, shown_N: Counts) -> PopularityTable:
        """Return the table of click rates, smoothed as `write_popularity` says."""
        scores_N, prior = _smoothed(clicks_N, shown_N)
        return cls(item_ids, scores_N, prior)

    @classmethod
    def read(cls, path: Path) -> PopularityTable:
        """Return the table in *path*.

        Raises:
            UserError: there is none, or it is not one.
        """
        try:
            table = pq.read_table(path)
            item_ids, scores = table["item_id"].to_pylist(), table["score"].to_pylist()
            prior = float((table.schema.metadata or {})[_PRIOR])
        except FileNotFoundError:
            raise UserError(
                f"{path} does not exist: publish a popularity table there, or leave the key empty."
            ) from None
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise UserError(f"{path} is no popularity table ({error}): publish it again.") from None
        if not all(isinstance(score, float) and 0 <= score <= 1 for score in scores):
            raise UserError(f"{path} is no popularity table: its scores must be numbers from 0 to 1; publish it again.")
        return cls(item_ids, np.array(scores, np.float32), prior)

    def scores(self, item_ids: Sequence[Id]) -> Floats:
        """Return ``scores_N``; an unknown item has the click rate of all items together."""
        if not len(self._number_N):
            return _looked_up(self._text, item_ids, self._prior)
        numbers = (item if isinstance(item, int) else whole_id(item) for item in item_ids)
        asked_N = np.array([_NO_NUMBER if number is None else number for number in numbers], np.int64)
        at_N = np.minimum(self._number_N.searchsorted(asked_N), len(self._number_N) - 1)
        known_N = self._number_N[at_N] == asked_N
        return np.where(known_N, self._score_N[at_N], np.float32(self._prior))


class StaticList:
    """Puts the items of a list first, in its order, and leaves the others in the order asked."""

    def __init__(self, item_ids: Sequence[Id]) -> None:
        self._scores: dict[Id, float] = {item: 1 - place / (len(item_ids) + 1) for place, item in enumerate(item_ids)}

    def scores(self, item_ids: Sequence[Id]) -> Floats:
        """Return ``scores_N``: from 1 downwards for the items of the list, 0 for others."""
        return _looked_up(self._scores, item_ids, 0.0)


def _looked_up(scores: Mapping[Id, float], item_ids: Sequence[Id], otherwise: float) -> Floats:
    return np.array([scores.get(spelt_as_in(scores, item), otherwise) for item in item_ids], np.float32)


def _smoothed(clicks_N: Counts, shown_N: Counts) -> tuple[Floats, float]:
    """Return click rates drawn towards that of all items together, which comes second."""
    prior = float(clicks_N.sum() / max(shown_N.sum(), 1.0))
    return ((clicks_N + _SMOOTHING * prior) / (shown_N + _SMOOTHING)).astype(np.float32), prior
