"""Ids at the edges of the feature store: whole numbers or texts, as the store has them; of parts; not yet seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.features.small_system import NOW, small_workspace, write_jsonl

from orita.core.errors import UserError
from orita.events.ingest import ingest
from orita.events.lake import Lake
from orita.events.schema import Column, TableSchema
from orita.features.api.feature_store import FeatureStore
from orita.features.api.pushing import push_file
from orita.features.declarations import Entity, Source
from orita.features.system import System, system
from orita.pipelines.etl import publish_online
from orita.pipelines.feature_stream import Streamed, stream_features
from orita.pipelines.workspace import Workspace

COLUMNS = (
    Column("id", "str", required=True),
    *(Column(name, "id") for name in ("user_id", "item_id", "bank", "branch")),
    Column("at", "time", required=True),
    Column("click", "flag"),
)
SHOWN = Source("shown", TableSchema("shown", key="id", time="at", columns=COLUMNS))
GIVEN = Source(
    "gifts",
    TableSchema(
        "gifts", key="id", time="at", columns=(COLUMNS[0], Column("giver", "id"), Column("item_id", "id"), COLUMNS[5])
    ),
    renamed={"user_id": "giver"},
)
USER, ITEM = Entity("user", "user_id"), Entity("item", "item_id")
BRANCH = Entity("branch", ("bank", "branch"))


def declared(rank: Entity = ITEM, *, gifts: bool = False) -> System:
    """Return a system that counts by user and by what is ranked; with *gifts*, those of another source too."""
    made = system("ids", label=SHOWN.click, rank=rank, for_=USER)
    made.features(users=SHOWN.count().by(USER), ranked=SHOWN.count().by(rank))
    if gifts:
        made.features(given=GIVEN.count().by(USER))
    return made


def event(number: int, **columns: object) -> dict[str, Any]:
    """Return an event, some minutes ago."""
    at = NOW - timedelta(minutes=100 - number)
    return {"id": f"e{number}", "user_id": 1, "item_id": 7, "at": at.isoformat(), "click": 0, **columns}


def store_of(workspace: Workspace) -> closing[FeatureStore]:
    """Open a feature store, closed with the block."""
    return closing(FeatureStore(workspace.home, workspace.system, clock=workspace.clock))


def put(workspace: Workspace, folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Ingest and publish *rows*."""
    file = write_jsonl(folder / "shown.jsonl", rows)
    ingest(workspace.home, file, schemas=workspace.system.tables, origin={"system": "ids"}, clock=workspace.clock)
    publish_online(workspace)


def pushed(workspace: Workspace, rows: Sequence[Mapping[str, object]], source: str | None = None) -> Streamed:
    """Push *rows* and stream all that is in the log."""
    with store_of(workspace) as store:
        store.push_features(rows, source)
    return stream_features(workspace, until=lambda _: False, once=True)


def online(workspace: Workspace, user: Any, items: Sequence[Any]) -> list[dict[str, Any]]:
    """Return what online has of *user* and *items*."""
    with store_of(workspace) as store:
        rows: list[dict[str, Any]] = store.get_online_features(user, items).to_pylist()
        return rows


def offline(workspace: Workspace, **columns: object) -> list[dict[str, Any]]:
    """Return what history has for one row at the present."""
    with store_of(workspace) as store:
        row = {"user_id": 1, "item_id": 7, "at": NOW.isoformat(), **columns}
        found: list[dict[str, Any]] = store.get_offline_features([row]).to_pylist()
        return found


@pytest.mark.parametrize(("item", "kind"), [(7, "numbers"), ("shoe", "texts")])
def test_ids_of_mixed_kinds_are_those_of_the_store(tmp_path: Path, item: object, kind: str) -> None:
    """One request may name 100 and '101', and numbers of NumPy; the answer has them in the type that the store has."""
    workspace = small_workspace(tmp_path, declared())
    put(workspace, tmp_path, [event(0), event(1, item_id=item)])
    rows = online(workspace, np.int64(1), [7, "7", np.int64(7)])
    assert [row["item_id"] for row in rows] == ([7, 7, 7] if kind == "numbers" else ["7", "7", "7"])
    assert len({row["ranked"] for row in rows}) == 1 and rows[0]["ranked"] > 0 and rows[0]["users"] == 2
    assert [row["item_id"] for row in online(workspace, 1, ["hat", 7])] == ["hat", "7"]


