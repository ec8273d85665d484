from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.core.errors import UserError
from orita.delivery.assignment import Split, fraction, fractions

NAMES = ("a", "b", "c", "d")


@st.composite
def weights(draw: st.DrawFn, names: tuple[str, ...] = NAMES) -> dict[str, float]:
    """Draw percentages with four decimals that sum to 100."""
    cuts = sorted(draw(st.lists(st.integers(0, 1_000_000), min_size=len(names) - 1, max_size=len(names) - 1)))
    sizes = [end - start for start, end in zip([0, *cuts], [*cuts, 1_000_000], strict=True)]
    return {name: size / 10_000 for name, size in zip(names, sizes, strict=True)}


GRID_N = (np.arange(2_000) + 0.5) / 2_000


def share_moved(before: Split, after: Split) -> float:
    """Return the percentage of the whole that has another variant, exactly: by the ends of all portions."""
    ends_N = np.unique([0, 1, *ends_of(before), *ends_of(after)])
    middles_N = (ends_N[:-1] + ends_N[1:]) / 2
    moved_N = before.variants(middles_N) != after.variants(middles_N)
    return float(np.diff(ends_N)[moved_N].sum() * 100)


def ends_of(split: Split) -> list[float]:
    """Return where the portions end."""
    return [total / 1_000_000 for total in accumulate(round(weight * 10_000) for _, weight in split.portions)]


def test_portions_lie_in_order() -> None:
    """The first variant has the beginning of [0, 1), an end belongs to the next."""
    split = Split.of({"a": 10, "b": 0, "c": 90})
    assert [split.variant(at) for at in (0.0, 0.0999999, 0.1, 1 - 2**-53)] == ["a", "a", "c", "c"]
    assert split.weights == {"a": 10, "b": 0, "c": 90}


@given(weights())
def test_many_at_once_are_one_by_one(drawn: dict[str, float]) -> None:
    """An array of numbers has the variants that each has alone, at the ends too."""
    split = Split.of(drawn)
    at_N = np.clip(np.array([*GRID_N[::9], *ends_of(split)]), 0, 1 - 2**-53)
    assert split.variants(at_N).tolist() == [split.variant(at) for at in at_N.tolist()]


@given(weights())
def test_the_shares_are_the_weights(drawn: dict[str, float]) -> None:
    """Each variant has its weight of the unit interval."""
    names_N = Split.of(drawn).variants(GRID_N)
    for name, weight in drawn.items():
        assert abs(float(np.mean(names_N == name)) * 100 - weight) < 0.2


@given(weights(), st.integers(0, 2), st.floats(0, 1))
def test_who_grows_takes_from_the_rest_alone(drawn: dict[str, float], grows: int, part: float) -> None:
    """When a variant grows at the expense of the last one, nobody who is in it or in another moves."""
    before = Split.of(drawn)
    more = round(drawn["d"] * part, 4)
    wanted = drawn | {NAMES[grows]: drawn[NAMES[grows]] + more, "d": drawn["d"] - more}
    after = before.reweighted({name: round(weight, 4) for name, weight in wanted.items()})
    moved_N = before.variants(GRID_N) != after.variants(GRID_N)
    assert set(before.variants(GRID_N)[moved_N]) <= {"d"}
    assert set(after.variants(GRID_N)[moved_N]) <= {NAMES[grows]}


@settings(max_examples=40)
@given(st.lists(weights(), min_size=2, max_size=4))
def test_as_few_move_as_can(many: list[dict[str, float]]) -> None:
    """Through any changes the shares are as told, and each moves exactly what grew."""
    split = Split.of(many[0])
    for told in many[1:]:
        after = split.reweighted(told)
        assert {name: weight for name, weight in after.weights.items() if weight} == pytest.approx(
            {name: weight for name, weight in told.items() if weight}
        )
        grown = sum(max(0.0, told[name] - split.weights.get(name, 0)) for name in NAMES)
        assert share_moved(split, after) == pytest.approx(grown, abs=1e-9)
        split = after


@settings(max_examples=40)
@given(st.lists(weights(("new", "old")), min_size=1, max_size=4))
def test_two_variants_remember_nothing(many: list[dict[str, float]]) -> None:
    """A rollout that goes up and down gives the same people for the same percentage."""
    split = Split.of({"new": 0, "old": 100})
    for told in many:
        split = split.reweighted(told)
        assert split.variants(GRID_N).tolist() == Split.of(told).variants(GRID_N).tolist()


def test_a_canary_keeps_who_saw_it() -> None:
    """From 1 to 100 percent, whoever had the challenger keeps it: with real ids."""
    ids = [f"user-{n}" for n in range(20_000)]
    numbers_N, split, had_N = (
        fractions("ranking", ids),
        Split.of({"challenger": 1, "champion": 99}),
        np.zeros(20_000, bool),
    )
    for percent in (1, 5, 25, 50, 100):
        split = split.reweighted({"challenger": percent, "champion": 100 - percent})
        has_N = split.variants(numbers_N) == "challenger"
        assert not (had_N & ~has_N).any()
        assert abs(float(has_N.mean()) * 100 - percent) < 1.5
        had_N = has_N
    assert split.variant(fraction("ranking", ids[0])) == "challenger"


def test_a_new_variant_and_one_that_goes() -> None:
    """A variant may be added, and is gone with the weight 0."""
    split = Split.of({"a": 50, "b": 50}).reweighted({"c": 20, "a": 50, "b": 30})
    assert split.weights == {"a": 50, "c": 20, "b": 30}
    assert Split(split.portions) == split
    assert split.reweighted({"c": 0, "a": 70, "b": 30}).weights == {"a": 70, "b": 30}


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"a": 50, "b": 40}, "sum to 90, not to 100"),
        ({"a": -1, "b": 101}, "the weight of 'a' is -1"),
        ({"a": 33.33333, "b": 66.66667}, "up to four decimals"),
        ({"a": float("nan"), "b": 100}, "the weight of 'a' is nan"),
        ({"": 100}, "has no name"),
        ({}, "sum to 0"),
    ],
)
def test_weights_that_are_wrong_are_refused(told: dict[str, float], sentence: str) -> None:
    """The sentence says which, and what is allowed."""
    with pytest.raises(UserError, match=sentence):
        Split.of(told)


def test_a_change_names_every_variant() -> None:
    """A variant that is forgotten is not taken to be gone."""
    with pytest.raises(UserError, match="'b' has no new weight"):
        Split.of({"a": 50, "b": 50}).reweighted({"a": 100})
