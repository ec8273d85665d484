"""Texts and embeddings in the drift report: found when they change, silent when they do not, one level for all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from tests.monitoring.watched_system import draw, reference_of, sample_of

from orita.monitoring.config import DriftDetectionConfig, DriftTest
from orita.monitoring.drift import feature_drift
from orita.monitoring.drift.content_series import text_series, vector_series
from orita.monitoring.drift.contents import Vectors
from orita.monitoring.findings import DriftFinding, DriftReport
from orita.monitoring.reference import Reference

_WORDS = np.array([f"word{i}" for i in range(120)])
_DIMENSIONS = 6


def _catalogue(items: int = 2000) -> tuple[list[str], np.ndarray]:
    """Return the title and the vector of every item."""
    rng = np.random.default_rng(8)
    share = 1 / np.arange(2, 122)
    titles = [" ".join(rng.choice(_WORDS, rng.integers(3, 9), p=share / share.sum())) for _ in range(items)]
    return titles, rng.normal(size=(items, _DIMENSIONS))


_TITLES, _STYLES = _catalogue()


def _report(
    before: dict[str, np.ndarray],
    now: dict[str, np.ndarray],
    titles: list[str | None] | None = None,
    styles: np.ndarray | None = None,
    min_effect: float = 0.05,
) -> DriftReport:
    """Compare requests whose items had titles and styles before, and have others now; rows are requests."""
    reference, recent = reference_of(before), sample_of(now)
    now_titles: list[str | None] = [_TITLES[i] for i in now["items_N"]] if titles is None else titles
    now_styles = _STYLES[now["items_N"]] if styles is None else styles
    contents = [
        *text_series("item.title", "item", (reference, [_TITLES[i] for i in before["items_N"]]), (recent, now_titles)),
        vector_series("style", "item", (reference, _STYLES[before["items_N"]]), (recent, now_styles)),
    ]
    config = DriftDetectionConfig(feature_drift=DriftTest(min_effect=min_effect))
    return feature_drift(reference, recent, config, contents)


def _found(report: DriftReport) -> dict[str, DriftFinding]:
    return {finding.name: finding for finding in report.findings}


@pytest.mark.parametrize(("n", "m"), [(400, 400), (900, 200)])
def test_unchanged_texts_and_embeddings_leave_the_rate_as_it_is(n: int, m: int) -> None:
    """Items repeat within and across the samples, which differ in size: reports alarm no more often than they may."""
    rng, rounds = np.random.default_rng(n + m), 15
    alarms = sum(bool(_report(draw(rng, n), draw(rng, m), min_effect=0).drifted) for _ in range(rounds))
    assert alarms <= binom.ppf(1 - 1e-4, rounds, 0.015)


def test_a_word_that_became_frequent_alarms_and_is_named() -> None:
    """A word in a fifth of the titles is drift of the title alone, with the word and its shares in the sentence."""
    rng = np.random.default_rng(1)
    before, now = draw(rng, 1200), draw(rng, 1000)
    titles = [f"{_TITLES[i]} sale" if i % 5 == 0 else _TITLES[i] for i in now["items_N"]]
    report = _report(before, now, titles=list(titles))
    finding = _found(report)["item.title"]
    assert finding.alarming
    assert (finding.test, finding.side) == ("words", "item")
    assert "the word 'sale' in 0 % of texts before and" in finding.sentence
    assert finding.statistic == pytest.approx(np.mean(["sale" in t for t in titles]))
    assert not _found(report)["style"].drifted


def test_texts_that_went_missing_are_told_as_missing() -> None:
    """A third of the titles empty or gone is a missing rate, and their length knows no such words."""
    rng = np.random.default_rng(2)
    before, now = draw(rng, 800), draw(rng, 800)
    titles: list[str | None] = [None if i % 6 == 0 else "" if i % 6 == 1 else _TITLES[i] for i in now["items_N"]]
    found = _found(_report(before, now, titles=titles))
    assert found["item.title"].alarming
    assert found["item.title"].test == "missing"
    assert found["item.title length"].test == "missing"


def test_longer_texts_of_the_same_words_are_found_by_their_length() -> None:
    """The number of words is a column of its own."""
    rng = np.random.default_rng(3)
    before, now = draw(rng, 800), draw(rng, 800)
    titles: list[str | None] = [f"{_TITLES[i]} {_TITLES[(i * 7) % 2000]}" for i in now["items_N"]]
    assert _found(_report(before, now, titles=titles))["item.title length"].alarming


def test_an_embedding_of_another_model_alarms() -> None:
    """Vectors whose dimensions are shuffled and scaled otherwise are told apart; titles are not blamed."""
    rng = np.random.default_rng(4)
    before, now = draw(rng, 1500), draw(rng, 1500)
    report = _report(before, now, styles=_STYLES[now["items_N"]] * np.linspace(0.2, 2, _DIMENSIONS))
    finding = _found(report)["style"]
    assert finding.alarming
    assert finding.test == "vectors"
    assert "a classifier places" in finding.sentence
    assert not _found(report)["item.title"].drifted


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_embeddings_that_went_missing_are_found(share: float) -> None:
    """Rows without a vector tell no classifier anything: how many there are is tested beside it."""
    rng = np.random.default_rng(5)
    before, now = draw(rng, 800), draw(rng, 800)
    styles = _STYLES[now["items_N"]].copy()
    styles[rng.random(len(styles)) < share, 2] = np.nan
    finding = _found(_report(before, now, styles=styles))["style"]
    assert finding.alarming
    assert finding.test == "missing"


def test_as_many_requests_of_both_sides_give_vectors() -> None:
    """One vector an item, of equally many requests: more requests alone would bring more of the rare items."""
    vectors = Vectors(np.arange(1000.0)[:, None], np.arange(40.0)[:, None])
    first, second = vectors.one_each(np.arange(1000) // 2, np.arange(40) // 4, seed=0)
    assert len(second) == 10
    assert 30 <= len(first) <= 40


def test_contents_share_the_level_of_the_report() -> None:
    """What a feature's p-value becomes counts the tests of texts and embeddings too."""
    rng = np.random.default_rng(6)
    before, now = draw(rng, 500), draw(rng, 500)
    now["x_NF"][:, 0] += 0.05
    alone = feature_drift(reference_of(before), sample_of(now), DriftDetectionConfig())
    beside = _report(before, now)
    p_alone, p_beside = (_found(report)["user_historical_ctr"].p_value for report in (alone, beside))
    assert p_alone is not None
    # Five features, two tests of them together; a title, its length and a style more.
    assert p_beside == pytest.approx(p_alone * 10 / 7, rel=1e-9)


def test_weeks_of_a_season_are_not_compared_by_content() -> None:
    """Between slices there is no test of texts and vectors, and the report says so."""
    rng = np.random.default_rng(7)
    weeks, now = [draw(rng, 100) for _ in range(5)], draw(rng, 100)
    reference = Reference.of_slices(
        [sample_of(each) for each in weeks],
        model_version="v1.0.0",
        made_at=reference_of(now).made_at,
        source="weeks",
    )
    titles = [_TITLES[i] for each in weeks for i in each["items_N"]]
    recent = sample_of(now)
    contents = text_series("item.title", "item", (reference, titles), (recent, [_TITLES[i] for i in now["items_N"]]))
    found = _found(feature_drift(reference, recent, DriftDetectionConfig(), contents))
    assert not found["item.title"].judged
    assert "only single numbers are compared" in found["item.title"].sentence
    assert found["item.title length"].judged


def test_fixed_thresholds_know_no_texts() -> None:
    """Texts need the calibrated method."""
    with pytest.raises(ValueError, match=r"texts and embeddings need feature_drift\.method calibrated"):
        DriftDetectionConfig(feature_drift=DriftTest(method="psi"), texts=("item.title",))
