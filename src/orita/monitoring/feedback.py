"""Which prediction did a click answer? Feedback joined to the prediction log on request and item.

Legend: P predictions, K feedback rows, J joined rows. Only rows with feedback say something about quality: an
    item
without feedback may not have been seen, or its feedback may still be on the way. It is counted, not taken for
a refusal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import NotFound, closest

__all__ = ["JoinCounts", "JoinedFeedback", "join_feedback"]

_PREDICTION_COLUMNS = ("request_id", "item_id", "score", "model_version", "timestamp")
_FEEDBACK_COLUMNS = ("request_id", "item_id", "click")


@dataclass(frozen=True, slots=True)
class JoinCounts:
    """What matched and what did not.

    Attributes:
        predictions, feedback: rows given.
        joined: predictions that got feedback.
        predictions_without_feedback: predictions that got none (not seen, or late).
        feedback_without_prediction: answers to items that this log did not score.
        duplicate_predictions: rows of the same request and item beyond the first.
        duplicate_feedback: likewise; together they count as one answer, a click if one of them is.
        unusable_feedback: rows without request, item or click.
        unusable_predictions: rows without request, item or finite score.
    """

    predictions: int
    feedback: int
    joined: int
    predictions_without_feedback: int
    feedback_without_prediction: int
    duplicate_predictions: int
    duplicate_feedback: int
    unusable_feedback: int
    unusable_predictions: int


@dataclass(frozen=True, slots=True)
class JoinedFeedback:
    """Predictions with their answers.

    Attributes:
        requests_J: int64 code of the request.
        scores_J: float64 scores.
        clicks_J: float64, 0 or 1.
        versions_J: model version, str.
        days_J: UTC day of the prediction (datetime64[D]).
        counts: what matched and what did not.
    """

    requests_J: npt.NDArray[np.int64]
    scores_J: npt.NDArray[np.float64]
    clicks_J: npt.NDArray[np.float64]
    versions_J: npt.NDArray[np.str_]
    days_J: npt.NDArray[np.datetime64]
    counts: JoinCounts


def join_feedback(predictions: pa.Table, feedback: pa.Table) -> JoinedFeedback:
    """Join *feedback* to *predictions* on (request_id, item_id), ids compared as text.

    Args:
        predictions: ``request_id``, ``item_id``, ``score``, ``model_version``, ``timestamp``; one row a
            scored item.
        feedback: ``request_id``, ``item_id``, ``click`` (0 or 1).

    Raises:
        NotFound: a column is absent.
    """
    _require("the prediction log", predictions, _PREDICTION_COLUMNS)
    _require("the feedback", feedback, _FEEDBACK_COLUMNS)
    scored, answered = _usable(predictions, "score"), _usable(feedback, "click")
    requests_P, requests_K = _shared_codes(scored, answered, "request_id")
    items_P, items_K = _shared_codes(scored, answered, "item_id")
    width = int(max(items_P.max(initial=0), items_K.max(initial=0))) + 1
    keys_P, first_P = np.unique(requests_P * width + items_P, return_index=True)
    keys_K, place_K = np.unique(requests_K * width + items_K, return_inverse=True)
    clicks_K = np.zeros(len(keys_K))
    np.maximum.at(clicks_K, place_K, _numbers(answered, "click"))
    matched, at_P, at_K = np.intersect1d(keys_P, keys_K, assume_unique=True, return_indices=True)
    rows_J = first_P[at_P]
    joined = scored.take(pa.array(rows_J))
    counts = JoinCounts(
        predictions=predictions.num_rows,
        feedback=feedback.num_rows,
        joined=len(matched),
        predictions_without_feedback=len(keys_P) - len(matched),
        feedback_without_prediction=len(keys_K) - len(matched),
        duplicate_predictions=scored.num_rows - len(keys_P),
        duplicate_feedback=answered.num_rows - len(keys_K),
        unusable_feedback=feedback.num_rows - answered.num_rows,
        unusable_predictions=predictions.num_rows - scored.num_rows,
    )
    return JoinedFeedback(
        requests_J=requests_P[rows_J],
        scores_J=_numbers(joined, "score"),
        clicks_J=clicks_K[at_K],
        versions_J=np.asarray(joined.column("model_version").to_pylist(), dtype=np.str_),
        days_J=_days(joined),
        counts=counts,
    )


def _require(what: str, table: pa.Table, columns: tuple[str, ...]) -> None:
    for name in columns:
        if name not in table.column_names:
            raise NotFound(f"{what} has no column {name!r}. {closest(name, table.column_names)}")


def _usable(table: pa.Table, number: str) -> pa.Table:
    finite = pc.is_finite(pc.cast(table.column(number), pa.float64()))
    whole = pc.and_(pc.is_valid(table.column("request_id")), pc.is_valid(table.column("item_id")))
    return table.filter(pc.and_(whole, pc.fill_null(finite, False)))


def _shared_codes(first: pa.Table, second: pa.Table, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    texts = [pc.cast(table.column(name), pa.string()) for table in (first, second)]
    both = pa.chunked_array([chunk for text in texts for chunk in text.chunks], pa.string()).combine_chunks()
    codes = both.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes[: first.num_rows], codes[first.num_rows :]


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return np.asarray(pc.cast(table.column(name), pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _days(table: pa.Table) -> npt.NDArray[np.datetime64]:
    micros = pc.cast(table.column("timestamp"), pa.timestamp("us", tz="UTC")).cast(pa.int64())
    days_J: npt.NDArray[np.datetime64] = micros.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    return days_J.astype("datetime64[D]")
