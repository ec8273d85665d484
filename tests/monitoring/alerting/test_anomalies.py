"""Anomalies: the plain mode by its definition, the seasonal one by its rate of false alarms and what it finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from orita.monitoring.alerting.anomalies import seasonal, z_score

_STEPS = 168


def test_the_plain_mode_is_three_deviations_from_the_last_24() -> None:
    """Mean and standard deviation of the 24 values before; fewer are not judged."""
    past = np.random.default_rng(0).normal(100, 5, 24)
    mean, scale = past.mean(), past.std(ddof=1)
    for away, fires in ((2.99, False), (3.01, True), (-3.01, True)):
        verdict = z_score(np.append(past, mean + away * scale))
        assert verdict.judged and verdict.anomalous is fires
        assert verdict.score == pytest.approx(away)
    assert not z_score(past).judged
    assert z_score(np.append(past, mean - 9 * scale), direction="above").anomalous is False


def test_what_never_varied_is_an_anomaly_when_it_does() -> None:
    """A constant past has no scale: the same value is none, another is."""
    assert not z_score(np.full(30, 7.0)).anomalous
    changed = z_score(np.append(np.full(30, 7.0), 8.0))
    assert changed.anomalous and changed.score == math.inf


def _world(rng: np.random.Generator, weeks: int, kind: str) -> NDArray[np.float64]:
    """Return hours with days, nights and weekends."""
    hours = np.arange(weeks * _STEPS)
    level = 1000 * (1.2 + np.sin(2 * np.pi * hours / 24)) * np.where((hours // 24) % 7 >= 5, 0.6, 1.0)
    if kind == "counts":
        return rng.poisson(level).astype(np.float64)
    if kind == "heavy":
        return level * np.exp(0.1 * rng.standard_t(4, len(hours)))
    return level + 50 * rng.standard_normal(len(hours))


@pytest.mark.parametrize("kind", ["counts", "heavy"])
def test_an_unchanged_season_alarms_at_the_rate_that_was_set(kind: str) -> None:
    """Over 500 looks at unchanged numbers of each kind: about 1 % alarm, though nights are a tenth of days."""
    rng, fired, looks = np.random.default_rng(7), 0, 500
    for _ in range(looks):
        values = _world(rng, 7, kind)
        fired += seasonal(values[: len(values) - int(rng.integers(0, _STEPS))], _STEPS, false_alarm_rate=0.01).anomalous
    assert 0.002 <= fired / looks <= 0.022  # four standard errors around 0.01 above, and not mute


def test_a_short_history_keeps_its_rate_by_its_tail() -> None:
    """Four weeks say little of one look in 10,000: the tail is continued, and unchanged numbers hardly alarm."""
    rng = np.random.default_rng(11)
    fired = sum(seasonal(_world(rng, 5, "normal"), _STEPS, false_alarm_rate=1e-4).anomalous for _ in range(200))
    assert fired <= 2


def test_what_the_plain_mode_takes_for_normal_is_found() -> None:
    """Half the traffic at noon is no anomaly among day and night, and one among noons."""
    rng, found, plain = np.random.default_rng(3), 0, 0
    for _ in range(40):
        values = _world(rng, 6, "normal")[: 5 * _STEPS + 7]  # the last is near the top of a day
        values[-1] *= 0.7
        found += seasonal(values, _STEPS, false_alarm_rate=0.001).anomalous
        plain += z_score(values).anomalous
    assert found == 40
    assert plain <= 2


def test_seasons_need_history_and_gaps_are_none() -> None:
    """Fewer weeks than asked for are not judged; missing hours are no zeros; a small change may be left alone."""
    values = _world(np.random.default_rng(1), 6, "normal")
    assert not seasonal(values[: 3 * _STEPS], _STEPS).judged
    holes = values.copy()
    holes[np.random.default_rng(2).random(len(values)) < 0.1] = np.nan
    holes[-1] = values[-1]
    assert seasonal(holes, _STEPS, seasons=3).judged
    values[-1] *= 1.8
    assert seasonal(values, _STEPS).anomalous
    assert not seasonal(values, _STEPS, min_change=1.0).anomalous
    assert not seasonal(values, _STEPS, direction="below").anomalous
