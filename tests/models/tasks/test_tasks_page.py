"""The page about tasks does what it says: its files are written, its lines are run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "tasks.md"
_BLOCK = re.compile(r"^```(yaml|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"# (\w+\.yaml)\n")


def test_the_examples_of_the_page_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Binary, multi-class, regression and text: each from YAML to a loaded package, in the words of the page."""
    for library in ("lightgbm", "onnx", "sklearn"):
        pytest.importorskip(library, reason=f"{library}, with which the page trains, is not installed")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    for language, content in blocks:
        if language == "yaml":
            found = _NAME.match(content)
            assert found, "a YAML block begins with the name of its file"
            Path(found[1]).write_text(content, encoding="utf-8")
        else:
            exec(compile(content, str(PAGE), "exec"), names)
    assert [language for language, _ in blocks].count("yaml") == 5
    assert {folder.name for folder in tmp_path.iterdir() if folder.is_dir()} == {
        "churn",
        "activity",
        "spending",
        "mood",
    }
