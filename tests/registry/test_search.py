"""Searching runs and versions: every way gives the same answer, and no query can do more than ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.registry.filled import LONG, METRICS, PARAMS, TAGS, TEXTS, fill
from tests.registry.registering import register

from orita.core.errors import UserError
from orita.core.home import Home
from orita.registry import run_search
from orita.registry.catalogue import Catalogue, Run
from orita.registry.matching import Facts, matches, rank
from orita.registry.parsing import parse_order, parse_query
from orita.registry.query import NEWEST, Query
from orita.registry.searching import RUN_WORDS
from orita.registry.store import Store

RUNS = 300
KEPT = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Full:
    """A registry of a few hundred runs, and the runs."""

    def __init__(self, catalogue: Catalogue) -> None:
        fill(catalogue, RUNS)
        self.catalogue, self.runs = catalogue, catalogue.runs.search("feed", limit=1000)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Full:
    """Return a registry of a few hundred runs."""
    make: Callable[[Path], Catalogue] = request.getfixturevalue(f"{request.param}_catalogue")
    return Full(make(tmp_path_factory.mktemp("full") / "home"))


def quoted(text: str) -> str:
    """Return a text as a query writes it."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def conditions() -> st.SearchStrategy[str]:
    """Return a strategy of conditions of every kind."""
    ordered, numbers = st.sampled_from(["=", "!=", ">", ">=", "<", "<="]), [-1.5, 0, 0.25, 0.75, 1e-7, 3e12, -2, 1e300]
    names = st.sampled_from([*METRICS[:2], f"metric.`{METRICS[2]}`"])
    metric = st.builds("{} {} {!r}".format, names, ordered, st.sampled_from(numbers))
    texts = st.sampled_from([*(f"param.{name}" for name in PARAMS), *(f"tag.{name}" for name in TAGS), "type", "name"])
    written = st.sampled_from([*TEXTS, "trial 7", "absent", LONG]).map(quoted)
    text = st.builds("{} {} {}".format, texts, st.sampled_from(["=", "!="]), written)
    patterns = st.sampled_from(["%", "ads%", "a_b", "%d%", "trial 1%", "Feed", "100%", "", LONG + "%"]).map(quoted)
    like = st.builds("{} {} {}".format, texts, st.sampled_from(["like", "ilike"]), patterns)
    null = st.builds("{} is {}null".format, texts, st.sampled_from(["", "not "]))
    status = st.builds("status {} {}".format, st.sampled_from(["=", "!="]), st.sampled_from(["'FAILED'", "'RUNNING'"]))
    moments = st.sampled_from(["'2026-01-01'", "'2026-01-01T00:00:50'", "'2026-01-01T00:04+00:00'", "'2027-01-01'"])
    moment = st.builds("{} {} {}".format, st.sampled_from(["started", "ended"]), ordered, moments)
    return st.one_of(metric, text, like, null, status, moment)


QUERIES = st.lists(conditions(), max_size=3).map(" and ".join)
ORDERS = st.sampled_from([None, "auc", "log_loss asc", "metric.`odd name/1`", "started asc", "ended", "absent_metric"])


def expected(runs: list[Run], query: str, order: str | None) -> list[str]:
    """Return the ids of the runs that a query describes, by looking at each."""
    wanted = parse_query(query, RUN_WORDS)
    ordered = NEWEST if order is None else parse_order(order, RUN_WORDS)
    found = [(rank(ordered, facts(run)), -run.started_at.timestamp(), run.run_id) for run in runs if _is(wanted, run)]
    return [run_id for *_, run_id in sorted(found)]


def _is(wanted: Query, run: Run) -> bool:
    return matches(wanted, facts(run))


def facts(run: Run) -> Facts:
    """Return what a query may ask of a run."""
    ended = None if run.ended_at is None else run.ended_at.timestamp() * 1000
    attributes: dict[str, float | str | tuple[str, ...] | None] = {
        "status": run.status,
        "start_time": run.started_at.timestamp() * 1000,
        "end_time": ended,
    }
    return Facts(run.metrics, run.params, run.tags, attributes)


@KEPT
@given(query=QUERIES, order=ORDERS, limit=st.sampled_from([1, 20, 400]), few=st.sampled_from([2, 40, 2000]))
def test_sql_finds_what_looking_at_every_run_finds(
    full: Full, query: str, order: str | None, limit: int, few: int
) -> None:
    """Whatever the query, by whichever way it is answered: the same runs in the same order, none that is deleted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_search, "_FEW", few)
        patch.setattr(run_search, "_WALK", max(limit, 30))
        found = [run.run_id for run in full.catalogue.runs.search("feed", query, order=order, limit=limit)]
    assert found == expected(full.runs, query, order)[:limit]


@KEPT
@given(query=QUERIES, order=ORDERS)
def test_mlflows_own_search_finds_the_same(full: Full, query: str, order: str | None) -> None:
    """Behind a server there is no SQL: then MLflow's search answers, in the same words with the same runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "sql_store", None)
        found = full.catalogue.runs.search("feed", query, order=order, limit=40)
    by_id = {run.run_id: run for run in full.runs}
    assert [run.run_id for run in found] == expected(full.runs, query, order)[:40]
    assert all(repr(by_id[run.run_id]) == repr(run) for run in found)  # repr: a NaN equals none


