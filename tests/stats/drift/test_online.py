"""Detectors on streams: silent on unchanged ones, soon after a change, with bounded state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from orita.core.errors import UserError
from orita.stats.drift.online import Adwin, OnlineDetector, PageHinkley

_MAKERS: dict[str, Callable[[], OnlineDetector]] = {"adwin": Adwin, "page_hinkley": PageHinkley}


def _fed(detector: OnlineDetector, values: np.ndarray) -> list[int]:
    return [i for i, value in enumerate(values.tolist()) if detector.update(value)]


@pytest.mark.parametrize("name", _MAKERS)
def test_an_unchanged_stream_is_left_alone(name: str) -> None:
    """60,000 steps of an error rate of 10 % give at most 2 alarms; they give less than one on average."""
    values = (np.random.default_rng(1).random(60_000) < 0.1).astype(float)
    assert len(_fed(_MAKERS[name](), values)) <= 2


@pytest.mark.parametrize("name", _MAKERS)
def test_a_risen_error_rate_is_called_soon(name: str) -> None:
    """From 10 to 15 % after 5,000 steps, the mean delay is at most 839 steps."""
    delays = []
    for seed in range(12):
        rng, detector = np.random.default_rng(seed), _MAKERS[name]()
        _fed(detector, (rng.random(5_000) < 0.1).astype(float))
        delays.append(_fed(detector, (rng.random(6_000) < 0.15).astype(float))[0])
    assert np.mean(delays) <= 839


@pytest.mark.parametrize("name", _MAKERS)
@pytest.mark.parametrize("change", [1.0, -1.0], ids=["up", "down"])
def test_both_directions_of_any_unit_are_seen(name: str, change: float) -> None:
    """A mean that moves by a standard deviation either way is called within 200 steps, whatever the unit."""
    rng = np.random.default_rng(2)
    detector = Adwin(spread=6e6) if name == "adwin" else PageHinkley()
    _fed(detector, rng.normal(0, 1e6, 2_000))
    assert _fed(detector, rng.normal(change * 1e6, 1e6, 500))[0] < 200


def test_the_window_forgets_what_was_before() -> None:
    """After a change the window's mean is that of the newer values, and its state stays small over a long stream."""
    rng, detector = np.random.default_rng(3), Adwin(most=4096)
    _fed(detector, rng.random(20_000))
    assert 4096 * 0.8 <= detector.size <= 4096
    assert sum(len(row) for row in detector._rows) <= 100
    _fed(detector, 10 + rng.random(1_000))
    assert detector.mean == pytest.approx(10.5, abs=0.1)
    assert np.isnan(Adwin().mean)


def test_a_constant_stream_is_no_change() -> None:
    """A constant alarms neither detector; the first other values do not divide by zero."""
    for make in _MAKERS.values():
        assert _fed(make(), np.full(1_000, 3.0)) == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Adwin(delta=0), "delta is 0"),
        (lambda: Adwin(spread=0), "spread is 0"),
        (lambda: Adwin(clock=0), "clock is 0"),
        (lambda: PageHinkley(delta=-1), "delta is -1"),
        (lambda: PageHinkley(threshold=0), "threshold is 0"),
        (lambda: PageHinkley(least=1), "least is 1"),
        (lambda: Adwin().update(float("nan")), "the stream holds nan"),
    ],
)
def test_bad_arguments_are_named(make: Callable[[], object], said: str) -> None:
    """An argument out of its range, or a value that is not finite, is an error that names it."""
    with pytest.raises(UserError, match=said):
        make()
