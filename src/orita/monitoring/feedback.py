"""Which prediction did a click answer? Feedback joined to the prediction log on request and item, as known at a time.

Legend: P predictions, K feedback rows, J joined rows.

An answer counts where it came within the window of attribution, and a prediction counts once its window is over: before
that, those who answer quickly stand for all, and they click more. Without a window every answer counts. An item without
an answer may not have been seen: it is counted, and taken for a refusal only where the source sends clicks alone
(``unanswered: no_click``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import to_micros
from orita.core.errors import NotFound, UserError, closest
from orita.monitoring.config import PerformanceConfig

__all__ = ["Attribution", "JoinCounts", "JoinedFeedback", "Unanswered", "join_feedback"]

Unanswered = Literal["unknown", "no_click"]

_PREDICTION_COLUMNS = ("request_id", "item_id", "score", "model_version", "timestamp")
_FEEDBACK_COLUMNS = ("request_id", "item_id", "click")
_MICROS = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Attribution:
    """Which answers count.

    Attributes:
        within: for how long after its prediction an answer counts; None: however late it is.
        delay: how late an answer may become known after that; the prediction is waited for so much longer.
        unanswered: what a prediction is whose window passed without an answer: not known to be seen (``unknown``), or
            refused (``no_click``).
        as_of: what was known then; None: all that is there.

    Raises:
        UserError: a time is negative, or ``no_click`` has no window.
    """

    within: timedelta | None = None
    delay: timedelta = timedelta()
    unanswered: Unanswered = "unknown"
    as_of: datetime | None = None

    def __post_init__(self) -> None:
        for name, value in (("within", self.within), ("delay", self.delay)):
            if value is not None and value < timedelta():
                raise UserError(f"{name} has the value {value}, allowed is a time of 0 and more.")
        if self.unanswered == "no_click" and self.within is None:
            raise UserError("what got no answer counts as no click only after a window: say how long it is.")

    @classmethod
    def configured(cls, config: PerformanceConfig, as_of: datetime | None) -> Attribution:
        """Return the rule that a configuration sets, for what was known at *as_of*; without a window, for all."""
        if config.attribution_hours is None:
            return cls()
        within, delay = timedelta(hours=config.attribution_hours), timedelta(hours=config.feedback_delay_hours)
        return cls(within, delay, config.unanswered, as_of)


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
        waiting: predictions whose window was still open, answered or not; they are in no figure.
        outside_window: answers before their prediction, or after its window.
        not_known_yet: feedback that was not there at the time asked for.
        taken_for_refused: predictions without an answer that count as no click.
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
    waiting: int = 0
    outside_window: int = 0
    not_known_yet: int = 0
    taken_for_refused: int = 0


@dataclass(frozen=True, slots=True)
class JoinedFeedback:
    """Predictions with their answers.

    Attributes:
        rows_J: where each stood in the predictions given.
        requests_J: int64 code of the request.
        users_J: int64 code of the user; of the request, where the predictions name no user.
        scores_J: float64 scores.
        clicks_J: float64, 0 or 1.
        versions_J: model version, str.
        micros_J: when each was predicted, microseconds of Unix time.
        counts: what matched and what did not.
    """

    rows_J: npt.NDArray[np.int64]
    requests_J: npt.NDArray[np.int64]
    users_J: npt.NDArray[np.int64]
    scores_J: npt.NDArray[np.float64]
    clicks_J: npt.NDArray[np.float64]
    versions_J: npt.NDArray[np.str_]
    micros_J: npt.NDArray[np.int64]
    counts: JoinCounts

    @property
    def days_J(self) -> npt.NDArray[np.datetime64]:  # noqa: N802 - an array's name carries its shape
        """UTC day of each prediction (datetime64[D])."""
        return self.micros_J.astype("datetime64[us]").astype("datetime64[D]")


def join_feedback(predictions: pa.Table, feedback: pa.Table, attribution: Attribution | None = None) -> JoinedFeedback:
    """Join *feedback* to *predictions* on (request_id, item_id), ids compared as text.

    Args:
        predictions: ``request_id``, ``item_id``, ``score``, ``model_version``, ``timestamp``, where there is one
            ``user_id``; one row a scored item.
        feedback: ``request_id``, ``item_id``, ``click`` (0 or 1); ``timestamp``, where *attribution* has a window or a
            time. Feedback is known from ``ingested_at`` on, where it has that, else from ``timestamp``.
        attribution: which answers count; None: all.

    Raises:
        NotFound: a column is absent.
    """
    rule = attribution or Attribution()
    needed = ("timestamp",) if rule.within is not None or rule.as_of is not None else ()
    _require("the prediction log", predictions, _PREDICTION_COLUMNS)
    _require("the feedback", feedback, (*_FEEDBACK_COLUMNS, *needed))
    scored, row_P = _usable(predictions, "score")
    answered, _ = _usable(feedback, "click")
    usable = answered.num_rows
    answered = _known(answered, rule.as_of)
    pairs_P, pairs_K, requests_P = _pairs(scored, answered)
    unique_P, first_P = np.unique(pairs_P, return_index=True)
    unique_K = np.unique(pairs_K)
    at_K = np.searchsorted(unique_P, pairs_K)
    matched_K = np.append(unique_P, -1)[at_K] == pairs_K
    micros_P = _micros(scored, "timestamp")[first_P]
    inside_K = _inside(micros_P, at_K, matched_K, answered, rule)
    answered_P, clicked_P = np.zeros(len(unique_P), np.bool_), np.zeros(len(unique_P))
    answered_P[at_K[inside_K]] = True
    np.maximum.at(clicked_P, at_K[inside_K], _numbers(answered, "click")[inside_K])
    ripe_P = _ripe(micros_P, rule)
    refused_P = ripe_P & ~answered_P & (rule.unanswered == "no_click")
    found_J = np.flatnonzero((answered_P & ripe_P) | refused_P)
    rows_J = first_P[found_J]
    counts = JoinCounts(
        predictions=predictions.num_rows,
        feedback=feedback.num_rows,
        joined=int((answered_P & ripe_P).sum()),
        predictions_without_feedback=int((~answered_P & ripe_P).sum()),
        feedback_without_prediction=len(np.setdiff1d(unique_K, unique_P, assume_unique=True)),
        duplicate_predictions=scored.num_rows - len(unique_P),
        duplicate_feedback=answered.num_rows - len(unique_K),
        unusable_feedback=feedback.num_rows - usable,
        unusable_predictions=predictions.num_rows - scored.num_rows,
        waiting=int((~ripe_P).sum()),
        outside_window=int((matched_K & ~inside_K).sum()),
        not_known_yet=usable - answered.num_rows,
        taken_for_refused=int(refused_P.sum()),
    )
    joined = scored.take(pa.array(rows_J))
    requests_J = requests_P[rows_J]
    return JoinedFeedback(
        rows_J=row_P[rows_J],
        requests_J=requests_J,
        users_J=_codes(joined.column("user_id")) if "user_id" in joined.column_names else requests_J,
        scores_J=_numbers(joined, "score"),
        clicks_J=clicked_P[found_J],
        versions_J=np.asarray(joined.column("model_version").to_pylist(), dtype=np.str_),
        micros_J=micros_P[found_J],
        counts=counts,
    )


def _require(what: str, table: pa.Table, columns: tuple[str, ...]) -> None:
    for name in columns:
        if name not in table.column_names:
            raise NotFound(f"{what} has no column {name!r}. {closest(name, table.column_names)}")


def _usable(table: pa.Table, number: str) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Return the rows that have what a join needs, and where they stood."""
    finite = pc.is_finite(pc.cast(table.column(number), pa.float64()))
    whole = pc.and_(pc.is_valid(table.column("request_id")), pc.is_valid(table.column("item_id")))
    usable = pc.and_(whole, pc.fill_null(finite, False))
    return table.filter(usable), np.flatnonzero(np.asarray(usable.to_numpy(zero_copy_only=False), np.bool_))


