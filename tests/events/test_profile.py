"""Profiles of earlier data: what they hold, and what they make of a new batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.config import ValidationConfig
from orita.events.ingest import ingest, validate
from orita.events.profile import read_profile
from orita.events.schema import INTERACTION, Column

MakeRows = Callable[..., list[dict[str, Any]]]
WriteRows = Callable[[list[dict[str, Any]], str], Path]

_SCHEMAS = {"interactions": INTERACTION.with_columns(Column("price", "float"))}


@pytest.fixture
def priced(make_rows: MakeRows) -> MakeRows:
    """Sound rows with a price from 10 to 20, which has no declared bounds."""

    def make(n: int, seed: int = 0) -> list[dict[str, Any]]:
        return [{**row, "price": 10 + number % 101 / 10} for number, row in enumerate(make_rows(n, seed))]

    return make


def test_a_profile_adds_up_over_batches(
    priced: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """Rows, nulls, bounds and categories of a profile are those of all batches together."""
    rows = priced(400)
    rows[0]["price"] = None
    rows[399]["price"] = 25.0
    for number, part in enumerate((rows[:250], rows[250:])):
        ingest(home, write_rows(part, f"{number}.csv"), schemas=_SCHEMAS, clock=clock)
    profile = read_profile(home, "interactions")
    assert profile is not None
    price, device = profile.columns["price"], profile.columns["device"]
    assert (profile.rows, profile.batches, profile.version) == (400, (250, 150), 1)
    assert (price.nulls, price.minimum, price.maximum) == (1, 10.0, 25.0)
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["device"]] = counts.get(row["device"], 0) + 1
    assert device.categories == counts


def test_a_lost_profile_is_made_again_from_the_table(
    priced: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """Without its file, or with an older one, the next batch is added to a profile of the whole table."""
    rows = priced(300)
    ingest(home, write_rows(rows[:200], "0.csv"), schemas=_SCHEMAS, clock=clock)
    (home.profiles / "interactions.json").unlink()
    ingest(home, write_rows(rows[200:], "1.csv"), schemas=_SCHEMAS, clock=clock)
    profile = read_profile(home, "interactions")
    assert profile is not None
    assert profile.rows == 300
    assert profile.columns["price"].maximum == 20.0


def test_numbers_far_from_earlier_ones_are_quarantined(
    priced: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """Without declared bounds, a number k widths outside the earlier range breaks profile.range; k is a setting."""
    ingest(home, write_rows(priced(200), "0.csv"), schemas=_SCHEMAS, clock=clock)
    batch = priced(100, seed=1)
    batch[4]["price"], batch[5]["price"] = 51.0, 49.0
    path = write_rows(batch, "1.csv")
    strict = validate(home, path, schemas=_SCHEMAS, clock=clock).tables["interactions"]
    assert strict.reasons == {"price.profile.range": 1}
    loose = validate(home, path, schemas=_SCHEMAS, config=ValidationConfig(profile_range_factor=4), clock=clock)
    assert loose.tables["interactions"].rows_quarantined == 0


def test_a_small_profile_judges_nothing(
    priced: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """Fewer earlier rows than profile_min_rows set no range and raise no warning."""
    ingest(home, write_rows(priced(99), "0.csv"), schemas=_SCHEMAS, clock=clock)
    batch = [{**row, "price": 1e6, "device": None} for row in priced(200, seed=1)]
    report = validate(home, write_rows(batch, "1.csv"), schemas=_SCHEMAS, clock=clock).tables["interactions"]
    assert (report.rows_quarantined, report.warnings) == (0, ())


def test_unusual_batches_are_told(priced: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock) -> None:
    """More nulls, a shifted median, unseen categories and another volume are warned of, and an alike batch is not."""
    schemas = {"interactions": _SCHEMAS["interactions"].with_columns(Column("device", "category"))}
    ingest(home, write_rows(priced(200), "0.csv"), schemas=schemas, clock=clock)
    alike = validate(home, write_rows(priced(210, seed=1), "1.csv"), schemas=schemas, clock=clock)
    assert alike.tables["interactions"].warnings == ()
    odd = priced(2100, seed=2)
    for number, row in enumerate(odd):
        row["price"] += 25
        row["device"] = "fridge" if number % 10 == 0 else row["device"]
        row["dwell_time"] = None if number % 5 == 0 else row["dwell_time"]
    report = validate(home, write_rows(odd, "2.csv"), schemas=schemas, clock=clock).tables["interactions"]
    told = "\n".join(report.warnings)
    assert "the batch has 2,100 rows, earlier batches had about 200" in told
    assert "column 'dwell_time' is null in 20.0% of the rows, earlier in 0.0%" in told
    assert "column 'device' has values never seen before in 10.0% of the rows, most often 'fridge'" in told
    assert "the median of column 'price'" in told
    assert len(report.warnings) == 4


def test_profiles_are_plain_json(priced: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock) -> None:
    """The kept file is JSON without NaN, so that anything can read it."""
    ingest(home, write_rows(priced(150), "0.csv"), schemas=_SCHEMAS, clock=clock)

    def refuse(text: str) -> None:
        raise AssertionError(text)

    content = json.loads((home.profiles / "interactions.json").read_text(), parse_constant=refuse)
    assert content["rows"] == 150
