"""The grammar of a search space, and the configuration that it is tried on."""

from __future__ import annotations

from typing import Any

import pytest

from orita.core.config import load
from orita.core.errors import UserError
from orita.models.search.binding import Parameter, bind, combinations, value_at, with_values
from orita.pipelines.config import ModelConfig
from orita.pipelines.search_plan import SEARCHED


def bound(*overrides: str) -> tuple[Parameter, ...]:
    """Return the parameters that ``--set search.space.…`` options declare."""
    config = load(ModelConfig, overrides=[f"search.space.{item}" for item in overrides], environment={}).value
    return bind(config.search.space, config, SEARCHED)


def test_every_form_is_read_as_the_configuration_has_it() -> None:
    """Choices and ranges become typed values; 1e-4, which YAML takes for a text, is a number."""
    space = {
        "model.lightgbm.num_leaves": {"low": 15, "high": 250, "step": 8, "when": {"model.type": "lightgbm"}},
        "model.type": ["two_tower", "lightgbm"],
        "training.learning_rate": {"low": "1e-4", "high": "1e-2", "log": True},
        "model.user_tower_dims": {"choices": [[256, 128], [64]]},
        "model.dropout": {"low": 0, "high": 0.5},
    }
    found = {parameter.key: parameter for parameter in bind(space, ModelConfig(), SEARCHED)}
    assert list(found)[-1] == "model.lightgbm.num_leaves", "what hangs on another comes after it"
    assert found["model.lightgbm.num_leaves"].grid()[-1] == found["model.lightgbm.num_leaves"].high == 247
    assert (found["training.learning_rate"].low, found["training.learning_rate"].log) == (1e-4, True)
    assert found["model.user_tower_dims"].choices == ([256, 128], [64])
    assert [found[key].kind for key in ("model.dropout", "model.lightgbm.num_leaves")] == ["float", "int"]