@pytest.mark.parametrize("wrong", [9.0, True, None, [7], (7, 7)])
def test_what_is_no_id_is_refused(tmp_path: Path, wrong: object) -> None:
    """A float, a flag, nothing, a list: none is the id of a user or an item with a key of one column."""
    workspace = small_workspace(tmp_path, declared())
    put(workspace, tmp_path, [event(0)])
    for user, items in ((wrong, [7]), (1, [wrong]), (1, [7, wrong])):
        with pytest.raises(UserError, match="none: ids are whole numbers or texts"):
            online(workspace, user, items)


def test_an_id_of_several_parts_may_be_a_list(tmp_path: Path) -> None:
    """(1, 'a') and the list that JSON has for it are one id, both times; parts that are floats are none."""
    workspace = small_workspace(tmp_path, declared(BRANCH))
    put(workspace, tmp_path, [event(0, bank=1, branch="a"), event(1, bank=1, branch="a"), event(2, bank=2, branch="a")])
    with store_of(workspace) as store:
        for _ in range(2):
            rows = store.get_online_features(1, [[1, "a"], (2, "a"), ["1", "a"]]).to_pylist()
            assert [(row["bank"], row["branch"], row["ranked"]) for row in rows] == [
                (1, "a", 2),
                (2, "a", 1),
                (1, "a", 2),
            ]
        with pytest.raises(UserError, match=r"9\.0 is none"):
            store.get_online_features(1, [[9.0, "a"]])  # type: ignore[list-item]
        with pytest.raises(UserError, match="has 2 parts, bank, branch; got"):
            store.get_online_features(1, [[9]])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"user_id": "x"}, ["row 0", "'user_id' is 'x'", "a whole number"]),
        ({"user_id": 1.5}, ["row 0", "'user_id' is 1.5", "a whole number"]),
        ({"item_id": 9.0}, ["row 0", "'item_id' is 9.0", "text"]),
        ({"click": "maybe"}, ["'click' is 'maybe'", "0 or 1"]),
        ({"at": "0001-01-01T00:00:00+14:00"}, ["row 0", "'at'", "a time such as"]),
        ({"at": "9999-12-31T23:00:00-14:00"}, ["row 0", "'at'", "a time such as"]),
    ],
)
def test_rows_asked_are_never_altered(tmp_path: Path, columns: dict[str, object], words: list[str]) -> None:
    """A value that its column cannot have is refused by row, column and value, not taken for absent."""
    workspace = small_workspace(tmp_path, declared())
    put(workspace, tmp_path, [event(0, item_id="shoe")])
    assert offline(workspace, user_id="1", item_id="shoe")[0]["users"] == 1
    assert offline(workspace, user_id=None)[0]["users"] == 0
    with pytest.raises(UserError) as error:
        offline(workspace, **columns)
    assert all(word in str(error.value) for word in words)


def test_a_time_of_python_is_refused_like_one_of_json(tmp_path: Path) -> None:
    """A datetime whose UTC time is beyond the calendar is refused in a sentence."""
    workspace = small_workspace(tmp_path, declared())
    put(workspace, tmp_path, [event(0)])
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00"):
        with pytest.raises(UserError, match=r"row 0: 'at'"):
            offline(workspace, at=datetime.fromisoformat(text))


