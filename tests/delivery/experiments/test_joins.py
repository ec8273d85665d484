"""Exposures and outcomes joined by time: who counts, which outcomes count, and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.delivery.experiments.small_experiments import (
    START,
    clicks,
    days_after,
    plan_of,
    reported,
    stamps,
    write_events,
    write_exposures,
)

from orita.core.clock import to_micros
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.delivery.assignment import Holdout
from orita.delivery.experiments import ExperimentPlan
from orita.delivery.experiments.exposures import Exposed, Span, find_units
from orita.delivery.experiments.outcomes import Outcomes, outcome_view, outcomes_of
from orita.delivery.experiments.sources import rows_of
from orita.events.engine import open_engine
from orita.stats.experiments.closed_outcomes import closed_outcomes

SECOND = 1 / 86_400


def joined(folder: Path, plan: ExperimentPlan, until: float = 20.0) -> tuple[Exposed, dict[str, float], Outcomes]:
    """Return who was exposed, each unit's outcome of the primary metric, and the outcomes."""
    now, home = to_micros(days_after(until)), Home(folder / ".orita")
    span = Span(to_micros(START), now, now)
    with open_engine(home.staging, 256) as connection:
        exposed = find_units(connection, plan, home, folder, span)
        source = plan.outcomes["events"]
        view = outcome_view(connection, rows_of(connection, source, home, folder), source, plan.primary)
        found = outcomes_of(connection, plan.primary, view, until=now)
        names = dict(connection.execute("SELECT id, unit FROM units").fetchall())
    values = {names[unit]: value for unit, value in zip(found.id_U.tolist(), found.value_U.tolist(), strict=True)}
    return exposed, values, found


def test_which_outcomes_count(tmp_path: Path) -> None:
    """From the first exposure, that instant included, until the window ends, that instant not; nobody else's."""
    write_exposures(tmp_path, [(1, "A", 1.0), (1, "A", 0.5), (2, "B", 1.0), (3, "A", 2.0)])
    events = [
        (1, 0.5 - SECOND, 1.0),  # before the exposure
        (1, 0.5, 10.0),  # at the same instant
        (1, 2.5 - SECOND, 100.0),  # just inside
        (1, 2.5, 1000.0),  # at the end of the window
        (2, 1.5, 5.0),
        (9, 1.5, 7.0),  # never exposed
    ]
    write_events(tmp_path, events)
    exposed, values, _ = joined(tmp_path, plan_of())
    assert values == {"1": 110.0, "2": 5.0, "3": 0.0}
    assert exposed.units == {"A": 2, "B": 1}


def test_only_closed_windows(tmp_path: Path) -> None:
    """A unit counts from the instant its window ends, later where outcomes may come late."""
    write_exposures(tmp_path, [(1, "A", 0.0), (2, "B", 1.0)])
    write_events(tmp_path, [(1, 0.5, 1.0), (2, 1.5, 1.0)])
    assert joined(tmp_path, plan_of(), 2.0)[1] == {"1": 1.0}
    assert joined(tmp_path, plan_of(), 2.0 - SECOND)[1] == {}
    assert joined(tmp_path, plan_of(clicks(late="1d")), 3.5)[1] == {"1": 1.0}


def test_what_was_not_known_yet(tmp_path: Path) -> None:
    """An outcome that becomes known after its unit is final never counts, in no later report either; it is told."""
    write_exposures(tmp_path, [(1, "A", 0.0), (2, "B", 0.0)])
    write_events(tmp_path, [(1, 1.0, 1.0), (2, 1.0, 1.0)], known=[2.0, 2.5])
    sources: dict[str, Any] = {"events": {"kind": "file", "path": "events.parquet", "known": "known_at"}}
    _, values, found = joined(tmp_path, plan_of(outcomes=sources))
    assert values == {"1": 1.0, "2": 0.0}
    assert found.late == 1
    _, values, found = joined(tmp_path, plan_of(clicks(late="12h"), outcomes=sources))
    assert values == {"1": 1.0, "2": 1.0}
    assert found.late == 0


def test_nulls_are_no_zeros(tmp_path: Path) -> None:
    """A row without a number is counted apart; of a quantile of means, a unit without any row does not count."""
    write_exposures(tmp_path, [(1, "A", 0.0), (2, "B", 0.0)])
    write_events(tmp_path, [(1, 1.0, None), (1, 1.0, 4.0), (1, 1.0, float("nan")), (2, 1.0, None)])
    _, values, found = joined(tmp_path, plan_of())
    assert (values, found.nulls) == ({"1": 4.0, "2": 0.0}, 3)
    median = clicks(kind="quantile", quantile=0.5, aggregate="mean", effect=None)
    _, values, found = joined(tmp_path, plan_of(median))
    assert (values, found.absent) == ({"1": 4.0}, 1)