def test_keys_may_be_nested_and_options_change_part_of_a_range() -> None:
    """The file's dotted keys and an option's nested ones meet; an option without a value takes a key out."""
    (rate,) = bound("training.learning_rate={low: 1e-4, high: 1e-2, log: true}", "training.learning_rate.high=0.1")
    assert (rate.low, rate.high, rate.log) == (1e-4, 0.1, True)
    assert not bound("model.dropout={low: 0, high: 0.5}", "model.dropout=null")
    flat = ModelConfig.model_validate({"search": {"space": {"model": {"dropout": [0.1, 0.2]}}}})
    assert flat.search.space == {"model.dropout": [0.1, 0.2]}


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("model.drpout={low: 0, high: 0.5}", "Did you mean 'model.dropout'?"),
        ("model.num_leaves=[3, 4]", "Did you mean 'model.lightgbm.num_leaves'?"),
        ("model.lightgbm=[1, 2]", "names the section 'model.lightgbm'"),
        ("seed=[1, 2]", "what can be searched are keys of model and training"),
        (
            "model.dropout={low: 0, high: 1.5}",
            "'model.dropout' cannot have the value 1.5: input should be less than 1.",
        ),
        ("model.type=[two_tower, lightgmb]", "cannot have the value lightgmb: it is not a type of model. Did you mean"),
        ("model.dropout=[0, 0.0, 0.5]", "'model.dropout' has the choice 0.0 twice, however it is written."),
        ("model.dropout={low: 0.5, high: 0.1}", "low 0.5 is not below high 0.1"),
        ("model.dropout={low: 0, hihg: 1}", "'hihg' is not known here. Did you mean 'high'?"),
        ("model.dropout={low: 0}", "'high' is missing"),
        ("model.dropout=0.3", "expected a list of choices"),
        ("model.dropout=[0.3]", "at least two choices"),
        ("model.dropout=[0.3, 0.3]", "the choice 0.3 is there twice"),
        ("model.dropout={choices: [0.1, 0.2], low: 0}", "either choices or a range"),
        ("model.dropout={low: 0, high: 0.5, log: true}", "a low above 0"),
        ("model.dropout={low: 0, high: much}", "high has the value 'much', expected a number"),
        ("model.dropout={low: 0, high: 0.5, step: 1}", "step 1 is not above 0"),
        ("training.epochs={low: 1, high: 9, step: 0.5}", "takes whole numbers"),
        ("training.epochs={low: 1.5, high: 9}", "cannot have the value 1.5"),
        ("model.type={low: 1, high: 2}", "cannot have the value 1"),
        ("model.dropout={low: 0, high: 0.5, when: {model.type: linear}}", "'model.type' must be in the space too"),
        ("model.dropout={low: 0, high: 0.5, when: linear}", "expected a key and its choices"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_trial(item: str, said: str) -> None:
    """A key, a value or a form that cannot be meant is a sentence that names it and what is allowed."""
    with pytest.raises(UserError) as error:
        bound(item)
    assert said in str(error.value)


def test_conditions_name_choices_that_exist_and_no_circle() -> None:
    """A condition that can never hold, and conditions that wait for one another, are refused."""
    types = "model.type=[two_tower, lightgbm]"
    with pytest.raises(UserError, match="which is none of its choices"):
        bound(types, "model.dropout={low: 0, high: 0.5, when: {model.type: linear}}")
    with pytest.raises(UserError, match="conditions in a circle"):
        bound(
            "model.dropout={choices: [0.1, 0.2], when: {model.id_dropout: 0.1}}",
            "model.id_dropout={choices: [0.1, 0.2], when: {model.dropout: 0.1}}",
        )


def test_a_grid_has_only_combinations_whose_conditions_hold() -> None:
    """Each combination is there once; a key is in it only where its condition holds, also through another condition."""
    parameters = bound(
        "model.type=[two_tower, lightgbm, linear]",
        "model.lightgbm.num_leaves={low: 15, high: 31, step: 16, when: {model.type: lightgbm}}",
        "training.schedule={choices: [constant, cosine], when: {model.type: [two_tower, linear]}}",
        "training.warmup_steps={choices: [0, 10], when: {training.schedule: cosine}}",
    )
    found = [dict(chosen) for chosen in combinations(parameters)]
    leaves, schedule, warmup = "model.lightgbm.num_leaves", "training.schedule", "training.warmup_steps"
    assert [chosen[leaves] for chosen in found if chosen["model.type"] == "lightgbm"] == [15, 31]
    neural: list[dict[str, Any]] = [chosen for chosen in found if chosen["model.type"] == "linear"]
    assert [(chosen[schedule], chosen.get(warmup)) for chosen in neural] == [
        ("constant", None),
        ("cosine", 0),
        ("cosine", 10),
    ]
    assert len(found) == 8
    (rate,) = bound("training.learning_rate={low: 1e-4, high: 1e-2, log: true}")
    with pytest.raises(UserError, match="give it a step or choices"):
        rate.grid()


def test_values_are_put_into_the_configuration_and_checked() -> None:
    """A trial's configuration differs from the declared one in its values, and nothing else."""
    config = ModelConfig()
    changed = with_values(config, {"model.type": "linear", "training.learning_rate": 0.01})
    assert (changed.model.type, changed.training.learning_rate) == ("linear", 0.01)
    assert with_values(changed, {"model.type": "two_tower", "training.learning_rate": 0.001}) == config
    assert value_at(changed, "model.user_tower_dims") == [256, 128]


@pytest.mark.parametrize("item", ["search.sampler=cma-es", "search.metric=aucc", "search.trials=0", "search.folds=1"])
def test_the_section_refuses_what_it_does_not_know(item: str) -> None:
    """Samplers, figures and counts that do not exist are refused as the file is read."""
    with pytest.raises(UserError, match=item.partition("=")[0]):
        load(ModelConfig, overrides=[item], environment={})