@pytest.mark.parametrize("later", ["shoe", "12", 12])
def test_ids_of_which_only_nulls_were_seen_have_no_type_yet(tmp_path: Path, later: object) -> None:
    """After rows without an item, by file or by push, the first item decides: a text, or a number."""
    for brought in ("file", "push"):
        workspace = small_workspace(tmp_path / brought, declared())
        (tmp_path / brought).mkdir()
        if brought == "file":
            put(workspace, tmp_path / brought, [event(0, item_id=None)])
        else:
            assert pushed(workspace, [event(0, item_id=None)]).counted == 1
        assert "item_id" not in Lake(workspace.home).snapshot("shown").schema.names
        assert online(workspace, 1, [later])[0] == {"item_id": later, "users": 1, "ranked": 0}
        assert offline(workspace, item_id=later)[0]["users"] == 1
        assert pushed(workspace, [event(1, item_id=later)]).counted == 1
        assert online(workspace, 1, [later])[0] == {"item_id": later, "users": 2, "ranked": 1}
        publish_online(workspace)
        assert online(workspace, 1, [later])[0] == {"item_id": later, "users": 2, "ranked": 1}
        assert offline(workspace, item_id=later)[0]["ranked"] == 1


def test_ids_first_seen_in_a_second_source_count(tmp_path: Path) -> None:
    """Where the first source had no user, text ids of the second are neither unsound nor lost."""
    workspace = small_workspace(tmp_path, declared(gifts=True))
    put(workspace, tmp_path, [event(0, user_id=None)])
    done = pushed(workspace, [{"id": "g", "giver": "ann", "item_id": 7, "at": event(5)["at"]}], "gifts")
    assert (done.counted, done.unsound) == (1, 0)
    assert online(workspace, "ann", [7])[0]["given"] == 1
    publish_online(workspace)
    assert online(workspace, "ann", [7])[0]["given"] == offline(workspace, user_id="ann")[0]["given"] == 1


def test_a_project_may_begin_with_a_push(tmp_path: Path) -> None:
    """On an empty home, a push and a stream are all it takes: online, and, as the lake has the events, history."""
    for items in ([7, 8], ["a", "b"]):
        workspace = small_workspace(tmp_path / str(items[0]), declared())
        done = pushed(workspace, [event(n, item_id=item) for n, item in enumerate(items)])
        assert (done.counted, done.waiting) == (2, 0)
        assert online(workspace, 1, items)[0] == {"item_id": items[0], "users": 2, "ranked": 1}
        assert offline(workspace, item_id=items[0])[0]["ranked"] == 1
        assert publish_online(workspace).events == 2
        assert online(workspace, 1, items)[0] == {"item_id": items[0], "users": 2, "ranked": 1}


def test_a_stream_that_begins_publishes_what_the_lake_has(tmp_path: Path) -> None:
    """Nothing published, and a file in the lake: the stream begins with that, and counts what was pushed once."""
    workspace = small_workspace(tmp_path, declared())
    file = write_jsonl(tmp_path / "shown.jsonl", [event(0), event(1)])
    ingest(workspace.home, file, schemas=workspace.system.tables, origin={"system": "ids"}, clock=workspace.clock)
    assert pushed(workspace, [event(2)]).counted == 1
    assert online(workspace, 1, [7])[0]["users"] == 3


def test_nothing_at_all_can_be_published(tmp_path: Path) -> None:
    """Before the first event, online features are those of nobody; a name of a system cannot leave its home."""
    workspace = small_workspace(tmp_path, declared())
    assert publish_online(workspace).events == 0
    assert online(workspace, 1, [7])[0] == {"item_id": 7, "users": 0, "ranked": 0}
    with pytest.raises(UserError, match=r"system '\.\./esc' is not a name"):
        system("../esc", label=SHOWN.click, rank=ITEM, for_=USER)


