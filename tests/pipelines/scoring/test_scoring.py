"""Scores of a table are those of the server, row by row; what cannot be scored is kept with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from tests.features.small_system import NOW
from tests.models.outcomes import headed_package
from tests.pipelines.scoring.small_scoring import SYSTEM, deploy, rows_asking, scored_rows, scoring, written

from orita.core.clock import ManualClock
from orita.core.errors import NotFound, UserError
from orita.events.lake import Lake
from orita.features.api.feature_store import FeatureStore
from orita.features.generations.folder import FolderGenerations
from orita.features.online.following import OnlineFeatures
from orita.features.plan import plan_of
from orita.models.examples import Examples
from orita.models.package import Package, load_package
from orita.pipelines.workspace import Workspace
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import AsgiClient


def test_scores_are_those_of_the_server(served: Workspace, tmp_path: Path) -> None:
    """For the same users, items, time and device `POST /predict` has the same scores, unknown ids among them."""
    at = NOW + timedelta(minutes=5)
    items = [100, 101, 102, 103, 104, 999]
    rows = [
        {"user_id": user, "item_id": item, "timestamp": at, "device": device}
        for user, device in ((0, "mobile"), (5, "tablet"), (77, None))
        for item in items
    ]
    scoring(served, written(tmp_path / "rows.parquet", rows), tmp_path / "out")
    found = scored_rows(tmp_path / "out").to_pylist()
    generations = FolderGenerations(served.home.online / SYSTEM)
    features = OnlineFeatures(plan_of(served.system), generations)
    app = create_app(served.home, SYSTEM, features, ServingConfig(), clock=ManualClock(NOW), load=load_package)
    with AsgiClient(app) as client:
        for user, device in ((0, "mobile"), (5, "tablet"), (77, None)):
            context = {"timestamp": at.isoformat()} | ({"device": device} if device else {})
            answer = client.post("/predict", json={"user_id": user, "item_ids": items, "context": context})
            assert answer.status == 200
            served_scores = {each["item_id"]: each["score"] for each in answer.json()["predictions"]}
            scores = {row["item_id"]: row["score"] for row in found if row["user_id"] == user}
            assert scores == pytest.approx(served_scores, abs=1e-6)
    assert len({round(row["score"], 6) for row in found}) > 12, "the scores tell rows apart"


def test_features_are_as_of_each_rows_time(served: Workspace, tmp_path: Path) -> None:
    """Blocks share the events that were read once, and every row has the features that the feature store gives it."""
    rows = rows_asking(60)
    report = scoring(served, written(tmp_path / "rows.parquet", rows), tmp_path / "out", part_rows=7, keep=("order",))
    found = scored_rows(tmp_path / "out")
    package = load_package(served.home.packages / SYSTEM / "v1.0.0")
    store = FeatureStore(served.home, served.system)
    asked = pa.Table.from_pylist(rows).drop_columns("order")
    features = store.get_offline_features(asked)
    store.close()
    x_NF = np.column_stack([features[n].cast(pa.float32()).fill_null(np.nan) for n in package.schema.names])
    expected_N = package.score(asked["user_id"].to_numpy(), asked["item_id"].to_numpy(), x_NF)
    np.testing.assert_allclose(found["score"].to_numpy(), expected_N, atol=1e-6)
    assert found.column_names == ["user_id", "item_id", "timestamp", "order", "score"]
    assert found["order"].to_pylist() == [row["order"] for row in rows]
    assert sorted(file.name for file in (tmp_path / "out").glob("*.parquet"))[-1] == "part-00008.parquet"
    told = report.to_dict()
    assert (told["features"], told["model"], told["rows"]["written"], told["parts"]) == ("computed", "v1.0.0", 60, 9)
    assert told["cold_start"] == {
        "users_unknown_to_model": sum(row["user_id"] > 6 for row in rows),
        "items_unknown_to_model": sum(row["item_id"] > 104 for row in rows),
        "users_without_events": sum(row["user_id"] > 6 for row in rows),
        "items_without_events": sum(row["item_id"] > 104 for row in rows),
    }


def test_rows_without_a_time_are_scored_as_of_one(served: Workspace, tmp_path: Path) -> None:
    """`at` is the time of all rows, by default the present; with rows that have times of their own it is refused."""
    rows = [{"user_id": n % 7, "item_id": 100 + n % 5, "device": "mobile"} for n in range(14)]
    at = NOW - timedelta(hours=20)
    scoring(served, written(tmp_path / "plain.parquet", rows), tmp_path / "at", at=at)
    timed = written(tmp_path / "timed.parquet", [{**row, "timestamp": at} for row in rows])
    scoring(served, timed, tmp_path / "timed")
    assert scored_rows(tmp_path / "at")["score"].equals(scored_rows(tmp_path / "timed")["score"])
    now = scoring(served, tmp_path / "plain.parquet", tmp_path / "now").to_dict()
    assert now["at"] == NOW.isoformat()
    assert not scored_rows(tmp_path / "now")["score"].equals(scored_rows(tmp_path / "at")["score"])
    with pytest.raises(UserError, match="have times of their own: leave --at out"):
        scoring(served, timed, tmp_path / "refused", at=at)


MISSING = "required"
BROKEN: list[tuple[dict[str, object], str]] = [
    ({"user_id": None}, "user_id: required"),
    ({"item_id": -4}, "item_id: range"),
    ({"timestamp": None}, "timestamp: required"),
    ({"timestamp": datetime(1960, 1, 1, tzinfo=UTC)}, "timestamp: range"),
    ({"device": "toaster"}, "device: range"),
]


def test_what_cannot_be_scored_is_kept_with_the_reason(served: Workspace, tmp_path: Path) -> None:
    """Null ids, bad times and undeclared values are set apart with file, row, value and rule; others go on."""
    rows = rows_asking(20)
    for place, (change, _) in enumerate(BROKEN):
        rows[3 * place] |= change
    (tmp_path / "in").mkdir()
    written(tmp_path / "in" / "a.parquet", rows[:6])
    written(tmp_path / "in" / "b.parquet", rows[6:])
    told = scoring(served, tmp_path / "in", tmp_path / "out", part_rows=8).to_dict()
    assert told["rows"] == {"read": 20, "scored": 15, "written": 15, "quarantined": 5}
    assert told["quarantine"] == {rule: 1 for _, rule in sorted(BROKEN, key=lambda each: each[1])}
    bad = pq.read_table(tmp_path / "out" / "_quarantine").to_pylist()
    assert [f"{row['column']}: {row['rule']}" for row in bad] == [rule for _, rule in BROKEN]
    assert [(Path(row["source"]).name, row["row"]) for row in bad] == [
        ("a.parquet", 1), ("a.parquet", 4), ("b.parquet", 1), ("b.parquet", 4), ("b.parquet", 7),
    ]  # fmt: skip
    assert json.loads(bad[4]["original"])["device"] == bad[4]["value"] == "toaster"
    whole = scored_rows(tmp_path / "out").to_pylist()
    scoring(served, written(tmp_path / "sound.parquet", rows_asking(20)), tmp_path / "sound")
    sound = scored_rows(tmp_path / "sound").to_pylist()
    assert whole == [row for place, row in enumerate(sound) if place % 3 or place > 12]


@pytest.mark.parametrize(
    ("column", "values", "refused"),
    [
        ("user_id", pa.array([2**63 + 5, 1, 2, 3], pa.uint64()), {0: "type"}),
        ("user_id", pa.array([1.5, np.nan, None, 3.0]), {0: "type", 1: MISSING, 2: MISSING}),
        ("user_id", pa.array(["0", "abc", "", "007"]), {1: "type", 2: "type", 3: "type"}),
        ("user_id", pa.array(["0", "1", "2", "3"]).dictionary_encode(), {}),
        ("user_id", pa.nulls(4), dict.fromkeys(range(4), MISSING)),
        ("timestamp", pa.array([2**62] * 4, pa.timestamp("us")), dict.fromkeys(range(4), "range")),
        ("timestamp", pa.array(["2024-11-20T12:00:00Z", "2024-11-20 14:00+02", "noon", None]), {2: "type", 3: MISSING}),
        ("timestamp", pa.array([NOW.date()] * 4), {}),
        ("device", pa.array([["mobile"]] * 4), dict.fromkeys(range(4), "type")),
    ],
    ids=["unsigned", "float", "text", "dictionary", "null", "far", "times", "dates", "lists"],
)  # fmt: skip
def test_columns_of_any_type_are_judged(
    served: Workspace, tmp_path: Path, column: str, values: pa.Array, refused: dict[int, str]
) -> None:
    """Whatever type a column has, each of its values is taken for what it is, or set apart for what it is not."""
    rows = pa.Table.from_pylist(rows_asking(4))
    given = rows.set_column(rows.column_names.index(column), column, values)
    pq.write_table(given, tmp_path / "rows.parquet")
    told = scoring(served, tmp_path / "rows.parquet", tmp_path / "out").to_dict()
    assert told["rows"]["written"] == 4 - len(refused)
    if refused:
        bad = pq.read_table(tmp_path / "out" / "_quarantine").to_pylist()
        assert {row["row"] - 1: row["rule"] for row in bad} == refused
        assert {row["column"] for row in bad} == {column}


def test_text_is_scored_as_parquet_is(served: Workspace, tmp_path: Path) -> None:
    """A CSV file, also compressed, gives the same rows; a row with too many values is set apart with its line."""
    rows = pa.Table.from_pylist(rows_asking(30))
    scoring(served, written(tmp_path / "rows.parquet", rows.to_pylist()), tmp_path / "parquet")
    pc.write_csv(rows, tmp_path / "rows.csv")
    lines = (tmp_path / "rows.csv").read_text().splitlines(keepends=True)
    (tmp_path / "rows.csv").write_text("".join([*lines[:5], "1,2,3,4,5,6,7\n", *lines[5:]]))
    told = scoring(served, tmp_path / "rows.csv", tmp_path / "csv", part_rows=11).to_dict()
    assert told["quarantine"] == {"columns": 1}
    assert pq.read_table(tmp_path / "csv" / "_quarantine").to_pylist()[0]["row"] == 5
    assert scored_rows(tmp_path / "csv").equals(scored_rows(tmp_path / "parquet"))


def test_a_lake_table_is_scored_at_its_version(served: Workspace, tmp_path: Path) -> None:
    """Events ask as of their own times, and are named with their version; a version that is none is a sentence."""
    told = scoring(served, "lake:interactions", tmp_path / "out", keep=("interaction_id",)).to_dict()
    version = Lake(served.home).version("interactions")
    assert (told["input"], told["rows"]["written"]) == (f"lake:interactions@{version}", 300)
    assert sorted(scored_rows(tmp_path / "out")["interaction_id"].to_pylist())[0] == "e0"
    with pytest.raises(NotFound, match="has no version 99"):
        scoring(served, "lake:interactions@99", tmp_path / "other")
    with pytest.raises(UserError, match="is a lake table"):
        scoring(served, served.home.table("interactions"), tmp_path / "other")


def test_rows_that_have_their_features_need_no_events(own: Workspace, tmp_path: Path) -> None:
    """All features in the input are taken as they are, by the objective that is given; an infinite one is refused."""
    package, rows = headed(own)
    ready = features_of(rows)
    out = tmp_path / "out"
    file, weights = written(tmp_path / "ready.parquet", ready), {"click": 1.0, "like": 2.0}
    told = scoring(own, file, out, objective=weights, keep=("pair_count",)).to_dict()
    assert scored_rows(out)["pair_count"].to_pylist() == [row["pair_count"] for row in ready]
    assert (told["features"], told["tables"], told["objective"]) == ("ready", {}, weights)
    expected_N = package.score(rows.users_N, rows.items_N, rows.x_NF, {"click": 1, "like": 2})
    np.testing.assert_allclose(scored_rows(out)["score"].to_numpy(), expected_N, atol=1e-6)
    assert sum(told["cold_start"].values()) == sum(
        int((~known_N).sum()) for known_N in package.known(rows.users_N, rows.items_N).values()
    )
    ready[3]["item_ctr"] = np.inf
    told = scoring(own, written(tmp_path / "inf.parquet", ready), tmp_path / "inf").to_dict()
    assert told["quarantine"] == {"item_ctr: range": 1}
    with pytest.raises(NotFound, match="no head of the model"):
        scoring(own, tmp_path / "ready.parquet", tmp_path / "other", objective={"clik": 1.0})


def headed(workspace: Workspace) -> tuple[Package, Examples]:
    """Let a model of three heads serve, and return it with rows."""
    package, _, rows = headed_package(workspace.home.packages / SYSTEM / "v1.2.3", click=1.0, like=0.3)
    deploy(workspace, "v1.2.3")
    return package, rows.take(slice(0, 40))


def features_of(rows: Examples) -> list[dict[str, object]]:
    """Return rows with their ids and features by name, missing ones as null."""
    columns = {name: rows.x_NF[:, f].tolist() for f, name in enumerate(rows.schema.names)}
    ids = {"user_id": rows.users_N.tolist(), "item_id": rows.items_N.tolist()}
    numbers = {name: pa.array(values, pa.float32(), from_pandas=True) for name, values in columns.items()}
    found: list[dict[str, object]] = pa.table({**ids, **numbers}).to_pylist()
    return found


REFUSED: list[tuple[str, Callable[[list[dict[str, object]]], object], dict[str, object], str]] = [
    ("no item", lambda rows: [row.pop("item_id") for row in rows], {}, "has no column 'item_id'"),
    ("some features", lambda rows: [row.update(user_clicks=1.0) for row in rows], {}, r"lacks item_ctr, recent, .*"),
    ("ids of no kind", lambda rows: [row.update(user_id=NOW) for row in rows], {}, "'user_id' as timestamp"),
    (
        "nothing to keep",
        lambda rows: None,
        {"keep": ("ordr",)},
        "no column 'ordr', which is needed. Did you mean 'order'",
    ),
    ("a name of ours", lambda rows: None, {"keep": ("score",)}, "keep names 'score'"),
    ("no head", lambda rows: None, {"objective": {"click": 1.0}}, "has one head"),
    ("top of none", lambda rows: None, {"top": 0}, "top is 0"),
    ("no rows a part", lambda rows: None, {"part_rows": 0}, "part_rows is 0"),
]


@pytest.mark.parametrize(("what", "change", "options", "says"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_does_not_go_together_is_a_sentence(
    served: Workspace,
    tmp_path: Path,
    what: str,
    change: Callable[[list[dict[str, object]]], object],
    options: dict[str, object],
    says: str,
) -> None:
    """The sentence names the column or the option, and nothing is written."""
    rows: list[dict[str, object]] = rows_asking(4)
    change(rows)
    file = written(tmp_path / "rows.parquet", rows)
    with pytest.raises(UserError, match=says):
        scoring(served, file, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_files_that_are_none_are_sentences(served: Workspace, tmp_path: Path) -> None:
    """No file, another format, damaged bytes, an empty folder, and types that do not go together name the file."""
    written(tmp_path / "rows.parquet", rows_asking(400))
    (tmp_path / "text.parquet").write_text("no Parquet")
    damaged = bytearray((tmp_path / "rows.parquet").read_bytes())
    damaged[4:200] = bytes(196)
    (tmp_path / "damaged.parquet").write_bytes(damaged)
    (tmp_path / "rows.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    written(tmp_path / "mixed" / "a.parquet", rows_asking(2))
    written(tmp_path / "mixed" / "b.parquet", [{**row, "item_id": f"i{n}"} for n, row in enumerate(rows_asking(2))])
    for name, says in (
        ("nowhere.parquet", "does not exist"),
        ("text.parquet", "is no Parquet file"),
        ("damaged.parquet", "is damaged"),
        ("rows.json", "of no known format"),
        ("empty", "has no [*].parquet file to score"),
        ("mixed", "do not go together"),
    ):
        with pytest.raises(UserError, match=says):
            scoring(served, tmp_path / name, tmp_path / f"out-{name}")


def test_no_rows_are_an_empty_output(served: Workspace, tmp_path: Path) -> None:
    """A table without rows gives a folder that readers can open, with the columns of any other."""
    schema = pa.Table.from_pylist(rows_asking(1)).schema
    pq.write_table(schema.empty_table(), tmp_path / "none.parquet")
    scoring(served, tmp_path / "none.parquet", tmp_path / "out")
    found = scored_rows(tmp_path / "out")
    assert (found.num_rows, found.column_names) == (0, ["user_id", "item_id", "timestamp", "score"])
    told = scoring(served, tmp_path / "none.parquet", tmp_path / "best", top=3).to_dict()
    assert (told["rows"]["written"], scored_rows(tmp_path / "best").column_names[-1]) == (0, "rank")


def test_the_best_of_each_user_are_those_of_all_rows(served: Workspace, tmp_path: Path) -> None:
    """`top` keeps the rows of highest score of each user, of equal ones the first, whatever the parts are."""
    file = written(tmp_path / "rows.parquet", [*rows_asking(90), *rows_asking(30)])
    scoring(served, file, tmp_path / "all")
    scoring(served, file, tmp_path / "best", top=4, part_rows=13)
    by_user: dict[int, list[tuple[float, int]]] = {}
    for place, row in enumerate(scored_rows(tmp_path / "all").to_pylist()):
        by_user.setdefault(row["user_id"], []).append((-row["score"], place))
    rows = pq.read_table(tmp_path / "all").to_pylist()
    expected = [
        {**rows[place], "rank": rank}
        for user in sorted(by_user)
        for rank, (_, place) in enumerate(sorted(by_user[user])[:4], 1)
    ]
    assert scored_rows(tmp_path / "best").to_pylist() == expected
    assert max(pq.read_metadata(part).num_rows for part in (tmp_path / "best").glob("*.parquet")) == 13


def test_a_model_that_gives_no_number_is_told(
    served: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row whose score is no number is set apart, and the others have theirs."""
    score = Package.score

    def broken(self: Package, users_N: object, items_N: object, x_NF: object, *rest: object) -> object:
        found_N = score(self, users_N, items_N, x_NF, *rest)  # type: ignore[arg-type]
        found_N[2] = np.nan
        return found_N

    monkeypatch.setattr(Package, "score", broken)
    told = scoring(served, written(tmp_path / "rows.parquet", rows_asking(9)), tmp_path / "out").to_dict()
    assert (told["quarantine"], told["rows"]["written"]) == ({"score: range": 1}, 8)
    (bad,) = pq.read_table(tmp_path / "out" / "_quarantine").to_pylist()
    assert (bad["row"], bad["value"]) == (3, "nan")
