"""A registered model becomes one with int8 weights: measured on its own rows, registered once, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.registry.small_registry import registered, trained_home

from orita.core.errors import NotFound, UserError
from orita.features.training_sets.training_set import SPLITS, latest_training_set
from orita.models.package import load_package
from orita.models.package.keys import create_key
from orita.monitoring.reference import Reference
from orita.pipelines.quantising import Quantised, quantise_version
from orita.pipelines.references import reference_path
from orita.pipelines.workspace import Workspace
from orita.registry.config import RegistryConfig
from orita.registry.difference import difference
from orita.registry.expectations import Expectation, expectations_file, read_expectations, write_expectations


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a home with a two-tower (v1.1.0) and a model of counts (v1.2.0)."""
    workspace = trained_home(tmp_path_factory.mktemp("quantising"))
    registered(workspace, "two_tower")
    described = expectations_file(workspace.home, "small", "v1.1.0")
    described.parent.mkdir(parents=True)
    write_expectations(described, {"hour": Expectation("TINYINT", "number", low=0, high=23)})
    registered(workspace, "popularity")
    return workspace


@pytest.fixture(scope="module")
def made(workspace: Workspace) -> Quantised:
    """Return the two-tower with int8 weights; the files of its training set were let go before."""
    kept = latest_training_set(workspace.home.training_sets, "small")
    contents = {part: kept.file(part).read_bytes() for part in SPLITS}
    for part in SPLITS:
        kept.file(part).unlink()
    try:
        return quantise_version(workspace, "v1.1.0", max_auc_loss=0.5)
    finally:
        for part, content in contents.items():
            kept.file(part).write_bytes(content)


def test_it_is_a_version_of_its_own_with_its_loss_on_the_card(workspace: Workspace, made: Quantised) -> None:
    """Smaller, the challenger, with lineage to its parent, judged on both parts, with intervals, on card and run."""
    entry, figures = made.entry, made.figures
    assert (made.new, entry.version, entry.type, entry.aliases) == (True, "v1.3.0", "two_tower", ("challenger",))
    assert entry.tags["orita.parent"] == figures["parent"] == "v1.1.0"
    package, parent = load_package(entry.package), load_package(made.parent.package)
    package.check_sample()
    assert package.metadata.model_id != parent.metadata.model_id
    sizes = [(each.folder / "model.onnx").stat().st_size for each in (parent, package)]
    assert [figures["bytes_before"], figures["bytes_after"]] == sizes
    assert figures["bytes_ratio"] > 1.2
    rows = latest_training_set(workspace.home.training_sets, "small").splits
    for part in ("val", "test"):
        assert figures[f"{part}_rows"] == rows[part].rows
        difference_ = figures[f"{part}_auc_after"] - figures[f"{part}_auc_before"]
        assert figures[f"{part}_auc_difference"] == pytest.approx(difference_)
        assert figures[f"{part}_auc_difference_low"] <= difference_ <= figures[f"{part}_auc_difference_high"]
    assert entry.metrics["auc"] == pytest.approx(figures["test_auc_after"])
    assert package.metadata.metrics["auc"] == entry.metrics["auc"]
    card = (entry.package / "model_card.md").read_text()
    assert f"| test auc difference | {figures['test_auc_difference']:.4g} |" in card
    assert "| parent | v1.1.0 |" in card
    assert json.loads(json.dumps(made.to_dict()))["parent"] == "v1.1.0"
    assert Reference.load(reference_path(workspace, entry.version)).sample.schema == package.schema


def test_the_difference_is_the_weights_alone(workspace: Workspace, made: Quantised) -> None:
    """Features, training set and configuration are those of the parent; graph and weights are not."""
    parts = {part.name: part for part in difference(workspace.catalogue(), made.parent, made.entry)}
    assert [name for name in ("features", "training set", "configuration", "steps") if parts[name].changes] == []
    assert parts["graphs"].changes and parts["weights"].changes


def test_again_changes_nothing(workspace: Workspace, made: Quantised) -> None:
    """The same command finds the version that it made; a version of int8 weights is not quantised again."""
    again = quantise_version(workspace, "v1.1.0", max_auc_loss=0.5)
    assert (again.new, again.entry.version) == (False, made.entry.version)
    assert dict(again.figures) == dict(made.figures)
    with pytest.raises(UserError, match=r"v1\.3\.0 has int8 weights already"):
        quantise_version(workspace, made.entry.version)


def test_the_limit_is_judged_each_time(workspace: Workspace, made: Quantised, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that was made under a wider limit is refused under one that it does not keep, with what it lost."""
    lost = {**made.figures, "val_auc_before": made.figures["val_auc_after"] + 0.01}  # on so few rows it may gain
    monkeypatch.setattr("orita.pipelines.quantising._on_card", lambda entry: lost)
    with pytest.raises(UserError, match=r"v1\.3\.0 is v1\.1\.0 with int8 weights, which cost 0\.01000 of AUC on"):
        quantise_version(workspace, "v1.1.0", max_auc_loss=0.005)
    assert quantise_version(workspace, "v1.1.0", max_auc_loss=0.02).entry.version == "v1.3.0"


def test_what_is_expected_of_rows_is_that_of_its_parent(workspace: Workspace, made: Quantised) -> None:
    """The rows that it was trained on are its parent's; where the file was lost, the same command keeps it again."""
    kept = expectations_file(workspace.home, "small", made.entry.version)
    expected = read_expectations(expectations_file(workspace.home, "small", "v1.1.0"))
    assert read_expectations(kept) == expected
    kept.unlink()
    assert not quantise_version(workspace, "v1.1.0", max_auc_loss=0.5).new
    assert read_expectations(kept) == expected


def test_a_package_of_a_stranger_is_not_made_one_of_ours(workspace: Workspace, made: Quantised) -> None:
    """Where signatures are required, an unsigned parent is refused: the new version would be signed here."""
    before = len(workspace.catalogue().versions("small"))
    create_key("ours", workspace.home.keys, workspace.home.trusted_keys)
    strict = replace(workspace, registry=RegistryConfig(require_signature=True, sign_with="ours"))
    unsigned = registered(workspace, "two_tower")
    with pytest.raises(UserError, match="is not signed, and a signature is required"):
        quantise_version(strict, unsigned.version, max_auc_loss=0.5)
    assert len(workspace.catalogue().versions("small")) == before + 1


def test_what_cannot_be_is_refused_and_nothing_is_registered(workspace: Workspace, made: Quantised) -> None:
    """Counts have no weights; a bound is a share; a loss over it leaves no version; a set of elsewhere has no rows."""
    catalogue = workspace.catalogue()
    before = len(catalogue.versions("small"))
    with pytest.raises(UserError, match=r"v1\.2\.0 \(popularity\) stays as it is: .* has no weights"):
        quantise_version(workspace, "v1.2.0")
    with pytest.raises(UserError, match="max_auc_loss has the value 2"):
        quantise_version(workspace, "v1.1.0", max_auc_loss=2)
    with pytest.raises(NotFound, match="no model"):
        quantise_version(workspace, "v9.9.9")
    assert len(catalogue.versions("small")) == before
    assert list(Path(workspace.home.staging).glob("ingest-*")) == []
