"""What the table is does not depend on how its rows arrive."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.ingest import ingest

MakeRows = Callable[..., list[dict[str, Any]]]
WriteRows = Callable[[list[dict[str, Any]], str], Path]
ReadTable = Callable[..., list[dict[str, Any]]]

_ROWS = 40


@st.composite
def _arrivals(draw: st.DrawFn) -> tuple[list[int], list[int], list[str]]:
    """Rows in any order, some more than once, and where the stream is cut into files of which formats."""
    order = draw(st.permutations(range(_ROWS)))
    again = draw(st.lists(st.integers(0, _ROWS - 1), max_size=15))
    numbers = draw(st.permutations([*order, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, len(numbers) - 1), max_size=2)))
    suffixes = draw(st.lists(st.sampled_from(["csv", "jsonl", "parquet"]), min_size=3, max_size=3))
    return list(numbers), cuts, suffixes


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrival=_arrivals())
def test_order_repetition_and_cuts_do_not_change_the_table(
    arrival: tuple[list[int], list[int], list[str]],
    make_rows: MakeRows,
    write_rows: WriteRows,
    read_table: ReadTable,
    clock: ManualClock,
) -> None:
    """Any permutation, repetition and splitting of rows over files of any format gives the same table."""
    numbers, cuts, suffixes = arrival
    rows = make_rows(_ROWS)
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Home(Path(folder) / "whole"), Home(Path(folder) / "parts")
        ingest(whole, write_rows(rows, "whole.csv"), clock=clock)
        arrived = new = 0
        for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(numbers)], strict=True)):
            path = write_rows([rows[n] for n in numbers[start:end]], f"part{number}.{suffixes[number]}")
            report = ingest(parts, path, clock=clock).tables["interactions"]
            arrived += report.rows_read
            new += report.rows_new
        assert (arrived, new) == (len(numbers), _ROWS)
        assert read_table(parts) == read_table(whole)