def _known(feedback: pa.Table, as_of: datetime | None) -> pa.Table:
    if as_of is None:
        return feedback
    since = pc.cast(feedback.column("timestamp"), _MICROS)
    if "ingested_at" in feedback.column_names:
        since = pc.coalesce(pc.cast(feedback.column("ingested_at"), _MICROS), since)
    return feedback.filter(pc.less_equal(since, pa.scalar(to_micros(as_of), _MICROS)))


def _inside(
    micros_P: npt.NDArray[np.int64],
    at_K: npt.NDArray[np.intp],
    matched_K: npt.NDArray[np.bool_],
    answered: pa.Table,
    rule: Attribution,
) -> npt.NDArray[np.bool_]:
    """Return which answers have a prediction, and came within its window."""
    if rule.within is None or not matched_K.any():
        return matched_K
    inside_K = np.zeros(len(matched_K), np.bool_)
    after = _micros(answered, "timestamp")[matched_K] - micros_P[at_K[matched_K]]
    inside_K[matched_K] = (after >= 0) & (after <= rule.within / timedelta(microseconds=1))
    return inside_K


def _ripe(micros_P: npt.NDArray[np.int64], rule: Attribution) -> npt.NDArray[np.bool_]:
    """Return whose window is over, so that all answers that will count are there."""
    if rule.within is None or rule.as_of is None:
        return np.ones(len(micros_P), np.bool_)
    wait = (rule.within + rule.delay) // timedelta(microseconds=1)
    return micros_P <= to_micros(rule.as_of) - wait


def _pairs(
    scored: pa.Table, answered: pa.Table
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return a code of request and item for each row of both, and the request's code of each prediction."""
    requests_P, requests_K = _shared_codes(scored, answered, "request_id")
    items_P, items_K = _shared_codes(scored, answered, "item_id")
    width = int(max(items_P.max(initial=0), items_K.max(initial=0))) + 1
    return requests_P * width + items_P, requests_K * width + items_K, requests_P


def _shared_codes(first: pa.Table, second: pa.Table, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    texts = [pc.cast(table.column(name), pa.string()) for table in (first, second)]
    codes = _codes(pa.chunked_array([chunk for text in texts for chunk in text.chunks], pa.string()))
    return codes[: first.num_rows], codes[first.num_rows :]


def _codes(values: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    encoded = values.combine_chunks().dictionary_encode(null_encoding="encode")
    codes: npt.NDArray[np.int64] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return np.asarray(pc.cast(table.column(name), pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _micros(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    micros = pc.cast(table.column(name), _MICROS).cast(pa.int64())
    return np.asarray(micros.to_numpy(zero_copy_only=False), dtype=np.int64)
