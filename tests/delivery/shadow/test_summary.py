"""What a shadow has found, in figures, in words and as a page."""

from __future__ import annotations

import json
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from tests.delivery.shadow.worlds import CHAMPION, answer, begun, home_in, times

from orita.core.errors import NotFound
from orita.core.home import Home
from orita.delivery.rollouts.checks import Checks, ErrorCheck
from orita.delivery.rollouts.rollout import Rollout
from orita.delivery.shadow.candidate import Failed, Scored
from orita.delivery.shadow.kept import Counts, ShadowFiles, ShadowState, shadow_folder
from orita.delivery.shadow.page import write_shadow_page
from orita.delivery.shadow.records import Mirrored, shadow_rows
from orita.delivery.shadow.summary import mean_figure, shadow_summary
from orita.delivery.shadow.told import CandidateSummary, Figure, Quantiles
from orita.delivery.shadow.verdict import judged

VERSION = "v2.0.0"


def kept(home: Home, rollout: Rollout, *, noise: float, failed: int = 0, requests: int = 300, ms: float = 1.0) -> None:
    """Keep rows of a candidate that adds *noise* to the champion's scores, and fails in the first *failed* requests."""
    rng = np.random.default_rng(3)
    mirrored = []
    for number, at in enumerate(times(rollout, requests)):
        request = answer(number, at)
        scores_N = np.frombuffer(request.scores, np.float32)
        noisy_N = (scores_N + noise * rng.standard_normal(len(scores_N))).astype(np.float32)
        told = Scored(noisy_N, ms, ms, "log") if number >= failed else Failed("ValueError", f"no {number}")
        mirrored.append(Mirrored(request, CHAMPION, told))
    files = ShadowFiles(shadow_folder(home, "feed", rollout.id))
    counts = Counts(seen=requests, chosen=requests, scored=requests - failed, failed=failed)
    state = ShadowState(counts={VERSION: counts}, cpu_seconds=6.0, followed_seconds=60.0, starts={VERSION: 1})
    files.commit(shadow_rows(mirrored, VERSION), rollout.started_at.date(), state)
    files.close()


def found(home: Home, rollout: Rollout) -> CandidateSummary:
    """Return the summary of the only candidate."""
    (candidate,) = shadow_summary(home, "feed", rollout.id).candidates
    return candidate


def test_figures_are_means_with_intervals(tmp_path: Path) -> None:
    """Noise lowers agreement; intervals hold the mean, and a user's requests count as dependent."""
    home = home_in(tmp_path)
    rollout = begun(home, VERSION, checks=Checks(scores=None))
    kept(home, rollout, noise=0.1)
    told = shadow_summary(home, "feed", rollout.id)
    candidate = found(home, rollout)
    assert told.cpu_percent == pytest.approx(10.0)
    assert (candidate.rows, candidate.users) == (300, 60)
    assert candidate.figures["tau"].mean < candidate.figures["rho"].mean < 1
    for figure in candidate.figures.values():
        assert figure.low is not None and figure.high is not None
        assert figure.low <= figure.mean <= figure.high
    assert candidate.verdict.state == "fits"
    assert candidate.furthest[0].rbo == min(each.rbo or 1.0 for each in candidate.furthest)
    assert candidate.candidate_ms == Quantiles(1.0, 1.0, 1.0)
    json.dumps(told.to_dict(), allow_nan=False)


def test_an_interval_widens_where_users_return() -> None:
    """Five requests of each user that say the same are as few as one: the interval is √5 as wide."""
    values_U = np.random.default_rng(1).normal(0.5, 0.1, 400)
    once = mean_figure(values_U, np.arange(400))
    again = mean_figure(np.repeat(values_U, 5), np.repeat(np.arange(400), 5))
    apart = mean_figure(np.repeat(values_U, 5), np.arange(2000))
    assert once is not None and again is not None and apart is not None
    widths = [each.high - each.low for each in (once, again, apart) if each.high is not None and each.low is not None]
    assert widths[1] == pytest.approx(widths[0], rel=1e-6)
    assert widths[0] / widths[2] == pytest.approx(np.sqrt(5), rel=0.01)


def test_errors_are_told_by_kind(tmp_path: Path) -> None:
    """How many, the last of them by its request id, and a verdict that says so."""
    home = home_in(tmp_path)
    rollout = begun(home, VERSION)
    kept(home, rollout, noise=0.0, failed=40)
    candidate = found(home, rollout)
    (kind,) = candidate.errors
    assert (kind.kind, kind.count, kind.request_id) == ("ValueError", 40, "request-0-39")
    assert candidate.failed is not None and candidate.failed.mean == pytest.approx(40 / 300)
    assert candidate.figures["tau"].requests == 260
    assert candidate.verdict.state == "fails"
    assert "13.33%" in candidate.verdict.findings[0]


