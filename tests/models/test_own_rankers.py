"""Types of ranker of a user's own: what may be declared and configured, and what is told of the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.features.small_system import declared_system
from tests.models.clicks import clicks

from orita.core.config import load
from orita.core.errors import MissingExtra, UserError
from orita.models.build import build_ranker
from orita.models.config import HeadSection, ModelSection, TrainingSection, with_own_types
from orita.models.own_rankers import check_names
from orita.models.ranker import FitContext
from orita.models.search.binding import bind, with_values
from orita.pipelines.config import ModelConfig
from orita.pipelines.search_plan import SEARCHED

TRAINING = TrainingSection()
OWN = with_own_types(["mine", "other"])


@dataclass
class Mine:
    """A ranker that is only made."""

    depth: int = 3
    widths: tuple[int, ...] = (8,)
    type = "mine"

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError("a tree has a depth of 1 or more")

    def fit(self, train: Any, val: Any, context: Any) -> None:
        """Learn nothing."""

    def score(self, rows: Any) -> None:
        """Foretell nothing."""

    def export(self, folder: Path) -> None:
        """Write nothing."""


def configured(**model: Any) -> ModelSection:
    """Return a section as it is read where the system declares ``mine`` and ``other``."""
    return ModelSection.model_validate(model, context=OWN)


def needs_depth(depth: int) -> Mine:
    """Make a ranker of that depth."""
    return Mine(depth)


def test_parameters_are_keyword_arguments() -> None:
    """A class or function is called with the parameters of its own type, lists as tuples; without any by default."""
    model = configured(type="mine", parameters={"mine": {"depth": 5, "widths": [4, 2]}, "other": {"depth": 9}})
    made: list[object] = [build_ranker("mine", model, TRAINING, {"mine": Mine})]
    made.append(build_ranker("other", model, TRAINING, {"other": needs_depth}))
    made.append(build_ranker("mine", configured(type="mine"), TRAINING, {"mine": Mine}))
    assert made == [Mine(5, (4, 2)), Mine(9), Mine()]


def no_library(**parameters: Any) -> Mine:
    """Need what nobody has."""
    import a_library_that_nobody_has  # type: ignore[import-not-found]  # noqa: F401

    return Mine()


@pytest.mark.parametrize(
    ("maker", "parameters", "kind", "says"),
    [
        (Mine, {"dept": 3}, UserError, r"has the keys dept, and the ranker is made by mine\(depth=3, .*'dept'"),
        (needs_depth, {}, UserError, r"mine has no keys, .* mine\(depth\): missing a required argument"),
        (
            Mine,
            {"depth": 0},
            UserError,
            "cannot be made with .*'depth': 0.*ValueError: a tree has a depth of 1 or more",
        ),
        (lambda: Mine, {}, UserError, "is made as the class Mine, which is none:"),
        (lambda: None, {}, UserError, r"is made as a NoneType, which is none without fit\(\): .*check_ranker"),
        (no_library, {}, MissingExtra, "needs a_library_that_nobody_has, which is not installed"),
    ],
)
def test_what_makes_no_ranker_is_told_in_a_sentence(
    maker: Any, parameters: dict[str, Any], kind: type[Exception], says: str
) -> None:
    """Parameters that do not fit, a constructor that fails, what is no ranker: key, what is taken, and why."""
    model = configured(type="mine", parameters={"mine": parameters})
    with pytest.raises(kind, match=says):
        build_ranker("mine", model, TRAINING, {"mine": maker})


def test_a_ranker_with_one_head_learns_no_other() -> None:
    """``model.heads`` needs a type with heads; whether a type of one's own has any is known when it is made."""
    model = configured(type="mine", heads={"like": HeadSection()})
    with pytest.raises(UserError, match="names like, but the type 'mine' has one head"):
        build_ranker("mine", model, TRAINING, {"mine": Mine})
    headed = type("Headed", (Mine,), {"heads": lambda self: (), "score_heads": lambda self, rows: None})
    assert isinstance(build_ranker("mine", model, TRAINING, {"mine": headed}), headed)
    assert configured(type="mine", objective={"click": 1.0}).heads == {}, "such a type says itself what heads it has"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("model.type=mien", "'model.type' in .* 'mien': it is not a type of model. Did you mean 'mine'"),
        ("model.type=nothing_like_it", "Known: .*lightgbm.*mine.*two_tower"),
        ("beside=[mine, mien]", "'beside.1' in .* 'mien'"),
        ("model.factors.members=[mine]", "a blend is made of built-in types alone"),
        ("model.parameters.mien.depth=3", "mien is no type that the system declares.*Did you mean 'mine'"),
        ("model.parameters.lightgbm.depth=3", "lightgbm is a built-in type, which has keys of its own"),
        ("model.parameters.mine.depth={a: 1}", "'model.parameters.mine.depth' in .*a parameter is a number, a text"),
        ("model.parameters.mine.depth=[1, [2]]", "a parameter is a number, a text"),
        ("model.parameters.mine.depth=.nan", "a number must be finite"),
        ("model.parameters.mine=3", "'model.parameters.mine' in .* has the value 3: expected keys and values"),
    ],
)
def test_a_configuration_that_names_what_is_not_there_is_refused(override: str, says: str) -> None:
    """The sentence names key and value, and the closest of the built-in and own types."""
    with pytest.raises(UserError, match=says):
        load(ModelConfig, overrides=[override], environment={}, known=OWN)


