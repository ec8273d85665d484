"""Declarations: read strictly, written back, equations of columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orita.core.errors import NotFound, UserError
from orita.monitoring.expectations.declaration import ColumnExpectation, Late, TableExpectation
from orita.monitoring.expectations.files import read_declarations, write_declarations
from orita.monitoring.expectations.formulas import Equation

WHOLE = TableExpectation(
    columns={
        "at": ColumnExpectation(type="time", most_missing=0),
        "price": ColumnExpectation(type="number", minimum=0, maximum=1e6, severity="warning"),
        "n": ColumnExpectation(type="whole"),
        "total": ColumnExpectation(),
        "country": ColumnExpectation(choices=("NO", "SE", "on"), required=False, longest=2),
        "code": ColumnExpectation(pattern=r"\d{5}", unique=True, key_of="codes.code"),
    },
    other_columns="error",
    time="at",
    fewest_rows=10,
    most_rows=1000,
    fresh_within="26h",
    ahead="5m",
    late=Late("1d", 0.01),
    in_order=True,
    most_duplicates=0.1,
    totals=("total = price * n",),
    tolerance=0.001,
    label="n",
    envelope="quality.orders.parquet",
    false_alarm_rate=0.01,
    severity="warning",
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Every field survives, words that YAML 1.1 takes for booleans too."""
    file = tmp_path / "quality.yaml"
    write_declarations(file, {"orders": WHOLE, "empty": TableExpectation()})
    assert read_declarations(file) == {"orders": WHOLE, "empty": TableExpectation()}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tables: {t: {columns: {x: {minimun: 3}}}}", "column 'x' has the key 'minimun', which is not known. Did you"),
        ("tables: {t: {fresh: 3h}}", "table 't' has the key 'fresh', which is not known."),
        ("tables: {t: {columns: {x: {most_missing: 2}}}}", "most_missing is 2: it is a share, from 0 to 1."),
        ("tables: {t: {columns: {x: {minimum: much}}}}", "column 'x': minimum: expected `float | null`, got `str`"),
        ("tables: {t: {columns: {x: {choices: [no]}}}}", "put quotes around each choice"),
        ("tables: {t: {columns: {x: {minimum: 3, maximum: 1}}}}", "minimum is 3 and maximum 1"),
        ("tables: {t: {columns: {x: {pattern: '(a'}}}}", "pattern is '(a'"),
        ("tables: {t: {columns: {x: {key_of: users}}}}", "write table.column"),
        ("tables: {t: {time: y, columns: {x: {}}}}", "time names the column 'y'. Known: x."),
        ("tables: {t: {fresh_within: 3h}}", "no column of times is named"),
        ("tables: {t: {columns: {x: {}}, time: x, fresh_within: soon}}", "fresh_within is 'soon'"),
        ("tables: {t: {columns: {x: {}}, totals: [x = y]}}", "names the column 'y'"),
        ("tables: {t: {columns: {x: {}}, totals: [x]}}", "has no '='"),
        ("tables: {t: {columns: {x: {}}, totals: ['x = f(x)']}}", "more than columns, numbers"),
        ("tables: {t: {columns: {x: {}}, totals: ['x = (x']}}", "cannot be read"),
        ("tables: {t: {false_alarm_rate: 0}}", "above 0 and at most 0.5"),
        ("tables: {t: {most_rows: 0}}", "the most no less than the fewest"),
        ("tables: {t: [1]}", "expected keys and values"),
        ("tables: {t: {columns: [1]}}", "expected a name and its expectations each"),
        ("tables: {t: {}}\ntable: {}", "has to hold 'tables:'"),
    ],
)
def test_a_fault_of_a_declaration_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    """One sentence: the table, the column, the key, and what is allowed."""
    file = tmp_path / "quality.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_declarations(file)
    assert told in str(caught.value)
    assert str(file) in str(caught.value) or "total" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """And what writes it."""
    with pytest.raises(NotFound, match="'orita quality infer TABLE' writes it"):
        read_declarations(tmp_path / "quality.yaml")


def test_an_equation_is_held_against_whole_columns() -> None:
    """Within the tolerance it holds; where a value is missing nothing is broken; dividing by zero is no crash."""
    equation = Equation.parsed("total = (price - -1) * n / 2")
    assert equation.names == {"total", "price", "n"}
    columns = {
        "total": np.array([3.0, 3.004, 3.1, np.nan, 0.0]),
        "price": np.array([2.0, 2.0, 2.0, 2.0, np.inf]),
        "n": np.array([2.0, 2.0, 2.0, 2.0, 0.0]),
    }
    assert equation.broken(columns, 1e-6).tolist() == [False, False, True, False, False]
    assert Equation.parsed("total = n / price").broken({"total": np.ones(1), "n": np.ones(1), "price": np.zeros(1)}, 0)
