"""The page about a search."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.models.search.studies import ABOUT, PARAMETERS

from orita.models.search.binding import Parameter
from orita.models.search.page import write_search_page
from orita.models.search.trials import Trial
from orita.models.search.view import Search

pytest.importorskip("matplotlib", reason="the extra train is not installed")


def search(*, complete: int, folds: int | None = None) -> Search:
    """Return a search with some complete trials, one that was ended early and one that failed."""
    trials = [
        Trial(
            n,
            {"kind": "flat", "x": 0.01 * n} if n % 2 else {"kind": [2, 1], "x": 0.01 * n, "leaves": 3 + 4 * (n % 5)},
            "linear",
            "complete",
            0.7 + n / 1000,
            interval=(0.69, 0.72),
            parts=(0.7, 0.71 + n / 1000),
            seconds=1.0,
        )
        for n in range(1, complete + 1)
    ]
    trials.append(Trial(complete + 1, {"kind": "flat", "x": 0.5}, "linear", "pruned", steps={1: 0.4}))
    trials.append(Trial(complete + 2, {"kind": "flat", "x": 0.5}, "linear", "failed", error="no <room> left"))
    importance = {"x": 0.7, "kind": 0.2, "leaves": 0.1} if complete > 10 else {}
    parameters: tuple[Parameter, ...] = PARAMETERS
    return Search("auc-1", {**ABOUT, "folds": folds}, 40, parameters, tuple(trials), importance)


def test_a_page_stands_alone_and_says_what_its_figure_is_worth(tmp_path: Path) -> None:
    """Course, importance, every key and the trials are on it; nothing is loaded, and texts of errors are escaped."""
    page = tmp_path / "search.html"
    write_search_page(page, search(complete=12))
    text = page.read_text(encoding="utf-8")
    assert "http://" not in text.replace("http://www.w3.org", "") and "<script" not in text
    assert "the figure flatters it" in text and "without luck of the choice" in text
    assert text.count("<svg") == 1 + 1 + 3 + 2, "course, importance, three keys, two sets of keys together"
    assert "no &lt;room&gt; left" in text and "Tried when kind is [2, 1]." in text


@pytest.mark.parametrize("complete", [0, 1, 2])
def test_a_search_that_has_just_begun_has_a_page(tmp_path: Path, complete: int) -> None:
    """What cannot be told yet is left out."""
    write_search_page(tmp_path / "search.html", search(complete=complete, folds=3))
    assert "All trials" in (tmp_path / "search.html").read_text(encoding="utf-8")
