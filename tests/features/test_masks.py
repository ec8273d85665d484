"""Where conditions hold: exact on whole numbers, and ids in the type that they have."""

from __future__ import annotations

import operator

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from orita.features.declaring.conditions import Compare, Not, OneOf, Operator
from orita.features.masks import condition_mask

EDGE = [0, 1, 5, 1 << 53, 1 << 62, (1 << 63) - 1]
WHOLE = st.one_of(
    st.sampled_from([sign * edge + near for edge in EDGE for sign in (1, -1) for near in (-1, 0, 1)]).filter(
        lambda n: -(1 << 63) <= n < 1 << 63
    ),
    st.integers(-4, 4),
)
BOUND = st.one_of(WHOLE, st.floats(allow_nan=False), st.sampled_from([2.0**53, -(2.0**63), 2.0**63]))
OPERATORS: dict[Operator, object] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@given(st.lists(st.one_of(st.none(), WHOLE), min_size=1), BOUND, st.sampled_from(sorted(OPERATORS)))
def test_whole_numbers_are_compared_as_such(values: list[int | None], bound: float, sign: Operator) -> None:
    """A comparison of int64 with any number is what mathematics says, beyond 2^53 too; of null it is false."""
    compare = OPERATORS[sign]
    told = condition_mask(Compare("n", sign, bound), {"n": pa.chunked_array([pa.array(values, pa.int64())])})
    assert told.tolist() == [value is not None and compare(value, bound) for value in values]  # type: ignore[operator]


@given(st.lists(st.one_of(st.none(), WHOLE), min_size=1), st.lists(st.one_of(WHOLE, st.floats()), min_size=1))
def test_a_whole_number_is_found_only_if_it_is_there(values: list[int | None], wanted: list[float]) -> None:
    """one_of() holds where the very number is named, beyond 2^53 too; its negation holds of a null."""
    column = {"n": pa.chunked_array([pa.array(values, pa.int64())])}
    held = [value is not None and value in wanted for value in values]
    assert condition_mask(OneOf("n", tuple(wanted)), column).tolist() == held
    assert condition_mask(Not(OneOf("n", tuple(wanted))), column).tolist() == [not each for each in held]


def test_an_id_is_compared_in_the_type_that_it_has() -> None:
    """'12' and 12 are one id, whether the events have numbers or texts, as they are in requests."""
    for values in (pa.array([12, 7, None]), pa.array(["12", "a", None])):
        for wanted in (12, "12"):
            told = condition_mask(OneOf("id", (wanted, "b")), {"id": pa.chunked_array([values])})
            assert told.tolist() == [True, False, False]
