"""MovieLens-100K: both forms of its files, and what becomes of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.ingest import ingest

ReadTable = Callable[..., list[dict[str, Any]]]

_ATOMIC = {
    "ml-100k.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "196\t242\t3\t881250949\n186\t302\t4\t891717742\n196\t242\t3\t881250949\n",
    "ml-100k.user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    "196\t49\tM\twriter\t55105\n186\t39\tF\texecutive\t00000\n",
    "ml-100k.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    '242\tKolya\t1996\tComedy\n302\tAn "Odd" Film\tunkonwn\tChildren\'s Sci-Fi\n',
}
_ZEROS = "|".join(["0"] * 5)
_SHIPPED = {
    "u.data": "196\t242\t3\t881250949\n186\t302\t4\t891717742\n196\t242\t3\t881250949\n",
    "u.user": "196|49|M|writer|55105\n186|39|F|executive|00000\n",
    "u.item": f"242|Kolya (1996)|24-Jan-1997||http://x|{_ZEROS}|1|{_ZEROS}|0|0|0|0|0|0|0|0\n"
    f'302|An "Odd" Film|||http://y|0|0|0|0|1|0|{_ZEROS}|0|0|0|0|1|0|0|0\n',
}


def _folder(tmp_path: Path, files: dict[str, str]) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="latin-1")
    return folder


@pytest.mark.parametrize("files", [_ATOMIC, _SHIPPED], ids=["atomic", "shipped"])
def test_both_forms_give_the_same_three_tables(
    files: dict[str, str], tmp_path: Path, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """A rating is an interaction with a click from 4 stars on; users and items have their attributes, typed."""
    report = ingest(home, _folder(tmp_path, files), clock=clock)
    assert report.dataset == "movielens-100k"
    assert report.tables["interactions"].rows_new == 2
    assert report.tables["interactions"].rows_duplicate == 1
    ratings = sorted(read_table(home), key=lambda row: row["user_id"])
    assert [(row["user_id"], row["item_id"], row["click"], row["rating"]) for row in ratings] == [
        (186, 302, 1, 4.0),
        (196, 242, 0, 3.0),
    ]
    assert ratings[0]["timestamp"] == 891717742 * 1_000_000
    assert ratings[0]["device"] is None
    assert read_table(home, "users") == [
        {"user_id": 186, "age": 39.0, "gender": "F", "occupation": "executive"},
        {"user_id": 196, "age": 49.0, "gender": "M", "occupation": "writer"},
    ]
    assert read_table(home, "items") == [
        {"item_id": 242, "title": "Kolya", "year": 1996.0, "genres": ["Comedy"]},
        {"item_id": 302, "title": 'An "Odd" Film', "year": None, "genres": ["Children's", "Sci-Fi"]},
    ]


def test_keys_are_version_5_uuids_of_the_natural_key(
    tmp_path: Path, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """The key of a rating follows RFC 9562 from user, item and time, so that it is the same everywhere."""
    ingest(home, _folder(tmp_path, _ATOMIC), clock=clock)
    text = "\x1f".join(["interactions", "196", "242", "881250949"])
    assert str(uuid.uuid5(uuid.NAMESPACE_URL, text)) in {row["interaction_id"] for row in read_table(home)}


def test_a_bad_rating_is_quarantined(tmp_path: Path, home: Home, clock: ManualClock) -> None:
    """A rating that is no number costs its row alone."""
    many = "".join(f"{n}\t1\t4\t88125{n:04d}\n" for n in range(100))
    files = {"ml-100k.inter": _ATOMIC["ml-100k.inter"] + many + "5\t5\tgood\t881250949\n5\t6\t4\tsoon\n"}
    report = ingest(home, _folder(tmp_path, files), clock=clock).tables["interactions"]
    assert report.reasons == {"timestamp.type": 1, "rating.type": 1}


def test_a_file_that_is_not_what_its_name_says_is_told(tmp_path: Path, home: Home, clock: ManualClock) -> None:
    """A MovieLens name over other columns is refused with the columns that were found."""
    folder = _folder(tmp_path, {"ml-100k.inter": "a:token\tb:token\n1\t2\n"})
    with pytest.raises(UserError, match=r"has no column 'rating', .* it has a, b"):
        ingest(home, folder, clock=clock)
