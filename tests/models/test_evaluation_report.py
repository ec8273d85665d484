"""The report of an evaluation holds the evaluation, and stands alone in one file."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.models.clicks import clicks

from orita.core.errors import UserError
from orita.models.evaluation import (
    METRICS,
    Evaluation,
    Rival,
    compare,
    evaluate,
    permutation_importance,
    worst_slices,
    write_evaluation_report,
)
from orita.models.evaluation.top_errors import top_errors
from orita.models.examples import Examples

pytest.importorskip("matplotlib", reason="Matplotlib is not installed")
pytest.importorskip("jinja2", reason="Jinja2 is not installed")


def score(rows: Examples) -> npt.NDArray[np.float32]:
    """Return scores that rest on two features."""
    rate_N = np.nan_to_num(rows.x_NF[:, rows.schema.index("item_ctr")], nan=0.4)
    topic_N = rows.x_NF[:, rows.schema.index("topic")] == 2
    return np.asarray(0.9 * rate_N + 0.05 * topic_N, np.float32)


def written(path: Path, rows: Examples, scores_N: npt.NDArray[np.float32], **options: object) -> str:
    """Write a report of plain evaluation, and return it."""
    found = evaluate(scores_N, rows, resamples=20, slices=[])
    write_evaluation_report(path, found, rows, scores_N, title="t", **options)  # type: ignore[arg-type]
    return path.read_text()


def test_a_whole_report_says_all_of_it(tmp_path: Path) -> None:
    """Figures with intervals, curves, calibration, slices, importance, errors and the rival, and it is small."""
    rows, train = clicks(1500), clicks(1500, seed=1)
    scores_N = score(rows)
    bad_N = rows.x_NF[:, rows.schema.index("device")] == 1
    spoiled_N = np.where(bad_N, 0.02, scores_N).astype(np.float32)
    found: Evaluation = evaluate(spoiled_N, rows, train=train, resamples=50)
    worst = worst_slices(spoiled_N, rows)
    assert worst.slices[0].text == "device = 1"
    rival = Rival("old", scores_N, compare(spoiled_N, scores_N, rows, metrics=METRICS, resamples=50))
    path = tmp_path / "evaluations" / "report.html"
    write_evaluation_report(
        path,
        found,
        rows,
        spoiled_N,
        title="feed: v1.2.3",
        name="new",
        facts={"type": "two_tower"},
        worst=[worst],
        importance=permutation_importance(score, rows),
        rival=rival,
    )
    text = path.read_text()
    shown = unescape(re.sub(r"<[^>]+>", " ", text))
    for name in ("auc", "log_loss", "calibration_error"):
        assert f"{found.metrics[name]:.4f}" in shown
        assert "{:.4f} – {:.4f}".format(*found.intervals[name]) in shown
    for words in ("feed: v1.2.3", "type: two_tower", "device = 1", "user_historical_ctr", "Surely worse than old"):
        assert words in shown
    titles = re.findall(r"<title id[^>]*>([^<]+)", text)
    curves = ["ROC curve", "Precision-recall curve", "Gain curve", "Calibration", "Scores"]
    assert titles == [*curves, "Importance of features"]
    assert not re.search(r"<script|https?:|src=", text)
    assert len(text) < 300_000


def test_a_large_report_stays_small(tmp_path: Path) -> None:
    """100,000 rows make a file under 1.5 MB, the same one when it is written again."""
    rows = clicks(100_000, users=2000, items=500)
    first, again = (written(tmp_path / name, rows, score(rows)) for name in ("a.html", "b.html"))
    assert first == again
    assert len(first.encode()) < 1_500_000


@pytest.mark.parametrize("case", ["no clicks", "one row", "equal scores", "text ids", "nothing known"])
def test_odd_rows_have_a_report_too(tmp_path: Path, case: str) -> None:
    """Rows of one kind, a single row, scores that are all equal, ids of text, features that are all missing."""
    rows = clicks(300, text=case == "text ids")
    if case == "no clicks":
        rows = rows.take(np.flatnonzero(rows.y_N == 0))
    if case == "one row":
        rows = rows.take(slice(0, 1))
    if case == "nothing known":
        rows = replace(rows, x_NF=np.full_like(rows.x_NF, np.nan))
    scores_N = np.full(len(rows), 0.5, np.float32) if case == "equal scores" else score(rows)
    found = evaluate(scores_N, rows, resamples=20)
    write_evaluation_report(tmp_path / "r.html", found, rows, scores_N, title="odd")
    text = (tmp_path / "r.html").read_text()
    assert text.rstrip().endswith("</html>")
    assert "nan" not in re.sub(r"<[^>]+>", " ", text).lower().split()


def test_the_most_confident_errors_come_first(tmp_path: Path) -> None:
    """Clicks with the lowest scores and non-clicks with the highest, with ids and features; without ids if asked."""
    rows = clicks(400, text=True)
    scores_N = score(rows)
    missed, alarms = top_errors(scores_N, rows, 5)
    assert [e.score for e in missed] == sorted(scores_N[rows.y_N > 0].tolist())[:5]
    assert [e.score for e in alarms] == sorted(scores_N[rows.y_N == 0].tolist(), reverse=True)[:5]
    worst = missed[0]
    assert (worst.user, worst.item, worst.positive) == (rows.users_N[worst.row], rows.items_N[worst.row], True)
    assert worst.loss == pytest.approx(-np.log(worst.score), rel=1e-5)
    assert list(worst.features) == list(rows.schema.names)
    assert f">{worst.user}<" in written(tmp_path / "with.html", rows, scores_N)
    assert f">{worst.user}<" not in written(tmp_path / "without.html", rows, scores_N, errors=0)


def test_rows_of_another_evaluation_are_refused(tmp_path: Path) -> None:
    """Scores that do not go with the rows are refused, and no file is left."""
    rows = clicks(50)
    found = evaluate(score(rows), rows, resamples=20)
    with pytest.raises(UserError, match="49 scores for 50 rows"):
        write_evaluation_report(tmp_path / "r.html", found, rows, score(rows)[1:], title="t")
    with pytest.raises(UserError, match="50 rows, the report was given 49"):
        write_evaluation_report(tmp_path / "r.html", found, rows.take(slice(1, None)), score(rows)[1:], title="t")
    assert not list(tmp_path.iterdir())