def test_all_runs_are_the_active_ones_of_the_system(full: Full) -> None:
    """Deleted runs and those of another system are never there."""
    assert len(full.runs) == RUNS
    assert len({run.run_id for run in full.runs}) == RUNS


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("auc", "ends too early, expected a comparison after auc"),
        ("auc >", "ends too early, expected a number or a text in quotes after >"),
        ("auc > high", "'high' at character 7"),
        ("auc > 0.7 type = 'x'", "'type' at character 11, expected 'and'"),
        ("auc > 0.7 and", "ends too early, expected a name"),
        ("auc > 0.7 or auc < 0.1", "'or' at character 11"),
        ("auc = '0.7'", "metrics are numbers"),
        ("tag.team = 7", "write '7'"),
        ("tag.team > 'a'", "allowed are =, !=, like, ilike"),
        ("auc like '%'", "metrics are numbers"),
        ("auc is null", "only tags and params"),
        ("status = 'DONE'", "allowed are RUNNING, FINISHED"),
        ("started > 'yesterday'", "expected one such as '2026-01-31'"),
        ("label.x = 'y'", "allowed are metric.NAME, param.NAME, tag.NAME"),
        ("auc > 1e999", "a number that a float64 holds"),
        ("tag.team = 'ads", '"\'ads" at character 12'),
        ("tag.team = 'a\\'", "without a backslash"),
        ("(auc > 1)", "'(auc' at character 1"),
        ("auc > 0.7; drop table runs", "at character"),
        ("tag.`a'b` = 'c'", "at character"),
        ("auc > 0.75.1", "at character"),
        ("and and and", "expected a name"),
        ("a" * 5000, "allowed are 4,000"),
    ],
)
def test_a_bad_query_is_refused_by_one_sentence(query: str, said: str) -> None:
    """It says what stands where and what is expected, before anything is opened."""
    with pytest.raises(UserError) as refused:
        parse_query(query, RUN_WORDS)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("order", ["", "auc up", "tag.team", "name", "auc desc, log_loss", "0.7", "auc desc asc"])
def test_a_bad_order_is_refused(order: str) -> None:
    """What is ordered by is a number or a moment."""
    with pytest.raises(UserError, match="order"):
        parse_order(order, RUN_WORDS)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_bad_limit_is_refused(tmp_path: Path, limit: int) -> None:
    """An answer has 1 to 1,000 runs; nothing is made by asking."""
    with pytest.raises(UserError, match="limit has the value"):
        Catalogue(_absent(tmp_path)).runs.search("feed", limit=limit)
    assert Catalogue(_absent(tmp_path)).runs.search("feed") == []
    assert not (tmp_path / "absent").exists()


def test_a_query_cannot_do_more_than_ask(full: Full) -> None:
    """SQL in a value or a name is a value or a name."""
    for query in (
        'tag.team = "ads\' OR 1=1 --"',
        "tag.`x); DELETE FROM runs; --` = 'y'",
        "name like '%; DROP TABLE runs; %'",
    ):
        for store in (Store.sql_store, None):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Store, "sql_store", store)
                assert full.catalogue.runs.search("feed", query) == []
    assert len(full.catalogue.runs.search("feed", limit=1000)) == len(full.runs)


def test_versions_are_searched_by_their_runs_and_their_tags(
    sqlite_catalogue: Callable[[Path], Catalogue], tmp_path: Path, draft: Path
) -> None:
    """Metrics and params are those of the run; type, alias and tags those of the version."""
    catalogue = sqlite_catalogue(tmp_path / "home")
    for auc, team in ((0.7, "ads"), (0.8, "ads"), (0.9, "feed")):
        register(catalogue, draft, metrics={"auc": auc}, params={"seed": team}, tags={"team": team})
    search = partial(catalogue.search, "feed")
    assert [entry.number for entry in search()] == [3, 2, 1]
    assert [entry.number for entry in search("auc > 0.75", order="auc asc")] == [2, 3]
    assert [entry.number for entry in search("tag.team = 'ads' and param.seed = 'ads'", order="auc", limit=1)] == [2]
    assert [entry.number for entry in search("alias = 'challenger'")] == [3]
    assert [entry.number for entry in search("alias is null and number >= 2")] == [2]
    assert [entry.number for entry in search("version = 'v1.1.0' and type = 'popularity'")] == [1]
    assert search("registered < '2020-01-01'") == []
    with pytest.raises(UserError, match="metrics are numbers"):
        search("status = 'FINISHED'")


def _absent(folder: Path) -> Home:
    return Home(folder / "absent")