def test_without_declarations_no_such_type_exists() -> None:
    """A system that declares none has the built-in types alone."""
    with pytest.raises(UserError, match="'mine': it is not a type of model"):
        load(ModelConfig, overrides=["model.type=mine"], environment={})


def test_a_number_is_one_however_it_is_written() -> None:
    """1e-4, which YAML takes for a text, is a number; other texts stay texts."""
    written = ["model.parameters.mine.rate=1e-4", "model.parameters.mine.rates=[1e-4, -2.5E+3]"]
    written.append("model.parameters.mine.name='e1'")
    found = load(ModelConfig, overrides=written, environment={}, known=OWN).value.model.parameters
    assert found == {"mine": {"rate": 1e-4, "rates": (1e-4, -2500.0), "name": "e1"}}


def test_parameters_are_searched_whether_or_not_they_are_set() -> None:
    """A range keeps to whole numbers where it is written in them, and trials are judged by the system's types."""
    space = {
        "model.type": ["mine", "popularity"],
        "model.parameters.mine.depth": {"low": 1, "high": 4, "when": {"model.type": "mine"}},
        "model.parameters.mine.rate": {"low": 0.0, "high": 1.0},
        "model.parameters.mine.widths": [[4], [4, 2]],
    }
    config = load(ModelConfig, environment={}, known=OWN).value
    free = ["model.parameters.mine"]
    found = {parameter.key: parameter for parameter in bind(space, config, SEARCHED, free)}
    kinds = [found[f"model.parameters.mine.{name}"].kind for name in ("depth", "rate", "widths")]
    assert kinds == ["int", "float", "choice"]
    trial = {"model.type": "mine", "model.parameters.mine.depth": 2, "model.parameters.mine.widths": [4, 2]}
    tried = with_values(config, trial)
    assert (tried.model.type, tried.model.parameters) == ("mine", {"mine": {"depth": 2, "widths": (4, 2)}})
    with pytest.raises(UserError, match=r"'model\.parameters\.mien\.depth', which is not a known key"):
        bind({"model.parameters.mien.depth": [1, 2]}, config, SEARCHED, free)


def test_a_built_in_type_beside_it_trains_in_processes(tmp_path: Path) -> None:
    """The processes of a training read a section that names types of one's own, and learn the very same model."""
    pytest.importorskip("torch", reason="the extra train is not installed")
    from orita.models.training.job import fit_job, write_job

    model = configured(type="mine", parameters={"mine": {"depth": 5}}, id_embedding_dim=2)
    training = TRAINING.model_copy(update={"epochs": 1})
    train, val = clicks(300, seed=1), clicks(200, seed=2)
    write_job(tmp_path / "job", "linear", model, training, train, val, 7, tmp_path / "checkpoints")
    (told,) = fit_job(str(tmp_path / "job"))
    report = build_ranker("linear", model, training).fit(
        train, val, FitContext(checkpoints=tmp_path / "checkpoints", seed=7)
    )
    assert report.resumed_from == 1 and report.history[0]["val_auc"] == told["val_auc"]


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"a b": Mine}, "ranker 'a b' is not a name"),
        ({"mine": Mine()}, r"ranker 'mine' is Mine\(depth=3.*: give the class itself, or a function"),
        ({"mine": "Mine"}, "ranker 'mine' is 'Mine': give the class itself"),
    ],
)
def test_a_declaration_that_makes_nothing_is_refused(declared: dict[str, Any], says: str) -> None:
    """A ranker has a name as features have, and a class or function that makes it; each name is declared once."""
    system = declared_system()
    with pytest.raises(UserError, match=says):
        system.rankers(**declared)
    system.rankers(twice=Mine)
    with pytest.raises(UserError, match="ranker 'twice' is declared twice in system 'small'"):
        system.rankers(twice=Mine)


def test_a_name_stands_for_one_type() -> None:
    """A built-in type cannot be declared again, and a name must fit into names of files."""
    with pytest.raises(UserError, match=r"features\.py declares a ranker 'linear', which is a built-in type"):
        check_names(["mine", "linear"], "features.py")
    with pytest.raises(UserError, match="a name of 61 characters: take at most 60"):
        check_names(["m" * 61], "features.py")