def test_the_first_ids_of_a_file_are_of_one_type(tmp_path: Path) -> None:
    """A pushed file whose later chunks have texts has texts throughout, and so has a later push."""
    for ending, ids in ((".csv", ["1", "2", "", "ann"]), (".jsonl", ["1", "2", None, "ann"])):
        workspace = small_workspace(tmp_path / ending[1:], declared())
        rows = [event(n, user_id=each) for n, each in enumerate(ids)]
        file = tmp_path / f"shown{ending}"
        if ending == ".csv":
            names = [*rows[0]]
            lines = [names, *([str(row[name]) for name in names] for row in rows)]
            file.write_text("".join(f"{','.join(line)}\n" for line in lines))
        else:
            write_jsonl(file, rows)
        with store_of(workspace) as store:
            assert push_file(store, file, chunk_rows=1).rows == 4
            store.push_features([event(9, user_id="2")])
        assert stream_features(workspace, until=lambda _: False, once=True).unsound == 0
        publish_online(workspace)
        assert [online(workspace, user, [7])[0]["users"] for user in ("1", "2", "ann")] == [1, 2, 1]


def test_a_user_who_is_not_known_yet_parts_the_log_as_nobody(tmp_path: Path) -> None:
    """Events without a user, pushed first, are taken, and once only where they come again beside those of users."""
    workspace = small_workspace(tmp_path, declared())
    assert pushed(workspace, [event(0, user_id=None)]).counted == 1
    done = pushed(workspace, [event(0, user_id=None), event(1, user_id="ann")])
    assert (done.counted, done.duplicates, done.unsound) == (1, 1, 0)
    publish_online(workspace)
    assert online(workspace, "ann", [7]) == [{"item_id": 7, "users": 1, "ranked": 2}]


BIG = 1_812_345_678_901_234_567
"""An id of 19 digits, as many systems number theirs."""


def test_what_a_push_decides_first_is_read_without_a_publication(tmp_path: Path) -> None:
    """Digits among texts are texts."""
    workspace = small_workspace(tmp_path, declared())
    publish_online(workspace)
    assert pushed(workspace, [event(0, user_id="ann"), event(1, user_id="12")]).counted == 2
    for user in ("12", 12, "ann"):
        assert online(workspace, user, [7])[0]["users"] == offline(workspace, user_id=str(user))[0]["users"] == 1
    publish_online(workspace)
    assert online(workspace, 12, [7])[0]["users"] == 1


@pytest.mark.parametrize("first", [BIG, str(BIG)])
def test_ids_of_nineteen_digits_are_numbers(tmp_path: Path, first: object) -> None:
    """However they are written, wherever they come from, they are one id, and can be pushed again and again."""
    workspace = small_workspace(tmp_path, declared())
    assert pushed(workspace, [event(0, user_id=first)]).counted == 1
    assert pushed(workspace, [event(1, user_id=str(BIG)), event(2, user_id=BIG)]).counted == 2
    for user in (BIG, str(BIG)):
        assert online(workspace, user, [7])[0]["users"] == offline(workspace, user_id=user)[0]["users"] == 3
    assert online(workspace, str(BIG * 10), [7])[0]["users"] == 0


def test_the_lake_takes_the_type_that_the_log_gave_an_id(tmp_path: Path) -> None:
    """One text among thousands of numbers is neither lost on its way to the lake, nor after a file or a publication."""
    workspace = small_workspace(tmp_path, declared())
    rows = [event(n % 90, id=f"n{n}", user_id=str(n)) for n in range(3000)]
    assert pushed(workspace, [*rows, event(91, user_id="ann")]).unsound == 0
    with store_of(workspace) as store:
        put(workspace, tmp_path, [event(92, user_id=5), event(93, user_id=5)])
        assert str(Lake(workspace.home).snapshot("shown").schema.field("user_id").type) == "string"
        store.push_features([event(94, user_id="bob"), event(95, user_id=5)])
    assert stream_features(workspace, until=lambda _: False, once=True).unsound == 0
    assert [online(workspace, user, [7])[0]["users"] for user in ("ann", 5, "bob")] == [1, 4, 1]


def test_a_file_after_a_push_that_waits_keeps_its_type(tmp_path: Path) -> None:
    """Ids that only the log has so far decide for a file that is ingested before they are stored."""
    workspace = small_workspace(tmp_path, declared())
    with store_of(workspace) as store, closing(workspace.event_log()) as log:
        store.push_features([event(0, user_id="ann")])
        file, schemas = write_jsonl(tmp_path / "shown.jsonl", [event(1, user_id=12)]), workspace.system.tables
        ingest(workspace.home, file, schemas=schemas, origin={"system": "ids"}, clock=workspace.clock, log=log)
    assert pushed(workspace, [event(2, user_id=12)]).unsound == 0
    assert [online(workspace, user, [7])[0]["users"] for user in ("ann", 12)] == [1, 2]


