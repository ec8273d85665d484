from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.delivery.assignment.murmur import first_word

from orita.core.errors import UserError
from orita.delivery.assignment import fraction, fraction_by, fractions, vectors

UNITS = st.one_of(st.text(min_size=1), st.integers(-(2**127), 2**128 - 1), st.integers(-(2**53), 2**53).map(float))
SALTS = st.text(st.characters(exclude_characters="\0"), min_size=1)


def test_the_vectors_are_what_the_assignment_answers() -> None:
    """Every case that other languages must match is matched here: its bytes, its hash, its number."""
    cases = vectors()
    assert len(cases) >= 100
    for case in cases:
        key = bytes.fromhex(case.key)
        assert key == case.salt.encode() + b"\0" + str(case.unit).encode()
        assert first_word(key) == int(case.hash, 16)
        assert (int(case.hash, 16) >> 11) / 2**53 == case.fraction
        assert fraction(case.salt, case.unit) == case.fraction


def test_the_reference_is_murmur() -> None:
    """The plain Python beside the library is MurmurHash3_x64_128: two published values."""
    assert first_word(b"") == 0
    assert first_word(b"The quick brown fox jumps over the lazy dog") == 0xE34BBC7BBC071B6C


@given(SALTS, UNITS)
def test_the_number_is_the_top_53_bits_of_the_first_word(salt: str, unit: str | int | float) -> None:
    """Whatever salt and unit are, the number is in [0, 1) and the one that the documentation says."""
    text = unit if isinstance(unit, str) else str(int(unit))
    key = salt.encode("utf-8", "surrogatepass") + b"\0" + text.encode("utf-8", "surrogatepass")
    assert fraction(salt, unit) == fraction_by(salt)(unit) == (first_word(key) >> 11) / 2**53
    assert 0 <= fraction(salt, unit) < 1


@settings(max_examples=40)
@given(SALTS, st.lists(UNITS, max_size=20))
def test_many_at_once_are_one_by_one(salt: str, units: list[str | int | float]) -> None:
    """An array of units has the numbers that each has alone."""
    assert fractions(salt, units).tolist() == [fraction(salt, unit) for unit in units]


def test_arrays_of_numpy_are_taken() -> None:
    """Ids in arrays of whole numbers, of text and of objects are the same units."""
    expected = [fraction("s", unit) for unit in (1, 2, 30)]
    for array in (np.array([1, 2, 30]), np.array(["1", "2", "30"]), np.array([1, "2", 30.0], object)):
        assert fractions("s", array).tolist() == expected
    assert fraction("s", np.int64(30)) == expected[2]  # type: ignore[arg-type]


def test_a_number_and_its_text_are_one_unit() -> None:
    """12, 12.0 and '12' are the same; '012' and ' 12' are others; so are composed and decomposed letters."""
    assert fraction("s", 12) == fraction("s", "12") == fraction("s", 12.0)
    assert (
        len({fraction("s", unit) for unit in (12, "012", " 12", "\N{LATIN SMALL LETTER E WITH ACUTE}", "e\u0301")}) == 5
    )


@pytest.mark.parametrize("unit", ["", True, False, None, 1.5, float("nan"), float("inf"), 2.0**54, 2**128, b"x", [1]])
def test_what_is_no_unit_is_refused(unit: object) -> None:
    """The sentence says what it is and what is allowed."""
    with pytest.raises(UserError, match="cannot be assigned: allowed are text"):
        fraction("s", unit)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="cannot be assigned"):
        fractions("s", [unit])  # type: ignore[list-item]


def test_a_number_too_long_to_write_is_refused() -> None:
    """Python does not write numbers of thousands of digits: they are refused like any other that is too large."""
    with pytest.raises(UserError, match="cannot be assigned"):
        fraction("s", 10**5000)


@pytest.mark.parametrize("salt", ["", "a\0b"])
def test_a_salt_is_a_name(salt: str) -> None:
    """An empty salt, and one that would end early, are refused."""
    with pytest.raises(UserError, match="is empty or holds a zero byte"):
        fraction(salt, 1)


@pytest.mark.parametrize("count", [400, pytest.param(20_000, marks=pytest.mark.slow)])
def test_numbers_are_uniform_over_a_thousand_salts(count: int) -> None:
    """The p-values of 1,000 chi-square tests, a salt each, are themselves uniform: not too many low, none too good.

    Nothing is drawn at random, so the test always answers alike; its bound would refuse one good hash in 10,000.
    """
    units = [f"user-{n}" for n in range(count)]
    p_values = []
    for salt in range(1000):
        counts = np.bincount((fractions(f"experiment-{salt}", units) * 10).astype(int), minlength=10)
        p_values.append(stats.chisquare(counts).pvalue)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4
    low = int(np.sum(np.array(p_values) < 0.01))
    assert stats.binomtest(low, 1000, 0.01).pvalue > 1e-4


@pytest.mark.parametrize("units", [range(5_000), [f"{n:08x}" for n in range(5_000)]], ids=["numbers", "hexadecimal"])
def test_two_salts_are_independent(units: range | list[str]) -> None:
    """Where a unit lies under one salt says nothing of where it lies under another, also for ids that count up."""
    p_values = []
    for pair in range(40):
        one, two = ((fractions(f"layer/{pair}{side}", units) * 10).astype(int) for side in "ab")
        table = np.bincount(one * 10 + two, minlength=100).reshape(10, 10)
        p_values.append(stats.chi2_contingency(table).pvalue)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_assignment_loads_little() -> None:
    """What serving imports of it loads neither SciPy nor pandas, torch, numba or pydantic."""
    code = (
        "import sys, orita.delivery.assignment, orita.delivery.flags, orita.delivery.flags.ofrep; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"mmh3", "msgspec"} <= set(loaded)
    assert not {"scipy", "pandas", "torch", "numba", "pydantic", "openfeature", "yaml"} & set(loaded)
