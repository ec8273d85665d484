"""A figure that left the envelope, in words."""

from __future__ import annotations

from orita.monitoring.expectations.envelope import Tested

__all__ = ["envelope_sentence"]

_WHAT = {
    "rows": "rows, as a logarithm,",
    "missing": "missing values",
    "duplicates": "rows that repeat another one",
    "infinite": "infinite values",
    "zero": "zeros",
    "sentinel": "numbers such as -999 or 9999 that stand for a missing one",
    "repeated": "values that occur more than once",
    "tens": "multiples of 10",
    "hundreds": "multiples of 100",
    "as before": "values that equal the one of the row before",
    "smallest": "the smallest value, as a logarithm,",
    "largest": "the largest value, as a logarithm,",
    "level": "the level, as a mean normal score,",
    "spread": "the spread, as a mean squared normal score,",
    "most frequent of the rest": "a value that was not frequent before",
    "new": "values that history does not have",
    "new shape": "texts of a shape that history does not have",
    "length": "the mean number of characters",
    "distinct": "the root of the number of different values",
    "out of order": "times that fall from a row to the next",
    "same time": "rows at the time of another",
    "gap": "the longest time without a row, as a logarithm of the rows that it usually has,",
    "goes with": "how it goes with",
}
_DETAILED = {
    "value": "rows with {0!r}",
    "below": "values below {0}",
    "above": "values above {0}",
    "decimals": "values of at most {0} decimals",
    "form": "texts of the form {0!r}",
    "longer": "texts of more than {0} characters",
    "shorter": "texts of fewer than {0} characters",
    "hour": "times in hour {0} UTC",
    "age": "times of the age {0!r}",
    "round": "times at {0}",
    "rate": "rows with the larger value",
}


def envelope_sentence(result: Tested, at: int) -> str:
    """Return what a figure is of, what it is, and what was expected; *at* is its place."""
    signal = result.signals[at]
    detail = signal.detail.partition(" #")[0]
    what = _DETAILED[signal.what].format(detail) if signal.what in _DETAILED else _WHAT[signal.what]
    if signal.what == "goes with":
        what += f" {signal.other!r}, as Fisher's z of the correlation of ranks,"
    elif signal.other:
        what += f" where {signal.other!r} is {signal.detail!r}"
    elif signal.what == "duplicates" and signal.detail:
        what += f" {signal.detail}"
    share = signal.what not in (
        "rows",
        "smallest",
        "largest",
        "level",
        "spread",
        "length",
        "distinct",
        "gap",
        "goes with",
    )
    form = "{:.3%}" if share else "{:.4g}"
    figure, expected, spread = (
        form.format(values[at]) for values in (result.figures_K, result.expected_K, result.spread_K)
    )
    return f"{what} {figure}, expected {expected} ± {spread}"