def test_a_push_keeps_to_the_type_that_any_table_has(tmp_path: Path) -> None:
    """What the lake would set apart is refused when it is pushed, also where another table decided."""
    workspace = small_workspace(tmp_path, declared(gifts=True))
    put(workspace, tmp_path, [event(0, item_id=8)])
    gift = {"id": "g1", "giver": 1, "item_id": "shoe", "at": event(1)["at"]}
    with store_of(workspace) as store, pytest.raises(UserError, match=r"item_id is 'shoe'.* as its ids are numbers"):
        store.push_features([gift], "gifts")
    assert pushed(workspace, [gift | {"item_id": "8"}], "gifts").counted == 1


def test_text_that_is_none_is_refused(tmp_path: Path) -> None:
    """Half a character, as a broken client may send, ends in a sentence."""
    workspace = small_workspace(tmp_path, declared())
    put(workspace, tmp_path, [event(0)])
    with pytest.raises(UserError, match="is no text"):
        online(workspace, "\udcff", [7])


def test_what_was_pushed_long_ago_still_decides(tmp_path: Path) -> None:
    """The log knows the type of an id that its last rows do not have; a file that is ingested meanwhile keeps to it."""
    workspace = small_workspace(tmp_path, declared())
    with store_of(workspace) as store, closing(workspace.event_log()) as log:
        store.push_features([event(0, item_id="ann")])
        bare = event(1)
        del bare["item_id"]
        store.push_features([bare])
        file, schemas = write_jsonl(tmp_path / "shown.jsonl", [event(2, item_id=12)]), workspace.system.tables
        ingest(workspace.home, file, schemas=schemas, origin={"system": "ids"}, clock=workspace.clock, log=log)
        store.push_features([event(3, item_id="12")])
    assert stream_features(workspace, until=lambda _: False, once=True).unsound == 0
    assert [row["ranked"] for row in online(workspace, 1, ["ann", 12])] == [1, 2]


def test_columns_of_one_kind_of_id_have_one_type(tmp_path: Path) -> None:
    """A giver is a user: text where users are, whichever source came first, and publication goes on."""
    workspace = small_workspace(tmp_path, declared(gifts=True))
    gift = {"id": "g1", "giver": "12", "item_id": 7, "at": event(1)["at"]}
    assert pushed(workspace, [event(0, user_id="ann"), event(1, user_id="12")]).counted == 2
    assert pushed(workspace, [gift, gift | {"id": "g2", "giver": "ann"}], "gifts").counted == 2
    for _ in range(2):
        assert [online(workspace, user, [7])[0]["given"] for user in ("ann", 12)] == [1, 1]
        publish_online(workspace)
    with store_of(workspace) as store:
        store.push_features([event(2, user_id=5)])
    assert stream_features(workspace, until=lambda _: False, once=True).unsound == 0


def test_a_column_that_two_kinds_of_ids_share_tells_of_both(tmp_path: Path) -> None:
    """What is learned of a bank holds for the bank alone, and for the branches of which it is a part."""
    bank = Entity("bank", "bank")
    made = system("ids", label=SHOWN.click, rank=BRANCH, for_=USER)
    made.features(banks=SHOWN.count().by(bank), ranked=SHOWN.count().by(BRANCH))
    workspace = small_workspace(tmp_path, made)
    rows = [event(n, bank=each, branch="1") for n, each in enumerate(("a7", "12", "12"))]
    assert pushed(workspace, rows).counted == 3
    with store_of(workspace) as store:
        found = store.get_online_features(1, [("12", "1")], context={"bank": "12"}).to_pylist()
    assert (found[0]["banks"], found[0]["ranked"]) == (2, 2)
