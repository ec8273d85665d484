"""The contract's ``model_config.yaml`` works as written, and wrong values are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orita.core.config import Section, load
from orita.core.errors import UserError
from orita.models.config import EvaluationSection, ModelSection, TrainingSection


class _File(Section):
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()


CONTRACT = """
model: {type: two_tower, user_tower_dims: [256, 128], item_tower_dims: [256, 128], embedding_dim: 128, dropout: 0.3}
training:
  {batch_size: 1024, learning_rate: 0.001, epochs: 20, optimizer: adam, early_stopping: {patience: 3, min_delta: 0.001}}
evaluation: {metrics: [auc, log_loss, precision_at_10]}
"""


def test_the_contract_file_works_and_is_the_default(tmp_path: Path) -> None:
    """The file of the contract loads as written, and says what the defaults are anyway."""
    file = tmp_path / "model_config.yaml"
    file.write_text(CONTRACT)
    assert load(_File, file, environment={}).value == _File()
    assert yaml.safe_load(CONTRACT)["training"]["batch_size"] == 1024


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.dropout=1.0", "less than 1"),
        ("model.embedding_dim=0", "greater than or equal to 1"),
        ("model.user_tower_dims=[0]", "greater than or equal to 1"),
        ("training.learning_rate=0", "greater than 0"),
        ("training.optimizer=sgd", "'adam'"),
        ("training.early_stopping.patience=0", "greater than or equal to 1"),
        ("training.early_stoping.patience=3", "Did you mean 'early_stopping'"),
        ("evaluation.metrics=[auk]", "'auc'"),
        ("evaluation.metrics=[]", "at least 1"),
        ("model.lightgbm.feature_fraction=1.5", "less than or equal to 1"),
    ],
)
def test_a_wrong_value_names_its_key_and_what_is_allowed(override: str, sentence: str) -> None:
    """Each bound is kept, and the sentence holds the key and the bound."""
    with pytest.raises(UserError, match=sentence):
        load(_File, overrides=[override], environment={})
