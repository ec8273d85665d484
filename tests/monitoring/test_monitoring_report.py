"""One run from end to end, and the report that it leaves: plain JSON, one HTML file that needs nothing else."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.monitoring.one_run import Watched, watch
from tests.monitoring.watched_system import answered, draw, logged

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.monitoring.alerting.book import AlertBook
from orita.monitoring.alerts import TableQuality
from orita.monitoring.config import MonitoringConfig
from orita.monitoring.histogram import histogram
from orita.monitoring.plots import histogram_svg, line_svg
from orita.monitoring.reference import Reference

_AT = datetime(2024, 11, 15, 4, tzinfo=UTC)


class _Balanced(HTMLParser):
    """Collects tags, and fails on one that closes what is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]
        # Closed by what follows them, or never.
        if tag not in {"meta", "th"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _watch(
    home: Home,
    reference: Reference | None,
    *,
    shift: float = 0.0,
    requests: int = 400,
    quality: tuple[TableQuality, ...] = (),
) -> Watched:
    rows = draw(np.random.default_rng(1), requests, per_request=10)
    rows["x_NF"][:, 0] += shift
    predictions = logged(rows)
    return watch(
        home,
        "feed",
        predictions=predictions,
        feedback=answered(predictions, lambda s: s),
        reference=reference,
        config=MonitoringConfig.model_validate({"performance_monitoring": {"resamples": 100}}),
        test_auc={"v1.0.0": 0.6},
        last_training=_AT - timedelta(days=3),
        quality=quality,
        clock=ManualClock(_AT),
    )


def _checked(html: str) -> _Balanced:
    parser = _Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def test_a_quiet_day_says_so(tmp_path: Path, reference: Reference) -> None:
    """Unchanged data gives no alert, no retraining, and a report that says there is nothing to do."""
    home = Home(tmp_path)
    watched = _watch(home, reference)
    assert watched.report.alerts == ()
    assert not watched.report.decision.retrain
    html = watched.html_path.read_text()
    assert "nothing to do" in html
    assert "Do not retrain" in html
    assert watched.json_path.parent == home.reports


def test_a_drifted_day_alarms_decides_and_shows(tmp_path: Path, reference: Reference) -> None:
    """Drift is in the JSON, in a plot, in the book of alerts and in the decision, and the alert's evidence exists."""
    home = Home(tmp_path)
    watched = _watch(home, reference, shift=0.1)
    content = json.loads(watched.json_path.read_text())
    assert content["features"]["alarming"] == ["user_historical_ctr"]
    assert content["decision"]["retrain"] is True
    assert content["told"]["new"] == 1
    assert Path(content["alerts"][0]["evidence"]) == watched.html_path
    with closing(AlertBook(home.reports / "alerts.db")) as book:
        assert [known.name for known in book.alerts() if known.firing] == ["FEATURE_DRIFT"]
    seen = _checked(watched.html_path.read_text())
    # The drifted feature, the scores, CTR by day and AUC by day.
    assert seen.seen.count("svg") == 4


def test_data_that_are_not_as_expected_alarm_and_are_shown(tmp_path: Path, reference: Reference) -> None:
    """A table is one alert with its own page, whatever failed; warnings are shown and alarm nobody."""
    failed = tuple(f"column 'c{place}' was dropped: <restore> it." for place in range(5))
    quality = (
        TableQuality("interactions", _AT, 1200, failed, page="page.html"),
        TableQuality("items", _AT, 3, (), ("column 'x' was added (int64): declare it, or leave it out.",)),
    )
    watched = _watch(Home(tmp_path), reference, quality=quality)
    (alert,) = watched.report.alerts
    assert (alert.key, alert.severity, alert.value) == (("DATA_QUALITY", "feed/interactions"), "warning", 5)
    assert (alert.evidence, alert.runbook) == ("page.html", "docs/runbook.md#data-quality")
    assert alert.summary.endswith("column 'c2' was dropped: <restore> it. And 2 expectations more.")
    assert json.loads(watched.json_path.read_text())["quality"][0]["errors"] == list(failed)
    html = watched.html_path.read_text()
    _checked(html)
    for text in ("1,200 new rows", "c4&#x27; was dropped: &lt;restore&gt; it.", "x&#x27; was added"):
        assert text in html
    recovered = _watch(Home(tmp_path), reference, quality=(TableQuality("interactions", _AT, 9, ()),))
    assert recovered.report.told is not None
    assert [alert["subject"] for alert in recovered.report.told.recovered] == ["feed/interactions"]


def test_the_page_needs_nothing_else(tmp_path: Path, reference: Reference) -> None:
    """The page is well formed, loads nothing and runs nothing."""
    page = _watch(Home(tmp_path), reference, shift=0.1).html_path.read_text()
    parser = _checked(page)
    assert parser.links == []
    assert "script" not in parser.seen
    assert "url(" not in page and "@import" not in page


@pytest.mark.parametrize("requests", [0, 3, 400])
def test_without_a_reference_or_requests_there_is_still_a_report(
    tmp_path: Path, reference: Reference, requests: int
) -> None:
    """No reference, no requests, or few of them: the report says what was not looked at."""
    alone = _watch(Home(tmp_path / "a"), None, requests=requests)
    assert "there is no reference yet" in alone.html_path.read_text()
    together = _watch(Home(tmp_path / "b"), reference, requests=requests)
    _checked(together.html_path.read_text())
    if requests < 30:
        assert "Not judged" in together.html_path.read_text()
    assert together.report.alerts == ()


def test_names_cannot_write_html(tmp_path: Path) -> None:
    """What comes from data is escaped."""
    rows = draw(np.random.default_rng(1), 300, per_request=10)
    predictions = logged(rows, version="<script>alert(1)</script>")
    watched = watch(
        Home(tmp_path),
        "feed",
        predictions=predictions,
        feedback=answered(predictions, lambda s: s),
        reference=None,
        config=MonitoringConfig(),
        test_auc={},
        last_training=_AT,
        clock=ManualClock(_AT),
    )
    assert "<script>" not in watched.html_path.read_text()


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([], []),
        ([np.nan], [np.nan]),
        ([1.0], [1.0]),
        ([0.0, 1], [1.0, np.nan]),
        (list(np.linspace(0, 1, 200)), [1e6] * 50),
        ([np.inf, -np.inf, *list(np.linspace(0, 1, 50))], list(np.linspace(0, 2, 50))),
    ],
    ids=["empty", "missing", "constant", "flag", "outliers", "infinite"],
)
def test_histograms_hold_every_row_and_draw(before: list[float], now: list[float]) -> None:
    """Shares and missing values sum to 1 whatever the values, and the plot is well-formed XML."""
    shown = histogram(np.array(before), np.array(now))
    for shares, missing, rows in (
        (shown.reference, shown.reference_missing, before),
        (shown.recent, shown.recent_missing, now),
    ):
        assert sum(shares) + missing == pytest.approx(1.0 if rows else 0.0)
    svg = histogram_svg(shown, 'a "title" & more')
    assert not svg or ElementTree.fromstring(svg).tag == "svg"


def test_lines_draw_one_point_and_many() -> None:
    """A single day, equal days and a level outside their range are drawn within the frame."""
    for points in ([("a", 0.1)], [("a", 0.1), ("b", 0.1)], [("a", 0.0), ("b", 0.4), ("c", 0.2)]):
        root = ElementTree.fromstring(line_svg(points, "t", level=0.9))
        dots = [float(dot.attrib["cy"]) for dot in root.iter("circle")]
        assert len(dots) == len(points)
        assert all(0 <= y <= 150 for y in dots)
    assert line_svg([], "t") == ""
