"""The registry: versions, aliases, promotion, rollback, and what a kill in between leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orita.control.deployments import Deployments
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.core.progress import SILENT
from orita.features.schema import FeatureColumn, FeatureSchema
from orita.models.build import build_ranker
from orita.models.config import ModelSection, TrainingSection
from orita.models.examples import Examples
from orita.models.metadata import ModelMetadata
from orita.models.package import load_package, write_package
from orita.models.ranker import FitContext
from orita.models.reissue import reissue_package
from orita.registry.catalogue import Catalogue, ModelVersion, RunLog
from orita.registry.tracking import mlflow_client

SCHEMA = FeatureSchema((FeatureColumn("item_ctr", "item"), FeatureColumn("item_popularity", "item", "count")))


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small trained package."""
    rng = np.random.default_rng(0)
    rows = Examples(
        SCHEMA,
        rng.integers(0, 9, 200),
        rng.integers(0, 9, 200),
        rng.random((200, 2), np.float32),
        rng.integers(0, 2, 200).astype(np.float32),
        np.arange(200),
    )
    ranker = build_ranker("popularity", ModelSection(), TrainingSection())
    ranker.fit(rows, rows, FitContext(SILENT))
    folder = tmp_path_factory.mktemp("draft") / "package"
    write_package(folder, ranker, ModelMetadata("id", "v0.0.0", "2024-01-01T00:00:00Z", "", "popularity"), SCHEMA, rows)
    return folder


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with an empty registry: making its database takes seconds."""
    home = Home(tmp_path_factory.mktemp("template") / "home")
    mlflow_client(home)
    return home.mlflow_db


@pytest.fixture
def catalogue(tmp_path: Path, template: Path) -> Iterator[Catalogue]:
    """Return an empty registry in a home of its own."""
    home = Home(tmp_path / "home with spaces")
    home.root.mkdir()
    home.mlflow_db.write_bytes(template.read_bytes())
    yield Catalogue(home)


def register(catalogue: Catalogue, draft: Path) -> ModelVersion:
    """Log a run and register its model."""
    run = catalogue.log_run("feed", RunLog("popularity", {"a": 1}, {"auc": 0.7}, [{"epoch": 0, "val_auc": 0.6}]))
    package = load_package(draft)

    def write(folder: Path, version: str) -> None:
        card = {**package.metadata.to_dict(), "model_version": version, "mlflow_run_id": run}
        reissue_package(package, folder, ModelMetadata.from_dict(card))

    return catalogue.register("feed", run, write, type_="popularity", tags={"orita.draft": run})


def deployed(catalogue: Catalogue) -> str | None:
    """Return the version that serving reads."""
    found = Deployments(catalogue.home.control_db).current("feed")
    return found.version if found else None


def test_registered_then_promoted_then_rolled_back(catalogue: Catalogue, draft: Path) -> None:
    """A new version is the challenger; promotion makes it champion and publishes it; rollback undoes that."""
    first = register(catalogue, draft)
    assert (first.version, first.aliases, first.metrics["auc"]) == ("v1.1.0", ("challenger",), 0.7)
    assert deployed(catalogue) is None
    catalogue.promote("feed", "challenger", actor="ada", reason="first")
    second = register(catalogue, draft)
    promoted = catalogue.promote("feed", second.version, actor="ada", reason="second")
    assert promoted.aliases == ("champion",)
    assert deployed(catalogue) == "v1.2.0"
    assert load_package(catalogue.home.packages / "feed" / "v1.2.0").version == "v1.2.0"
    back = catalogue.rollback("feed", actor="ada", reason="worse")
    assert (back.version, deployed(catalogue)) == ("v1.1.0", "v1.1.0")
    assert [entry.version for entry in catalogue.versions("feed")] == ["v1.2.0", "v1.1.0"]
    with pytest.raises(UserError, match="no earlier champion"):
        catalogue.rollback("feed", actor="ada", reason="again")
    assert deployed(catalogue) == "v1.1.0"


def test_a_plain_mlflow_client_reads_it(catalogue: Catalogue, draft: Path) -> None:
    """Runs, versions, aliases and metrics are MLflow's own; its client needs nothing of Orita."""
    from mlflow.tracking import MlflowClient

    register(catalogue, draft)
    address = f"sqlite:///{catalogue.home.mlflow_db}"
    client = MlflowClient(address, address)
    version = client.get_model_version_by_alias("default.feed", "challenger")
    run = client.get_run(version.run_id)
    assert run.data.metrics["auc"] == 0.7
    assert run.data.params == {"a": "1"}
    assert run.info.status == "FINISHED"


def test_an_unknown_version_lists_what_exists(catalogue: Catalogue, draft: Path) -> None:
    """Without models the sentence says how to get one; with models it names them."""
    with pytest.raises(NotFound, match="orita train"):
        catalogue.get("feed", "champion")
    register(catalogue, draft)
    with pytest.raises(NotFound, match=r"v1\.1\.0"):
        catalogue.get("feed", "v9.9.9")


def test_a_damaged_package_is_not_promoted(catalogue: Catalogue, draft: Path) -> None:
    """A package that changed since it was registered is refused by name, and the champion stays."""
    catalogue.promote("feed", register(catalogue, draft).version, actor="ada", reason="first")
    second = register(catalogue, draft)
    graph = second.package / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"x")
    with pytest.raises(UserError, match=r"model\.onnx"):
        catalogue.promote("feed", second.version, actor="ada", reason="second")
    champion = catalogue.champion("feed")
    assert champion is not None
    assert champion.version == deployed(catalogue) == "v1.1.0"


def test_a_promotion_cut_short_is_finished(catalogue: Catalogue, draft: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the alias was set, the next command points serving at what the alias names."""
    catalogue.promote("feed", register(catalogue, draft).version, actor="ada", reason="first")
    second = register(catalogue, draft)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "_point", killed)
        with pytest.raises(KeyboardInterrupt):
            catalogue.promote("feed", second.version, actor="ada", reason="second")
    assert deployed(catalogue) == "v1.1.0"
    assert catalogue.reconcile("feed") is not None
    assert deployed(catalogue) == "v1.2.0"
    assert catalogue.reconcile("feed") is None


def test_a_rollback_cut_short_and_repeated_goes_back_once(
    catalogue: Catalogue, draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three champions, a rollback killed half-way, the same command again: the second is champion, not the first."""
    for _ in range(3):
        catalogue.promote("feed", register(catalogue, draft).version, actor="ada", reason="next")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "_point", killed)
        with pytest.raises(KeyboardInterrupt):
            catalogue.rollback("feed", actor="ada", reason="worse")
    assert catalogue.rollback("feed", actor="ada", reason="worse").version == "v1.2.0"
    assert deployed(catalogue) == "v1.2.0"


def test_a_registration_cut_short_leaves_no_version(catalogue: Catalogue, draft: Path) -> None:
    """A version whose package was never written is not listed and not promoted."""
    run = catalogue.log_run("feed", RunLog("popularity", {}, {}))

    def killed(folder: Path, version: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalogue.register("feed", run, killed, type_="popularity", tags={})
    assert catalogue.versions("feed") == []
    assert register(catalogue, draft).version == "v1.2.0"


def test_looking_at_an_empty_home_writes_nothing(tmp_path: Path) -> None:
    """Without a database there are no models, and asking does not make one."""
    catalogue = Catalogue(Home(tmp_path / "absent"))
    assert catalogue.versions("feed") == []
    assert catalogue.champion("feed") is None
    with pytest.raises(NotFound, match="orita train"):
        catalogue.get("feed", "champion")
    assert not (tmp_path / "absent").exists()
