"""Figures of served models hold the truth, by version, segment and slice, before labels and after."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from benchmarks.performance import WORLDS, drawn
from scipy.stats import binom
from tests.monitoring.watched_system import answered, draw, logged

from orita.core.errors import NotFound, UserError
from orita.monitoring.config import PerformanceConfig
from orita.monitoring.feedback import Attribution
from orita.monitoring.model_quality.estimation import fit_estimator
from orita.monitoring.model_quality.figures import auc_with_interval, figures_of
from orita.monitoring.model_quality.page import write_quality_page
from orita.monitoring.model_quality.slices import model_quality
from orita.monitoring.model_quality.told import joined_sentence, table_of, told
from orita.stats.metrics import auc, expected_calibration_error, log_loss, ndcg_at_k, rank_groups

_CONFIG = PerformanceConfig()


def _served(requests: int = 400, seed: int = 1, version: str = "v1.0.0") -> pa.Table:
    return logged(draw(np.random.default_rng(seed), requests, per_request=10), version)


def test_figures_equal_their_definitions() -> None:
    """Each figure is that of `orita.stats` on the same rows, within its interval."""
    rows = drawn(WORLDS[0], 300, np.random.default_rng(1))
    found = figures_of(rows.clicks, rows.scores, rows.users, rows.requests)
    assert found.auc is not None and found.auc.value == pytest.approx(auc(rows.clicks, rows.scores))
    assert found.log_loss is not None and found.log_loss.value == pytest.approx(log_loss(rows.clicks, rows.scores))
    assert found.ctr is not None and found.ctr.value == pytest.approx(rows.clicks.mean())
    ranking = rank_groups(rows.clicks, rows.scores, rows.requests)
    assert found.ndcg is not None and found.ndcg.value == pytest.approx(ndcg_at_k(ranking))
    error = expected_calibration_error(rows.clicks, rows.scores, 10)
    assert found.calibration_error is not None and found.calibration_error.value == pytest.approx(error)
    assert sum(each.rows for each in found.reliability) == found.rows == 3000
    for interval in (found.auc, found.log_loss, found.ctr, found.ndcg, found.calibration_error):
        assert interval.low <= interval.value <= interval.high


def test_intervals_hold_the_truth_where_rows_of_a_user_are_alike() -> None:
    """Of a hundred drawn logs about 95 intervals hold the AUC of a large one; as if rows were independent, fewer do."""
    truth = auc(
        *(getattr(drawn(WORLDS[0], 30_000, np.random.default_rng(5), users=30_000), n) for n in ("clicks", "scores"))
    )
    held, alone = 0, 0
    for run in range(100):
        rows = drawn(WORLDS[0], 300, np.random.default_rng([run, 6]), users=30)
        found = auc_with_interval(rows.clicks, rows.scores, rows.users, tail=0.025)
        held += found.low <= truth <= found.high
        found = auc_with_interval(rows.clicks, rows.scores, np.arange(len(rows.clicks)), tail=0.025)
        alone += found.low <= truth <= found.high
    assert held >= binom.ppf(1e-4, 100, 0.95)
    assert alone < held


def test_chance_alone_is_no_calibration_error() -> None:
    """The error of a calibrated score lies near what chance makes of it, and its interval begins at nought."""
    rng = np.random.default_rng(2)
    scores_J = rng.beta(2, 6, 5000)
    clicks_J = (rng.random(5000) < scores_J).astype(float)
    rows = np.arange(5000)
    found = figures_of(clicks_J, scores_J, rows // 5, rows // 5)
    assert found.calibration_error is not None and found.calibration_error_by_chance is not None
    assert found.calibration_error.low == 0.0
    assert found.calibration_error.value < 3 * found.calibration_error_by_chance
    off = figures_of(clicks_J, np.clip(scores_J + 0.2, 0, 1), rows // 5, rows // 5)
    assert off.calibration_error is not None and 0.1 < off.calibration_error.low < 0.2 < off.calibration_error.high


def test_few_rows_give_counts_and_nothing_else() -> None:
    """Too few rows, clicks or users are counted and not judged."""
    rows = drawn(WORLDS[0], 300, np.random.default_rng(1))
    found = figures_of(rows.clicks[:100], rows.scores[:100], rows.users[:100], rows.requests[:100])
    assert (found.rows, found.requests, found.auc) == (100, 10, None)
    assert figures_of(rows.clicks, rows.scores, rows.users // 100, rows.requests).auc is None


@pytest.mark.parametrize("world", [world for world in WORLDS if world.name in ("unchanged", "mix", "narrow")])
def test_estimates_follow_what_scores_tell(world: object) -> None:
    """Other users and a stricter ranking change AUC and CTR, and are foreseen: ranges hold, the old figure does not."""
    rng = np.random.default_rng(4)
    past, now = drawn(WORLDS[0], 1500, rng), drawn(world, 1500, rng)  # type: ignore[arg-type]
    estimator = fit_estimator(past.clicks, past.scores, past.users)
    found = estimator.estimate(now.scores, now.users, confidence=0.999)
    truth = auc(now.clicks, now.scores), log_loss(now.clicks, now.scores), now.clicks.mean()
    for expected, true in zip((found.auc, found.log_loss, found.ctr), truth, strict=True):
        assert expected.low <= true <= expected.high
    assert found.rows == len(now.scores)
    assert estimator.history[0] == pytest.approx(auc(past.clicks, past.scores))


def test_estimates_do_not_see_what_scores_do_not_tell() -> None:
    """Clicks that became rarer at every score are foreseen by nobody: the limit that the page states."""
    rng = np.random.default_rng(4)
    past, now = drawn(WORLDS[0], 1500, rng), drawn(WORLDS[3], 1500, rng)
    found = fit_estimator(past.clicks, past.scores, past.users).estimate(now.scores, now.users)
    assert now.clicks.mean() < found.ctr.low


def test_little_history_is_refused() -> None:
    """Without rows or users enough, nothing is estimated, and the sentence says how many there are."""
    rows = drawn(WORLDS[0], 300, np.random.default_rng(1))
    with pytest.raises(UserError, match=r"100 rows with feedback.*needs 500 rows and 100 users"):
        fit_estimator(rows.clicks[:100], rows.scores[:100], rows.users[:100])
    with pytest.raises(UserError, match="0 rows with feedback"):
        fit_estimator(np.empty(0), np.empty(0), np.empty(0, np.int64))


def test_parts_add_up() -> None:
    """Slices and segments of a version have all of its rows, each once; versions stay apart."""
    predictions = pa.concat_tables([_served(300, 1), _served(200, 2, "v1.1.0")])
    feedback = answered(predictions, lambda s: s)
    found = model_quality(
        predictions, feedback, _CONFIG, by="features.device_mobile", every=timedelta(days=1), estimate=True
    )
    for version, rows in (("v1.0.0", 3000), ("v1.1.0", 2000)):
        for segments, slices in ((False, False), (True, False), (False, True), (True, True)):
            parts = [p for p in found.of(segments=segments, slices=slices) if p.model_version == version]
            assert sum(part.figures.rows for part in parts) == rows
    first, *later = [p for p in found.of(segments=False, slices=True) if p.model_version == "v1.0.0"]
    assert first.estimated is None and "has 0 rows" in first.note
    assert later[-1].estimated is not None
    assert {p.segment for p in found.of(segments=True, slices=False)} == {"0", "1"}


def test_an_estimate_knows_what_was_known_then() -> None:
    """A slice is estimated from predictions whose window was over when it began, not from answers that came later."""
    predictions = _served(600)
    every, feedback = timedelta(days=1), answered(predictions, lambda s: s)
    rule = Attribution(within=timedelta(days=2))
    found = model_quality(predictions, feedback, _CONFIG, attribution=rule, every=every, estimate=True)
    estimated = [part.estimated is not None for part in found.of(segments=False, slices=True)]
    assert estimated == [False] * 4 + [True] * 2  # a day has a hundred requests, too few to learn from


def test_segments_are_named() -> None:
    """Numbers are cut at quartiles, missing ones apart; unknown columns and too many values are refused by name."""
    predictions = _served()
    feedback = answered(predictions, lambda s: s)
    found = model_quality(predictions, feedback, _CONFIG, by="features.item_ctr")
    names = [part.segment for part in found.of(segments=True, slices=False)]
    assert len(names) == 5 and "missing" in names and any(name and name.startswith("≤") for name in names)
    with pytest.raises(NotFound, match="no column 'device'"):
        model_quality(predictions, feedback, _CONFIG, by="device")
    with pytest.raises(NotFound, match="feature 'user_historical_cpr' was not logged"):
        model_quality(predictions, feedback, _CONFIG, by="features.user_historical_cpr")
    with pytest.raises(UserError, match="'request_id' has 400 values"):
        model_quality(predictions, feedback, _CONFIG, by="request_id")


def test_it_is_told_to_people_and_programs(tmp_path: Path) -> None:
    """The page, the lines and the plain values say the same, and nothing that is no number."""
    predictions = _served(600)
    found = model_quality(
        predictions,
        answered(predictions, lambda s: s),
        _CONFIG,
        by="features.device_mobile",
        every=timedelta(days=2),
        estimate=True,
    )
    write_quality_page(tmp_path / "page.html", "feed", found)
    page = (tmp_path / "page.html").read_text()
    assert "AUC over time" in page and "Reliability" in page and "AUC by features.device_mobile" in page
    plain = told(found)
    assert plain["parts"][0]["auc"]["value"] == found.parts[0].figures.auc.value  # type: ignore[union-attr]
    heads, lines = table_of(found.parts)
    assert lines[0][heads.index("AUC")].startswith(f"{found.parts[0].figures.auc.value:.3f} ")  # type: ignore[union-attr]
    assert "AUC expected" in heads and "AUC expected" not in table_of(found.parts[:1])[0]
    assert joined_sentence(found) == "6,000 of 6,000 predictions were answered."