@pytest.mark.parametrize("ids", [[1, 2], ["1", "2"], [1.0, 2.0]], ids=["integers", "texts", "floats"])
def test_ids_of_another_type(tmp_path: Path, ids: list[Any]) -> None:
    """12, 12.0 and "12" are one unit."""
    write_exposures(tmp_path, [(ids[0], "A", 0.0), (ids[1], "B", 0.0)])
    write_events(tmp_path, [("1", 1.0, 3.0), ("2", 1.0, 4.0), ("01", 1.0, 9.0)])
    assert joined(tmp_path, plan_of())[1] == {"1": 3.0, "2": 4.0}


def test_who_is_left_out(tmp_path: Path) -> None:
    """Two variants, overrides, holdouts, other variants, rows without who, what or when: counted, and not analysed."""
    kept_out = next(str(unit) for unit in range(100, 999) if Holdout("all", 50).holds(unit))
    kept_in = [str(unit) for unit in range(100, 999) if not Holdout("all", 50).holds(unit)]
    rows = [
        (kept_in[0], "A", 0.0),
        (kept_in[1], "B", 0.0),
        (kept_in[2], "A", 0.0),
        (kept_in[2], "B", 1.0),  # in two variants
        (kept_in[3], "A", 0.0),  # overridden by its id
        (kept_out, "A", 0.0),
        (kept_in[4], "C", 0.0),  # no variant of it
        (None, "A", 0.0),
        ("", "A", 0.0),
        (kept_in[5], None, 0.0),
        (kept_in[6], "A", None),
        (kept_in[7], "A", -1.0),  # before the start
        (kept_in[8], "B", 30.0),  # after the report
    ]
    write_exposures(tmp_path, rows)
    write_events(tmp_path, [])
    plan = plan_of(
        holdouts=[{"name": "all", "percent": 50}],
        overrides=[{"attribute": "user_id", "values": [kept_in[3]], "variant": "B"}],
    )
    exposed, values, _ = joined(tmp_path, plan)
    assert set(values) == {kept_in[0], kept_in[1]}
    assert exposed == Exposed(13, 4, 2, {"A": 1, "B": 1}, 1, 1, 1, 1)


