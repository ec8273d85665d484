"""Texts and embeddings: unchanged ones are left alone, new words and moved vectors are found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from orita.core.errors import UserError
from orita.stats.drift.joint import embedding_test
from orita.stats.drift.text import text_test

_WORDS = np.array([f"word{i}" for i in range(300)])
_OFTEN = 1 / np.arange(2, 302)


def _texts(rng: np.random.Generator, count: int, words: np.ndarray = _WORDS) -> list[str]:
    share = _OFTEN / _OFTEN.sum()
    return [" ".join(rng.choice(words, rng.integers(3, 15), p=share)) for _ in range(count)]


def test_unchanged_texts_hold_the_level() -> None:
    """Texts that hold a word in every second sentence of theirs are at most 0.05 in 5 % of unchanged samples."""
    rng, rounds = np.random.default_rng(1), 40
    p_values = []
    for _ in range(rounds):
        # A text is of one of two topics, so its words come together.
        samples = [[f"{t} {'ball goal' if rng.random() < 0.3 else 'vote law'}" for t in _texts(rng, 60)] for _ in "ab"]
        p_values.append(text_test(*samples).p_value)
    assert sum(p <= 0.05 for p in p_values) <= binom.ppf(1 - 1e-4, rounds, 0.05)
    assert sum(p <= 0.5 for p in p_values) >= binom.ppf(1e-4, rounds, 0.4)


def test_new_words_and_missing_texts_are_found() -> None:
    """A new word in a tenth of the texts, other words altogether, and texts that went missing are drift."""
    rng = np.random.default_rng(2)
    before, now = _texts(rng, 400), _texts(rng, 400)
    assert text_test(before, now).p_value > 0.01
    assert text_test(before, [f"{t} outage" if i % 10 == 0 else t for i, t in enumerate(now)]).p_value < 1e-4
    assert text_test(before, _texts(rng, 100, _WORDS[::-1])).p_value < 1e-4
    absent = text_test(before, [None if i % 8 == 0 else t for i, t in enumerate(now)])
    assert absent.p_value < 1e-4 and absent.change == "missing"
    assert (absent.n, absent.m) == (400, 400)
    assert text_test([], now).p_value == 1.0
    with pytest.raises(UserError, match="cells is 1"):
        text_test(before, now, cells=1)


def test_embeddings_that_moved_are_found() -> None:
    """A shift along one direction of 100 is found; unchanged vectors, and none at all, are not."""
    rng = np.random.default_rng(3)
    before, now = (rng.normal(size=(2, 1500, 100)) * np.linspace(3, 0.1, 100)).astype(np.float32)
    assert embedding_test(before, now).p_value > 0.01
    moved = now + np.eye(100, dtype=np.float32)[4] * 3
    assert embedding_test(before, moved).p_value < 1e-6
    moved[::9, 0] = np.nan
    assert embedding_test(before, moved).p_value < 1e-6
    assert embedding_test(before[:0], now[:0]).p_value == 1.0
    with pytest.raises(UserError, match="vectors of 100 values and the current sample of 99"):
        embedding_test(before, now[:, :99])


def test_unchanged_embeddings_hold_the_level() -> None:
    """Small samples of unchanged vectors are told apart no more often than the level says."""
    rng = np.random.default_rng(4)
    alarms = sum(embedding_test(*rng.normal(size=(2, 40, 40)), seed=i).p_value <= 0.05 for i in range(40))
    assert alarms <= binom.ppf(1 - 1e-4, 40, 0.05)
