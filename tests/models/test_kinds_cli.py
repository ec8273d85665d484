"""Predictors and retrievers are signed and verified on the command line, as rankers are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.models.packaged import CARD
from tests.models.retrieval.tastes import interactions
from tests.models.tasks.tasks_world import CONTEXT, section_of, table

from orita.cli import main
from orita.models.package.manifest import write_manifest
from orita.models.retrieval.build import build_retriever
from orita.models.retrieval.config import RetrieverSection
from orita.models.retrieval.package import write_retriever
from orita.models.tasks.build import build_table_predictor
from orita.models.tasks.write import write_predictor


def _predictor(folder: Path) -> str:
    pytest.importorskip("onnx", reason="onnx, which writes the graph, is not installed")
    predictor, rows = build_table_predictor(section_of("binary", "linear")), table("binary", 80)
    predictor.fit(rows, rows, CONTEXT)
    write_predictor(folder, predictor, CARD, rows)
    return "two_tower v1.2.3, predictor of the task binary, answers 2 classes"


def _retriever(folder: Path) -> str:
    retriever, rows = build_retriever(RetrieverSection(type="popularity")), interactions(200)
    retriever.fit(rows, CONTEXT)
    write_retriever(folder, retriever, CARD, rows.users_N)
    return "two_tower v1.2.3, retriever of the type popularity"


@pytest.mark.parametrize("write", [_predictor, _retriever])
def test_any_kind_is_signed_and_verified(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a folder to a package that verifies as signed; with a forged sample the check of the sample is wrong."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORITA_HOME", raising=False)

    def told(*arguments: str, code: int = 0) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["orita", "models", *arguments, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert (ended.value.code or 0) == code, printed
        found: dict[str, Any] = json.loads(printed.out)
        return found

    form, folder = write(tmp_path / "package"), str(tmp_path / "package")
    made = told("keys", "create", "release")
    assert not told("verify", folder, "--require-signature", code=2)["right"]
    told("sign", folder, "--key", "release")
    checks = told("verify", folder, "--require-signature")["packages"][0]["checks"]
    assert {check["outcome"] for check in checks.values()} == {"right"}
    assert checks["form"]["finding"] == form
    assert made["id"] in checks["signature"]["finding"]
    (tmp_path / "package" / "sample.parquet").write_bytes(b"PAR1")
    write_manifest(tmp_path / "package")
    (tmp_path / "package" / "signature.json").unlink()
    checks = told("verify", folder, code=2)["packages"][0]["checks"]
    assert "sample.parquet is not a Parquet file" in checks["form"]["finding"]
