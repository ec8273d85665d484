"""What is declared around the graph is done, kept, checked and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.clicks import SCHEMA
from tests.models.packaged import CARD, WithWeights, fitted, package_of

from orita.core.errors import NotFound, UserError
from orita.core.files import atomic_directory
from orita.models.calibration import fit_calibration
from orita.models.compose import Composer
from orita.models.examples import Examples
from orita.models.package import load_package, read_weights, write_package
from orita.models.package.card import CardText
from orita.models.package.manifest import write_manifest
from orita.models.package.steps import ClipFeature, ClipScore, FillFeature, Temperature
from orita.models.ranker import Ranker
from orita.models.reissue import reissue_package


@pytest.fixture(scope="module")
def made() -> tuple[Ranker, Examples]:
    """Return a fitted ranker and rows that it did not learn from."""
    return fitted()


def test_a_package_s_scores_are_calibrated(made: tuple[Ranker, Examples], tmp_path: Path) -> None:
    """`score` and `score_user` give the calibrated scores, also after the package was read again."""
    ranker, rows = made
    calibration = fit_calibration("isotonic", rows.y_N, ranker.score(rows))
    write_package(tmp_path / "p", ranker, CARD, SCHEMA, rows, calibration=calibration)
    loaded = load_package(tmp_path / "p")
    expected_N = calibration.apply(ranker.score(rows))
    assert np.max(np.abs(expected_N - ranker.score(rows))) > 0.01
    np.testing.assert_allclose(loaded.score(rows.users_N, rows.items_N, rows.x_NF), expected_N, atol=1e-4)
    one = rows.take(slice(0, 1))
    np.testing.assert_allclose(loaded.score_user(int(one.users_N[0]), one.items_N, one.x_NF), expected_N[:1], atol=1e-4)
    loaded.check_sample()


def test_features_are_changed_in_a_copy_before_the_graph(made: tuple[Ranker, Examples], tmp_path: Path) -> None:
    """Declared bounds and fills act on the features, in order, and leave the caller's rows as they are."""
    ranker, rows = made
    pre = (ClipFeature("item_ctr", 0.2, 0.6), FillFeature("user_historical_ctr", 0.5))
    package = write_package(tmp_path / "p", ranker, CARD, SCHEMA, rows, pre=pre)
    x_NF, before_NF = rows.x_NF.copy(), rows.x_NF.copy()
    clipped, filled = SCHEMA.index("item_ctr"), SCHEMA.index("user_historical_ctr")
    x_NF[:, clipped] = np.clip(x_NF[:, clipped], 0.2, 0.6)
    x_NF[:, filled] = np.nan_to_num(x_NF[:, filled], nan=0.5)
    plain = write_package(tmp_path / "plain", ranker, CARD, SCHEMA, rows)
    scores_N = package.score(rows.users_N, rows.items_N, rows.x_NF)
    np.testing.assert_array_equal(scores_N, plain.score(rows.users_N, rows.items_N, x_NF))
    np.testing.assert_array_equal(rows.x_NF, before_NF)


def test_temperature_and_bounds_are_what_they_say() -> None:
    """A temperature divides the logit, and bounds hold; both give float32."""
    scores_N = np.array([0.0, 0.2, 0.5, 0.9, 1.0], np.float32)
    cooled_N = Temperature(2.0).apply(scores_N)
    assert cooled_N[1] == pytest.approx(1 / (1 + (0.8 / 0.2) ** 0.5), abs=1e-6)
    assert cooled_N[2] == pytest.approx(0.5)
    assert cooled_N.dtype == ClipScore(0.1, 0.8).apply(scores_N).dtype == np.float32
    np.testing.assert_array_equal(ClipScore(0.1, 0.8).apply(scores_N), np.array([0.1, 0.2, 0.5, 0.8, 0.8], np.float32))


def test_a_step_of_an_unknown_feature_is_refused(made: tuple[Ranker, Examples], tmp_path: Path) -> None:
    """A step names a feature of the schema, or the nearest one is named."""
    with pytest.raises(NotFound, match="Did you mean 'item_ctr'"):
        write_package(tmp_path / "p", *made[:1], CARD, SCHEMA, made[1], pre=[FillFeature("item_ctrr", 0.0)])
    assert list(tmp_path.iterdir()) == []


