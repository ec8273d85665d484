"""What a person sees on a terminal of 80 columns can be read."""

from __future__ import annotations

import pytest

from orita.cli.console import table


def test_a_wide_table_breaks_between_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a table does not fit, lines break at spaces: no word, no number and no name is cut in two."""
    monkeypatch.setenv("COLUMNS", "80")
    columns = ["version", "type", "alias", "auc", "log loss", "precision at 10", "ndcg at 10", "registered (UTC)"]
    row = [
        "v1.10.0",
        "factor_blend",
        "champion, challenger",
        "0.7123",
        "0.4886",
        "0.3048",
        "0.5037",
        "2026-11-21 21:47",
    ]
    table("Models", columns, [row, ["v1.9.0", "[b]linear[/]", "", *row[3:]]])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    words = {word for cell in (*columns, *row, "linear") for word in cell.split()}
    assert words <= set(printed.split())
    assert "[b]" not in printed


def test_an_id_is_never_cut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is what one copies, so other columns break first."""
    monkeypatch.setenv("COLUMNS", "80")
    job = "019aa8c5-7b1e-7cc0-9f1d-2b6f0e5d4c3b"
    columns = ["job", "state", "requests", "attempts", "callback", "taken in (UTC)"]
    table("Jobs", columns, [[job, "succeeded", "1", "1", "delivered", "2026-11-21 21:47:03"]])
    printed = capsys.readouterr().out
    assert job in printed.split()
    assert max(map(len, printed.splitlines())) <= 80


def test_a_table_that_fits_is_not_broken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With room for it every row is a line."""
    monkeypatch.setenv("COLUMNS", "80")
    table("Two", ["a", "b c"], [["one two three", "4"], ["five", "6 7"]])
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["a", "b", "c"],
        ["one", "two", "three", "4"],
        ["five", "6", "7"],
    ]
