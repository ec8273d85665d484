"""``orita models search``: what people and programs see."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.small_world import orita_inside, told
from tests.registry.filled import fill
from tests.registry.registering import register

from orita.registry.catalogue import Catalogue


@pytest.fixture(scope="module")
def folder(
    sqlite_catalogue: Callable[[Path], Catalogue], tmp_path_factory: pytest.TempPathFactory, draft: Path
) -> Path:
    """Return a folder whose home has some runs, and a model of one of them."""
    root = tmp_path_factory.mktemp("searched")
    catalogue = sqlite_catalogue(root / ".orita")
    fill(catalogue, 30)
    register(catalogue, draft, metrics={"auc": 0.71}, tags={"team": "[red]ads"})
    return root


def test_versions_and_runs_are_found(folder: Path) -> None:
    """Versions by default, every run with --runs; --json gives one object that any parser of JSON reads."""
    assert "v1.1.0" in orita_inside(folder, "models", "search", "auc > 0.7 and type = 'popularity'")
    assert "popularity" in orita_inside(folder, "models", "search", "--runs", "auc = 0.71")
    found = told(folder, "models", "search", "tag.team = '[red]ads'")["models"]
    assert [(model["version"], model["metrics"]["auc"]) for model in found] == [("v1.1.0", 0.71)]
    runs = told(folder, "models", "search", "--runs", "--order", "auc", "--limit", "1000")["runs"]
    assert len(runs) == 31
    assert any(value is None for run in runs for value in run["metrics"].values())  # NaN, which JSON has not
    json.dumps(runs, allow_nan=False)


def test_nothing_found_says_so(folder: Path) -> None:
    """An empty answer is a sentence for people and an empty list for programs."""
    assert "Fewer conditions" in orita_inside(folder, "models", "search", "auc > 99")
    assert told(folder, "models", "search", "--runs", "auc > 1e300") == {"runs": []}


def test_a_bad_query_is_one_sentence_and_exit_code_2(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where there is no registry yet, of which asking makes none."""
    for arguments in (["auc >"], ["", "--order", "tag.team"], ["--runs", "", "--limit", "0"]):
        orita_inside(folder, "models", "search", *arguments, code=2)
    orita_inside(tmp_path, "models", "search", "auc >", code=2)
    assert not (tmp_path / ".orita" / "mlflow.db").exists()