def test_weights_come_back_by_name(made: tuple[Ranker, Examples], tmp_path: Path) -> None:
    """What `HasWeights` gives is read again with names, shapes, types and values, and only from a whole package."""
    folder = package_of(tmp_path / "p", *made).folder
    weights = read_weights(folder)
    assert {name: array.dtype.name for name, array in weights.items()} == {
        "tower.weight": "float32",
        "tower.bias": "bool",
        "scale": "float64",
    }
    np.testing.assert_array_equal(weights["tower.weight"], np.arange(12).reshape(3, 4))
    assert weights["scale"].shape == ()
    (folder / "schema.json").write_text("{}")
    with pytest.raises(UserError, match=r"schema\.json is changed"):
        read_weights(folder)
    plain = write_package(tmp_path / "plain", made[0], CARD, SCHEMA, made[1]).folder
    with pytest.raises(UserError, match=r"weights\.safetensors is missing"):
        (plain / "weights.safetensors").unlink(missing_ok=True)
        write_manifest(plain)
        read_weights(plain)


def test_weights_beyond_what_loading_keeps_are_whole_or_refused(made: tuple[Ranker, Examples], tmp_path: Path) -> None:
    """Of large weights loading keeps the header alone, and still finds a changed byte at their end."""
    large = np.arange(1_500_000, dtype=np.float32)
    folder = write_package(tmp_path / "p", WithWeights(made[0], {"large": large}), CARD, SCHEMA, made[1]).folder
    np.testing.assert_array_equal(read_weights(folder)["large"], large)
    with (folder / "weights.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(UserError, match=r"weights\.safetensors is changed"):
        load_package(folder)


@pytest.mark.parametrize("weights", [np.ones(3, np.float32), lambda x_NF: x_NF.sum(), None])
def test_weights_of_a_model_s_own_are_left_alone(
    weights: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ranker may call whatever it likes ``weights``: a package keeps parameters where `HasWeights` gives them."""
    ranker, rows = fitted("popularity")
    monkeypatch.setattr(ranker, "weights", weights, raising=False)
    folder = write_package(tmp_path / "p", ranker, CARD, SCHEMA, rows).folder
    assert not (folder / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"a": np.array(["x"])}, r"gave 'a' as <U1, allowed are float64, .*bool; convert it"),
        ({"a": np.ones(2, np.complex64)}, "gave 'a' as complex64"),
        ({"__metadata__": np.ones(2)}, "gave the name '__metadata__'; give a text"),
        ({3: np.ones(2)}, "gave the name 3; give a text"),
        (np.ones(2), "gave a ndarray, expected arrays by name"),
    ],
)
def test_weights_that_no_file_holds_are_refused(
    weights: Any, sentence: str, made: tuple[Ranker, Examples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named weights of another kind are one sentence, and no package is left."""
    named = WithWeights(made[0], {})
    monkeypatch.setattr(named, "named_weights", lambda: weights)
    with pytest.raises(UserError, match=sentence):
        write_package(tmp_path / "p", named, CARD, SCHEMA, made[1])
    assert list(tmp_path.iterdir()) == []


class _TwoGraphs(WithWeights):
    """A ranker that exports a second graph."""

    def export(self, folder: Path) -> None:
        super().export(folder)
        graph = Composer()
        value = graph.features(len(SCHEMA))
        graph.write(folder / "half.onnx", graph.column(graph.columns(value, 0, 1)))


def test_other_graphs_are_declared_and_run_by_name(made: tuple[Ranker, Examples], tmp_path: Path) -> None:
    """A second graph that a ranker exports is declared by its name, runs, and an unknown one is named."""
    ranker, rows = made
    package = write_package(tmp_path / "p", _TwoGraphs(ranker, {}), CARD, SCHEMA, rows)
    assert package.description.graphs == {"half": "half.onnx", "ranker": "model.onnx"}
    np.testing.assert_array_equal(package.run("half", {"features": rows.x_NF})["scores"], rows.x_NF[:, 0])
    with pytest.raises(NotFound, match=r"has no graph 'halve'\. Did you mean 'half'"):
        package.run("halve", {})


def test_a_card_has_the_headings_and_what_is_known(made: tuple[Ranker, Examples], tmp_path: Path) -> None:
    """The card has Mitchell's headings, the figures with intervals and slices, people's words, and gaps as gaps."""
    (tmp_path / "card.yaml").write_text("owner: The feed team\nintended_use: Ranking the | feed.\n")
    evaluation = {
        "rows": 400,
        "positives": 100,
        "metrics": {"auc": 0.751, "map": None},
        "intervals": {"auc": (0.74, 0.76)},
        "slices": [
            {"name": "device", "value": "0", "rows": 90, "metrics": {"auc": 0.6, "map": 0.1}, "mean_score": 0.2}
        ],
    }
    ranker, rows = made
    text = CardText.read(tmp_path / "card.yaml")
    package = write_package(tmp_path / "p", ranker, CARD, SCHEMA, rows, text=text, evaluation=evaluation)
    card = (package.folder / "model_card.md").read_text()
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Ethical considerations",
        "Caveats and recommendations",
    ]
    for part in (
        "| owner | The feed team |",
        "| auc | 0.751 | 0.74 to 0.76 |",
        "| map | not defined |",
        "| device | 0 | 90 |",
    ):
        assert part in card
    assert "400 rows, 100 of them positive." in card
    assert "## Factors\n\n*Not stated: `factors` of the card's text says it.*" in card


def test_people_s_words_are_checked(tmp_path: Path) -> None:
    """A key that a card has not is named with the nearest one, and so is a file that is not there."""
    (tmp_path / "card.yaml").write_text("ownr: me\n")
    with pytest.raises(UserError, match="owner"):
        CardText.read(tmp_path / "card.yaml")
    with pytest.raises(UserError, match="is not a file; give a YAML file with keys such as description"):
        CardText.read(tmp_path / "none.yaml")


def test_a_reissued_package_keeps_its_steps_and_words(made: tuple[Ranker, Examples], tmp_path: Path) -> None:
    """Another card, the same model: steps, words and weights stay, figures are added, the version is shown."""
    ranker, rows = made
    calibration = fit_calibration("platt", rows.y_N, ranker.score(rows))
    text = CardText(owner="The feed team")
    package = write_package(tmp_path / "p", ranker, CARD, SCHEMA, rows, calibration=calibration, text=text)
    card = type(CARD).from_dict({**CARD.to_dict(), "model_version": "v1.3.0"})
    with atomic_directory(tmp_path / "again") as folder:
        reissue_package(package, folder, card, evaluation={"rows": 3, "metrics": {"auc": 0.9}})
    again = load_package(tmp_path / "again")
    assert (again.version, again.description.post) == ("v1.3.0", package.description.post)
    page = (again.folder / "model_card.md").read_text()
    assert "# two_tower v1.3.0" in page
    assert "The feed team" in page
    assert "| auc | 0.9 |" in page


def test_a_package_of_format_1_is_read_and_reissued(made: tuple[Ranker, Examples], tmp_path: Path) -> None:
    """Packages written before this format load as they did, and `reissue_package` makes them of this one."""
    ranker, rows = made
    folder = write_package(tmp_path / "p", ranker, CARD, SCHEMA, rows, extra={"system": "feed"}).folder
    for name in ("model_card.md", "requirements.txt", "weights.safetensors"):
        (folder / name).unlink(missing_ok=True)
    (folder / "package.json").write_text(json.dumps({"extra": {"system": "feed"}, "format": 1}, indent=2) + "\n")
    _drop_final(folder / "sample.parquet")
    write_manifest(folder)
    old = load_package(folder)
    old.check_sample()
    assert old.extra == {"system": "feed"}
    np.testing.assert_allclose(old.score(rows.users_N, rows.items_N, rows.x_NF), ranker.score(rows), atol=1e-5)
    with atomic_directory(tmp_path / "new") as partial:
        reissue_package(old, partial, CARD)
    assert json.loads((tmp_path / "new" / "package.json").read_text())["format"] == 2
    assert load_package(tmp_path / "new").extra == {"system": "feed"}


def _drop_final(file: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(file).drop_columns(["final"]), file)
