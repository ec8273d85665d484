"""The registry: versions, aliases, promotion, rollback, and what a kill in between leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.registry.registering import register

from orita.control.deployments import Deployments
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.models.package import load_package
from orita.registry.catalogue import Catalogue, RunLog
from orita.registry.promotion import Promotions


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


def test_an_unknown_version_lists_what_exists(catalogue: Catalogue, draft: Path) -> None:
    """Without models the sentence says how to get one; with models it names them."""
    with pytest.raises(NotFound, match="orita train"):
        catalogue.get("feed", "champion")
    register(catalogue, draft)
    with pytest.raises(NotFound, match=r"v1\.1\.0"):
        catalogue.get("feed", "v9.9.9")


def test_artifacts_that_are_in_no_folder_are_refused(
    sqlite_catalogue: Callable[[Path], Catalogue], tmp_path: Path, draft: Path
) -> None:
    """An experiment of somebody else may keep its artifacts in a bucket: nothing is written at a path called alike."""
    catalogue = sqlite_catalogue(tmp_path / "home")
    catalogue._store.client.create_experiment(catalogue._store.name("feed"), artifact_location="s3://bucket/x")
    with pytest.raises(UserError, match="which is no folder of this machine"):
        register(catalogue, draft)
    assert catalogue.versions("feed") == []


def test_a_number_that_no_database_holds_is_an_unknown_version(catalogue: Catalogue, draft: Path) -> None:
    """A long number is refused as every other version that is not there."""
    register(catalogue, draft)
    for version in ("9" * 23, f"v1.{'9' * 23}.0"):
        with pytest.raises(NotFound, match="has no model '"):
            catalogue.get("feed", version)


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
        patch.setattr(Promotions, "_point", killed)
        with pytest.raises(KeyboardInterrupt):
            catalogue.promote("feed", second.version, actor="ada", reason="second")
    assert deployed(catalogue) == "v1.1.0"
    assert catalogue.reconcile("feed") is not None
    assert deployed(catalogue) == "v1.2.0"
    assert catalogue.reconcile("feed") is None


def test_a_deployment_of_a_rollout_is_followed(
    catalogue: Catalogue, draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was deployed in control state since is what the alias names next; a promotion cut short is finished."""
    versions = [register(catalogue, draft).version for _ in range(3)]
    catalogue.promote("feed", versions[0], actor="ada", reason="first")
    catalogue.publish("feed", versions[1])
    assert deployed(catalogue) == versions[0]
    Deployments(catalogue.home.control_db).deploy("feed", versions[1], actor="controller", reason="no harm found")
    assert catalogue.reconcile("feed") is None
    champion = catalogue.champion("feed")
    assert champion is not None
    assert champion.version == deployed(catalogue) == versions[1]

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Promotions, "_point", killed)
        with pytest.raises(KeyboardInterrupt):
            catalogue.promote("feed", versions[2], actor="ada", reason="third")
    assert catalogue.rollback("feed", actor="ada", reason="worse").version == versions[1]
    assert deployed(catalogue) == versions[1]


def test_a_rollback_cut_short_and_repeated_goes_back_once(
    catalogue: Catalogue, draft: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three champions, a rollback killed half-way, the same command again: the second is champion, not the first."""
    for _ in range(3):
        catalogue.promote("feed", register(catalogue, draft).version, actor="ada", reason="next")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Promotions, "_point", killed)
        with pytest.raises(KeyboardInterrupt):
            catalogue.rollback("feed", actor="ada", reason="worse")
    assert catalogue.rollback("feed", actor="ada", reason="worse").version == "v1.2.0"
    assert deployed(catalogue) == "v1.2.0"


def test_a_registration_cut_short_leaves_no_version(catalogue: Catalogue, draft: Path) -> None:
    """A version whose package was never written is not listed and not promoted."""
    run = catalogue.runs.log("feed", RunLog("popularity", {}, {}))

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