def test_rows_that_tell_of_an_override(tmp_path: Path) -> None:
    """A unit that an override ever concerned is not analysed, whatever the dice said at other times."""
    columns = {
        "user_id": [1, 1, 2],
        "variant": ["A", "A", "B"],
        "timestamp": stamps([days_after(day) for day in (0.0, 1.0, 1.0)]),
        "forced": [False, True, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "exposures.parquet")
    write_events(tmp_path, [(2, 1.5, 1.0)])
    plan = plan_of(exposures={"kind": "file", "path": "exposures.parquet", "overridden": "forced"})
    exposed, values, _ = joined(tmp_path, plan)
    assert (exposed.overridden, values) == (1, {"2": 1.0})


def test_csv_as_people_write_it(tmp_path: Path) -> None:
    """Ids keep their zeros, a time without an offset is UTC, empty is absent; what cannot be read is refused."""
    (tmp_path / "exposures.csv").write_text(
        "user_id,variant,timestamp\n007,A,2024-11-04T00:00:00\n8,B,2024-11-04T02:00:00+02:00\n,A,2024-11-04\n"
    )
    events = (
        "user_id,timestamp,click\n007,2024-11-04 01:00:00,1\n7,2024-11-04,5\n8,2024-11-04T00:00:00Z,2\n8,2024-11-05,\n"
    )
    (tmp_path / "events.csv").write_text(events)
    plan = plan_of(
        exposures={"kind": "file", "path": "exposures.csv"}, outcomes={"events": {"kind": "file", "path": "*ents.csv"}}
    )
    assert joined(tmp_path, plan)[1] == {"007": 1.0, "8": 2.0}
    (tmp_path / "events.csv").write_text(f"{events}8,2024-11-05,many\n")
    with pytest.raises(UserError, match="1 values of 'click' cannot be read, such as 'many'"):
        joined(tmp_path, plan)


def test_ids_with_a_point(tmp_path: Path) -> None:
    """Whole numbers are one id however they are written, as CSV of a column with gaps has them; other texts are not."""
    (tmp_path / "exposures.csv").write_text(
        "user_id,variant,timestamp\n12.0,A,2024-11-04\n13.00,B,2024-11-04\n1.50,A,2024-11-04\n,A,2024-11-04\n"
        "v1.0,B,2024-11-04\n14.0,B,2024-11-04\n"
    )
    write_events(tmp_path, [(12, 0.5, 1.0), (13, 0.5, 2.0)])
    plan = plan_of(
        exposures={"kind": "file", "path": "exposures.csv"},
        overrides=[{"attribute": "user_id", "values": [14], "variant": "A"}],
    )
    exposed, values, _ = joined(tmp_path, plan)
    assert values == {"12": 1.0, "13": 2.0, "1.50": 0.0, "v1.0": 0.0}
    assert exposed.overridden == 1


def test_rows_of_other_units_are_told(tmp_path: Path) -> None:
    """The report counts rows since the start that are of no analysed unit, and says first where that is all of them."""
    write_exposures(tmp_path, [(unit, "AB"[unit % 2], 0.5) for unit in range(10)])
    write_events(tmp_path, [(3, 1.0, 1.0), (99, 1.0, 1.0), (98, 0.1, 1.0), (97, -1.0, 1.0), (97, 8.0, 1.0)])
    report = reported(tmp_path, plan_of(), 3.0)
    (counted,) = report.outcome_rows
    assert (counted.source, counted.rows, counted.unmatched) == ("events", 3, 2)
    assert "events: 2 of 3 rows are of no unit that is analysed." in report.notes
    assert not any("Look first" in reason for reason in report.verdict.reasons)
    write_events(tmp_path, [("u3", 1.0, 1.0), ("u4", 1.0, 1.0)])
    first = reported(tmp_path, plan_of(), 3.0).verdict.reasons[0]
    assert first.startswith("Look first: of 2 rows of events since the start none is of a unit that is analysed ('u3' ")


def test_who_is_seen_in_a_second_variant_later(tmp_path: Path) -> None:
    """Such a unit leaves with its outcome, and the next one takes its place in a fixed analysis, as the page says."""
    shown: list[tuple[Any, str | None, float | None]] = [(unit, "AB"[unit % 2], unit / 100) for unit in range(102)]
    write_exposures(tmp_path, [*shown, (0, "B", 5.0)])
    write_events(tmp_path, [(unit, 1.5, float(unit)) for unit in range(102)])
    plan = plan_of(analysis={"kind": "fixed", "units": 100})
    early, late = (reported(tmp_path, plan, until) for until in (4.0, 6.0))
    counts = [(each.exposed.two_variants, each.primary.effects[0].n_control) for each in (early, late)]
    assert counts == [(0, 50), (1, 50)]
    means = [each.primary.effects[0].control for each in (early, late)]
    assert means == [pytest.approx(np.mean(range(0, 100, 2))), pytest.approx(np.mean(range(2, 102, 2)))]


def test_what_is_not_there(tmp_path: Path) -> None:
    """A file, a column, a type that cannot be: each refusal names it and what there is."""
    write_exposures(tmp_path, [(1, "A", 0.0)])
    with pytest.raises(NotFound, match=r"no file 'events\.parquet'"):
        joined(tmp_path, plan_of())
    write_events(tmp_path, [(1, 1.0, 1.0)])
    with pytest.raises(NotFound, match=r"no column 'clicks'.*Did you mean 'click'"):
        joined(tmp_path, plan_of(clicks(column="clicks")))
    with pytest.raises(UserError, match="'timestamp' is TIMESTAMPTZ; outcomes are numbers"):
        joined(tmp_path, plan_of(clicks(column="timestamp")))
    with pytest.raises(UserError, match="'click' is DOUBLE; times are timestamps"):
        joined(tmp_path, plan_of(outcomes={"events": {"kind": "file", "path": "events.parquet", "time": "click"}}))


def test_as_an_independent_query_says(tmp_path: Path) -> None:
    """On many random rows the join gives what `closed_outcomes` computes in NumPy, and the past what SQL says."""
    rng = np.random.default_rng(3)
    units, first = np.arange(300), rng.random(300) * 10
    shown = [(int(unit), "AB"[unit % 2], float(first[unit])) for unit in units]
    shown += [(int(unit), "AB"[unit % 2], float(first[unit] + rng.random() * 3)) for unit in units[::3]]
    write_exposures(tmp_path, shown)
    events = [(int(rng.integers(350)), float(rng.random() * 14), float(rng.integers(5))) for _ in range(6000)]
    write_events(tmp_path, events)
    _, values, found = joined(tmp_path, plan_of(clicks(covariate="3d")), until=9.0)
    first_us = np.array([to_micros(days_after(day)) for day in first])
    event_us = [to_micros(days_after(day)) for _, day, _ in events]
    expected = closed_outcomes(
        units,
        first_us,
        np.array([unit for unit, _, _ in events]),
        event_us,
        [value for _, _, value in events],
        window=2 * 86_400e6,
        now=to_micros(days_after(9.0)),
    )
    assert list(values) == [str(unit) for unit in expected.index_U]
    np.testing.assert_array_equal(found.value_U, expected.values_U)
    np.testing.assert_array_equal(found.closed_U, expected.closed_U)
    assert found.covariate_U is not None
    with duckdb.connect() as connection:
        past = connection.execute(
            f"""SELECT x.user_id, coalesce(sum(click), 0)
            FROM (SELECT user_id, min(timestamp) AS t FROM '{tmp_path}/exposures.parquet' GROUP BY user_id) x
            LEFT JOIN '{tmp_path}/events.parquet' e ON e.user_id = x.user_id
            AND e.timestamp >= t - INTERVAL 3 DAY AND e.timestamp < t GROUP BY x.user_id"""
        ).fetchall()
    by_unit = {str(unit): value for unit, value in past}
    assert found.covariate_U.tolist() == [by_unit[unit] for unit in values]


def test_nobody_was_exposed(tmp_path: Path) -> None:
    """An empty source is a report that asks to go on."""
    write_exposures(tmp_path, [])
    write_events(tmp_path, [])
    report = reported(tmp_path, plan_of(), 3.0)
    assert report.verdict.decision == "keep_running"
    assert report.exposed.total == 0
    assert not report.primary.effects
