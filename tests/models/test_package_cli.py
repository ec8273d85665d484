"""Packages are checked, signed and trusted on the command line."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.models.clicks import SCHEMA
from tests.models.packaged import CARD, fitted

from orita.cli import main
from orita.models.package import write_package
from orita.registry.catalogue import Catalogue, ModelVersion


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a package."""
    ranker, rows = fitted("popularity")
    return write_package(tmp_path_factory.mktemp("package") / "v1.2.3", ranker, CARD, SCHEMA, rows).folder


@pytest.fixture
def package(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the package in an empty project, which is the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORITA_HOME", raising=False)
    folder = tmp_path / "v1.2.3"
    folder.mkdir()
    for file in whole.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


class _Run:
    """Runs commands in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Run ``orita models …``, check its exit code, and return what it printed."""
        self._monkeypatch.setattr(sys, "argv", ["orita", "models", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        assert (ended.value.code or 0) == code, printed
        return printed.out + printed.err

    def told(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Return what a command tells a program."""
        found: dict[str, Any] = json.loads(self(*arguments, "--json", code=code))
        return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> _Run:
    """Return what runs commands."""
    return _Run(monkeypatch, capsys)


def test_a_whole_package_is_right_and_a_changed_one_wrong(package: Path, run: _Run) -> None:
    """The table names every check; with a changed byte the exit code is 2 and the file is named."""
    shown = run("verify", str(package))
    for part in ("files", "signature", "form", "sample", "requirements", "two_tower"):
        assert part in shown
    (package / "schema.json").write_text("{}")
    told = run.told("verify", str(package), code=2)
    checks = told["packages"][0]["checks"]
    assert not told["right"]
    assert checks["files"]["outcome"] == "wrong"
    assert "schema.json is changed" in checks["files"]["finding"]
    assert {checks[name]["outcome"] for name in ("signature", "form", "sample", "requirements")} == {"not reached"}


def test_keys_are_made_and_packages_signed_and_required(package: Path, run: _Run) -> None:
    """From no key to a package that verifies as signed; without its signature it does not."""
    assert "Next: orita models keys create" in run("keys", "list")
    assert "has no trusted key" in run("verify", str(package), "--require-signature", code=2)
    made = run.told("keys", "create", "release")
    assert Path(made["private"]).is_file()
    assert run.told("keys", "list") == {"keys": [{"name": "release", "id": made["id"], "signs_here": True}]}
    assert made["id"] in run("keys", "list")
    refused = run.told("verify", str(package), "--require-signature", code=2)
    assert "is not signed" in refused["packages"][0]["checks"]["signature"]["finding"]
    assert run.told("sign", str(package), "--key", "release")["signed"] == [str(package)]
    told = run.told("verify", str(package), "--require-signature")
    assert told["packages"][0]["checks"]["signature"]["finding"] == f"signed by release ({made['id']})"
    assert told["right"]


def test_somebody_else_s_key_is_trusted_by_its_file(package: Path, run: _Run, tmp_path: Path) -> None:
    """A public key from another home is taken up; a package that it signed is then right here."""
    theirs = run.told("keys", "create", "theirs")
    run("sign", str(package), "--key", "theirs")
    (tmp_path / ".orita").rename(tmp_path / "their-home")
    file = tmp_path / "their-home" / "trusted_keys" / "default" / f"{theirs['id']}.json"
    assert run.told("keys", "trust", str(file)) == {"name": "theirs", "id": theirs["id"]}
    assert run.told("keys", "list") == {"keys": [{"name": "theirs", "id": theirs["id"], "signs_here": False}]}
    assert run.told("verify", str(package), "--require-signature")["right"]
    assert "there is no key 'theirs'" in run("sign", str(package), "--key", "theirs", code=2)


def test_other_versions_than_then_are_a_note(package: Path, run: _Run) -> None:
    """A library that scores with another version than when the package was written is told, and is no fault."""
    from orita.models.package.manifest import write_manifest

    (package / "requirements.txt").write_text("# serving\nnumpy==1.0\nnothing-like-it==2\n# training\ntorch==0.1\n")
    write_manifest(package)
    told = run.told("verify", str(package))
    check = told["packages"][0]["checks"]["requirements"]
    assert (told["right"], check["outcome"]) == (True, "note")
    assert "numpy" in check["finding"]
    assert "nothing-like-it none here, 2 then" in check["finding"]
    assert "torch" not in check["finding"]


def test_a_version_is_signed_where_it_is_kept_and_where_it_is_served(
    package: Path, run: _Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alias champion names two copies, the registered one and the published one; both are signed and verified."""
    made = datetime(2024, 11, 15, tzinfo=UTC)
    entry = ModelVersion("feed", "v1.2.3", 2, "two_tower", ("champion",), {}, "run", made, package, {})
    monkeypatch.setattr(Catalogue, "get", lambda _, system, version: {("feed", "champion"): entry}[system, version])
    served = tmp_path / ".orita" / "packages" / "default" / "feed" / "v1.2.3"
    shutil.copytree(package, served)
    run("keys", "create")
    assert run.told("sign", "champion")["signed"] == [str(package), str(served)]
    told = run.told("verify", "champion", "--require-signature")
    assert [found["folder"] for found in told["packages"]] == [str(package), str(served)]
    assert told["right"]
    (served / "model_card.md").write_text("# Another card")
    assert not run.told("verify", "champion", "--require-signature", code=2)["right"]


def test_a_version_is_looked_for_in_the_registry_that_is_configured(
    package: Path, run: _Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where registry.tracking_uri names another store, verify and sign ask that one, not the one of the home."""
    asked: list[str | None] = []

    def get(catalogue: Catalogue, system: str, version: str) -> ModelVersion:
        asked.append(catalogue._store.config.tracking_uri)
        made = datetime(2024, 11, 15, tzinfo=UTC)
        return ModelVersion(system, "v1.2.3", 2, "two_tower", ("champion",), {}, "run", made, package, {})

    monkeypatch.setattr(Catalogue, "get", get)
    (tmp_path / "orita.yaml").write_text("registry: {tracking_uri: 'sqlite:////elsewhere/mlflow.db'}\n")
    assert run.told("verify", "champion")["right"]
    assert asked == ["sqlite:////elsewhere/mlflow.db"]


def test_a_signature_that_the_project_requires_is_required(package: Path, run: _Run, tmp_path: Path) -> None:
    """Where servers refuse unsigned packages, verify finds one wrong too, without being told again."""
    run("keys", "create")
    (tmp_path / "orita.yaml").write_text("registry: {require_signature: true}\n")
    checks = run.told("verify", str(package), code=2)["packages"][0]["checks"]
    assert checks["signature"]["outcome"] == "wrong"


def test_a_version_that_is_not_there_is_named(package: Path, run: _Run) -> None:
    """What is neither a folder nor a version is one sentence."""
    assert "has no model yet" in run("verify", "v9.9.9", code=2)
