"""Answers count within their window, as they were known, and nobody who answers quickly stands for all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from orita.core.errors import UserError
from orita.monitoring.config import PerformanceConfig
from orita.monitoring.feedback import Attribution, JoinedFeedback, join_feedback

_START = datetime(2024, 11, 10, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_MICROS = pa.timestamp("us", tz="UTC")


def _predictions(hours: list[float]) -> pa.Table:
    rows = len(hours)
    return pa.table(
        {
            "request_id": [f"r{n}" for n in range(rows)],
            "item_id": ["1"] * rows,
            "user_id": [f"u{n}" for n in range(rows)],
            "score": np.linspace(0.1, 0.9, rows),
            "model_version": ["v1"] * rows,
            "timestamp": pa.array([_START + at * _HOUR for at in hours], _MICROS),
        }
    )


def _feedback(rows: list[tuple[str, int, float, float]]) -> pa.Table:
    """Return answers: request, click, hour of the answer, hour at which it was known."""
    return pa.table(
        {
            "request_id": [row[0] for row in rows],
            "item_id": [1] * len(rows),
            "click": [row[1] for row in rows],
            "timestamp": pa.array([_START + row[2] * _HOUR for row in rows], _MICROS),
            "ingested_at": pa.array([_START + row[3] * _HOUR for row in rows], _MICROS),
        }
    )


def _clicks(joined: JoinedFeedback) -> dict[int, float]:
    return dict(zip(joined.rows_J.tolist(), joined.clicks_J.tolist(), strict=True))


def test_answers_count_within_their_window() -> None:
    """An answer before its prediction or after the window is told apart and not counted."""
    answers = _feedback([("r0", 1, 1, 1), ("r1", 1, 9, 9), ("r2", 1, -1, -1), ("r3", 0, 4, 4)])
    joined = join_feedback(_predictions([0, 0, 0, 0]), answers, Attribution(within=4 * _HOUR))
    assert _clicks(joined) == {0: 1.0, 3: 0.0}
    assert (joined.counts.outside_window, joined.counts.predictions_without_feedback) == (2, 2)


def test_a_prediction_waits_until_its_window_and_the_delay_are_over() -> None:
    """What could still be answered is in no figure, answered or not."""
    answers = _feedback([("r0", 1, 1, 1), ("r1", 1, 6, 6)])
    rule = Attribution(within=2 * _HOUR, delay=_HOUR, as_of=_START + 8 * _HOUR)
    joined = join_feedback(_predictions([0, 5.5, 5]), answers, rule)
    assert _clicks(joined) == {0: 1.0}
    assert (joined.counts.waiting, joined.counts.joined, joined.counts.predictions_without_feedback) == (1, 1, 1)


def test_only_what_was_known_then_counts() -> None:
    """As of a time, feedback that came in later is not there, however early it happened."""
    answers = _feedback([("r0", 1, 1, 1), ("r1", 1, 1, 30)])
    joined = join_feedback(_predictions([0, 0]), answers, Attribution(as_of=_START + 10 * _HOUR))
    assert _clicks(joined) == {0: 1.0}
    assert joined.counts.not_known_yet == 1


def test_silence_is_a_refusal_only_where_that_is_said() -> None:
    """With no_click, what got no answer by the end of its window counts as no click; what still waits does not."""
    answers = _feedback([("r0", 1, 1, 1)])
    rule = Attribution(within=2 * _HOUR, unanswered="no_click", as_of=_START + 4 * _HOUR)
    joined = join_feedback(_predictions([0, 1, 3.5]), answers, rule)
    assert _clicks(joined) == {0: 1.0, 1: 0.0}
    assert (joined.counts.taken_for_refused, joined.counts.waiting) == (1, 1)
    with pytest.raises(UserError, match="only after a window"):
        Attribution(unanswered="no_click")
    with pytest.raises(UserError, match="delay has the value"):
        Attribution(delay=-_HOUR)


def test_early_answers_do_not_stand_for_all() -> None:
    """Where clicks come quickly and refusals late, the CTR of whole windows is right and that of all answers is not."""
    rng = np.random.default_rng(3)
    clicked = rng.random(4000) < 0.2
    at = rng.uniform(0, 100, 4000)
    late = np.where(clicked, 0.1, 20.0)
    rows = [(f"r{n}", int(c), t + d, t + d) for n, (c, t, d) in enumerate(zip(clicked, at.tolist(), late, strict=True))]
    now = _START + 100 * _HOUR
    naive = join_feedback(_predictions(at.tolist()), _feedback(rows), Attribution(as_of=now))
    fair = join_feedback(_predictions(at.tolist()), _feedback(rows), Attribution(within=24 * _HOUR, as_of=now))
    spread = 4 * np.sqrt(0.2 * 0.8 / len(fair.clicks_J))
    assert abs(fair.clicks_J.mean() - 0.2) < spread
    assert naive.clicks_J.mean() > 0.2 + spread


def test_the_configuration_is_a_rule() -> None:
    """Keys of performance_monitoring say which answers count; without a window all do, whenever they are known."""
    config = PerformanceConfig(attribution_hours=24, feedback_delay_hours=2, unanswered="no_click")
    assert Attribution.configured(config, _START) == Attribution(24 * _HOUR, 2 * _HOUR, "no_click", _START)
    assert Attribution.configured(PerformanceConfig(), _START) == Attribution()
    with pytest.raises(ValueError, match="needs attribution_hours"):
        PerformanceConfig(unanswered="no_click")