def test_a_page_has_it_all(tmp_path: Path) -> None:
    """One file with plots, which loads nothing, and writes what a candidate said as text."""
    home = home_in(tmp_path)
    rollout = begun(home, VERSION)
    kept(home, rollout, noise=0.2, failed=3)
    page = tmp_path / "shadow.html"
    write_shadow_page(page, shadow_summary(home, "feed", rollout.id))
    text = page.read_text()
    HTMLParser().feed(text)
    assert text.count("<svg") == 4
    assert "rank-biased overlap" in text and "ValueError" in text
    assert not [mark for mark in ("src=", "<link", "@import", "<script", "url(http") if mark in text]


def test_an_empty_shadow_says_so(tmp_path: Path) -> None:
    """Before anybody follows it there is a summary and a page, and no figure."""
    home = home_in(tmp_path)
    rollout = begun(home, VERSION)
    candidate = found(home, rollout)
    assert candidate.verdict.state == "nothing_scored"
    assert "orita shadow run" in candidate.verdict.sentence
    assert not candidate.figures and candidate.failed is None
    write_shadow_page(tmp_path / "empty.html", shadow_summary(home, "feed", rollout.id))


def test_another_rollout_is_no_shadow(tmp_path: Path) -> None:
    """An unknown id is refused with those that are known."""
    home = home_in(tmp_path)
    rollout = begun(home, VERSION)
    with pytest.raises(NotFound, match=rollout.id):
        shadow_summary(home, "feed", "01932fb5")


def test_an_answer_that_the_log_wrote_twice_counts_once(tmp_path: Path) -> None:
    """The same answer is the same row; another answer of the same request id is not."""
    home = home_in(tmp_path)
    rollout = begun(home, VERSION)
    one, other = (answer(1, rollout.started_at + timedelta(seconds=1), seed=seed) for seed in (0, 1))
    scores_N = np.frombuffer(one.scores, np.float32)
    rows = [Mirrored(each, CHAMPION, Scored(scores_N, 1.0, 1.0, "log")) for each in (one, one, other)]
    files = ShadowFiles(shadow_folder(home, "feed", rollout.id))
    files.commit(shadow_rows(rows, VERSION), rollout.started_at.date(), ShadowState())
    files.close()
    assert found(home, rollout).rows == 2


BASE = {
    "counts": Counts(seen=500, chosen=500, scored=500),
    "failed": Figure(0.0, 0.0, 0.0, 500),
    "candidate_cpu_ms": Quantiles(1, 2, 3),
    "champion_ms": Quantiles(3, 5, 9),
    "distance": 0.05,
    "ranking": Figure(0.95, 0.94, 0.96, 500),
    "trouble": None,
}


FEW = Counts(seen=1, chosen=1, failed=1)


@pytest.mark.parametrize(
    ("changed", "state", "told"),
    [
        ({}, "fits", "much as the champion"),
        ({"failed": Figure(0.02, 0.01, 0.03, 500)}, "fails", "2.00%"),
        ({"failed": Figure(0.006, 0.001, 0.011, 500)}, "fits", "much as"),  # more than allowed is not excluded
        ({"candidate_cpu_ms": Quantiles(1, 26, 30)}, "slow", "26.0 ms"),
        ({"distance": 0.31}, "differs", "0.31 apart"),
        ({"counts": Counts(seen=9, chosen=9, scored=9)}, "too_few", "200"),
        ({"counts": Counts(seen=9, chosen=9, scored=9), "distance": 0.5}, "too_few", "0.50 apart"),
        ({"counts": FEW, "failed": Figure(1.0, 1.0, 1.0, 1)}, "too_few", "0 requests scored and 1 failed"),
        (
            {"counts": Counts(seen=500, chosen=500, failed=500), "failed": Figure(1.0, 1.0, 1.0, 500)},
            "fails",
            "100.00%",
        ),
        ({"counts": Counts(seen=200, chosen=200, scored=1, failed=199), "distance": 0.5}, "too_few", "0.50 apart"),
        ({"counts": Counts(seen=9, chosen=9, dropped=9)}, "nothing_scored", "cpu_percent"),
        ({"trouble": "v2 cannot be loaded: gone"}, "fails", "gone"),
        ({"ranking": Figure(1.0, 1.0, 1.0, 500)}, "fits", "as the champion does"),
    ],
)
def test_the_verdict_rests_on_the_checks(changed: dict[str, object], state: str, told: str) -> None:
    """Each line that the rollout draws, and only beyond the interval."""
    verdict = judged(Checks(), **{**BASE, **changed})  # type: ignore[arg-type]
    assert verdict.state == state
    assert told in " ".join((verdict.sentence, *verdict.findings))


def test_a_check_that_is_off_is_not_looked_at() -> None:
    """A null check draws no line."""
    failing = {**BASE, "failed": Figure(1.0, 1.0, 1.0, 500)}
    assert judged(Checks(), **failing).state == "fails"  # type: ignore[arg-type]
    assert judged(Checks(errors=None), **failing).state == "fits"  # type: ignore[arg-type]
    lenient = replace(Checks(), errors=ErrorCheck(most_more=0.99))
    assert judged(lenient, **{**failing, "failed": Figure(0.5, 0.4, 0.6, 500)}).state == "fits"  # type: ignore[arg-type]
