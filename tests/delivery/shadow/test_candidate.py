"""A candidate scores a request that was answered: whose features it gets, and what its failures become."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.delivery.shadow.behaving import FEATURES, MORE, Behaving, HashedReader, Model, Store, schema_of
from tests.delivery.shadow.worlds import CHAMPION, answer

from orita.core.clock import from_micros
from orita.core.errors import UserError
from orita.core.home import Home
from orita.delivery.shadow.candidate import Asked, Candidate, Failed, Scored, opened_candidate
from orita.features.schema import FeatureSchema
from orita.testing.serving import load_line_package, publish_line_package

AT = from_micros(1_750_000_000_000_000)


def asked(names: tuple[str, ...] = FEATURES) -> Asked:
    """Return a request as the log has it."""
    request = answer(3, AT)
    x_NL = np.frombuffer(request.features, np.float32).reshape(len(request.item_ids), len(FEATURES))
    columns = [FEATURES.index(name) for name in names]
    return Asked(request.user_id, request.item_ids, request.as_of_micros, CHAMPION, names, x_NL[:, columns])


def truth(names: tuple[str, ...]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return what a model of these features says of the request."""
    given = asked()
    x_NF = HashedReader(names).matrix(given.user_id, given.item_ids, {}, given.as_of_micros)
    scores_N: np.ndarray[tuple[int], np.dtype[np.float32]] = x_NF.mean(axis=1).astype(np.float32)
    return scores_N


def test_features_come_from_the_log() -> None:
    """Where the champion's features are the candidate's, in whatever order, no store is opened."""
    model = Model("v2.0.0", "same", schema_of(FEATURES[::-1]))
    told = Candidate(model, lambda _: schema_of(FEATURES)).score(asked())
    assert isinstance(told, Scored)
    assert told.features_from == "log"
    assert told.scores_N == pytest.approx(truth(FEATURES))


def test_what_the_log_has_not_comes_from_the_store() -> None:
    """A feature that the champion does not read is read for the time of the request."""
    told = Behaving({"v2.0.0": "same"}, MORE)("v2.0.0").score(asked())
    assert isinstance(told, Scored)
    assert told.features_from == "store"
    assert told.scores_N == pytest.approx(truth(MORE))


def test_a_feature_of_another_meaning_is_read_anew() -> None:
    """A name is not enough: the log's values are wrong where the declaration is another."""
    other = FeatureSchema(tuple(replace(column, meaning="another") for column in schema_of(FEATURES).columns))
    model = Model("v2.0.0", "same", schema_of(FEATURES))
    wrong = replace(asked(), x_NL=np.zeros((12, 2), np.float32))
    told = Candidate(model, lambda _: other, Store).score(wrong)
    assert isinstance(told, Scored)
    assert told.features_from == "store"
    assert told.scores_N == pytest.approx(truth(FEATURES))


def test_features_of_the_context_are_told_apart() -> None:
    """Nobody knows the context of a request any more, but for what the log has as features."""
    columns = (*schema_of(FEATURES).columns, replace(schema_of(["item_age"]).columns[0], side="context"))
    model = Model("v2.0.0", "same", FeatureSchema(columns))
    told = Candidate(model, lambda _: schema_of(FEATURES), Store).score(asked())
    assert isinstance(told, Scored)
    assert told.features_from == "store_without_context"


@pytest.mark.parametrize(
    ("behaviour", "kind"), [("raises", "ZeroDivisionError"), ("no_number", "no_number"), ("short", "wrong_shape")]
)
def test_a_failure_is_told(behaviour: str, kind: str) -> None:
    """Exceptions, scores that are no numbers and too few of them are failures of their kind."""
    told = Behaving({"v2.0.0": behaviour})("v2.0.0").score(asked())
    assert isinstance(told, Failed)
    assert told.kind == kind


def test_features_that_cannot_be_read_are_no_fault_of_the_candidate() -> None:
    """They have a kind of their own: no store is there, or it refuses the time."""
    model = Model("v2.0.0", "same", schema_of(MORE))
    told = Candidate(model, lambda _: schema_of(FEATURES)).score(asked())
    late = Behaving({"v2.0.0": "same"}, MORE)("v2.0.0").score(replace(asked(), as_of_micros=1))
    assert isinstance(told, Failed) and isinstance(late, Failed)
    assert told.kind == late.kind == "features_not_read"
    assert "item_age" in told.message


def test_a_package_that_is_not_what_it_should_be_is_refused(tmp_path: Path) -> None:
    """Another version, or one that does not score its own sample."""
    home = Home(tmp_path)
    wrong = publish_line_package(home, "feed", "v2.0.0", FEATURES).rename(home.packages / "feed" / "v3.0.0")
    broken = publish_line_package(home, "feed", "v4.0.0", FEATURES, fault="sample")
    for folder, told in ((wrong, r"v2\.0\.0"), (broken, "sample")):
        with pytest.raises(UserError, match=told):
            opened_candidate(load_line_package, folder, lambda _: schema_of(FEATURES))
