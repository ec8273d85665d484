"""How fast is a registry of 100,000 runs searched? On SQLite and PostgreSQL, beside MLflow's own search.

The runs are written in bulk by SQL into the tables that MLflow made, not through its client: 10 metrics, 15 params and
8 tags a run, all in one experiment, drawn with a fixed seed; the table of the metrics' history, which no search reads,
stays empty, and the tables' indexes are made when they are full.

Each query is asked as `orita models search --runs` asks it (ids by SQL, then the runs that are shown, 20 of them), and
as MLflow's client asks it, on the same store with the same indexes; after one round to warm up, the median of several.
Both must find the same runs in the same order. Beside the time stands that of this process's CPU, in which SQLite is
and PostgreSQL's server is not: on a machine that does other things too, it says what the search itself costs.

    python -m benchmarks.registry      # last line: one JSON object
"""

from __future__ import annotations

import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.store.tracking.dbmodels import models
from sqlalchemy import Engine, create_engine, event, text
from tests.postgres_server import MISSING, postgres_programs, postgres_server

from orita.core.home import Home
from orita.registry.catalogue import Catalogue
from orita.registry.config import RegistryConfig
from orita.registry.indexes import INDEXES, ensure_indexes
from orita.registry.mlflow_filter import mlflow_filter, mlflow_order
from orita.registry.parsing import parse_query
from orita.registry.searching import RUN_WORDS, order_of
from orita.registry.tracking import mlflow_client

RUNS, SEED, LIMIT = 100_000, 7, 20
REPEATS, MLFLOW_REPEATS = 5, 3
BEGUN = 1_767_225_600_000  # 2026-01-01, a run a minute
METRICS = ("auc", "log_loss", "ndcg_at_10", "precision_at_10", "ece", "val_auc", "val_log_loss", "map", "mrr", "lift")
TYPES = ("two_tower", "deep_mlp", "dcn_v2", "linear", "lightgbm", "popularity")
TABLES = (models.SqlLatestMetric, models.SqlParam, models.SqlTag)
TEAMS = ("ads", "feed", "search", "risk", "mail")
QUERIES = {
    "newest": ("", None),
    "best of all": ("", "auc"),
    "above a figure": ("auc > 0.8", "auc"),
    "three conditions": ("auc > 0.75 and type = 'lightgbm' and tag.team = 'ads'", "auc"),
    "by a unique tag": ("tag.orita.draft = 'draft-77777' and status = 'FINISHED'", None),
    "by a rare param": ("param.seed = '4711'", "log_loss asc"),
    "failed since a day": ("status = 'FAILED' and started > '2026-03-01'", None),
    "contradiction": ("auc > 0.8 and log_loss > 0.6 and tag.team != 'ads'", "ece"),
    "common, never together": ("type = 'popularity' and tag.team = 'risk'", "auc"),
    "name like": ("name like 'trial-123%' and auc < 0.7", "started asc"),
}


def main() -> None:
    """Write the runs, ask, compare, print."""
    logging.disable(logging.WARNING)
    print(f"{RUNS:,} runs, seed {SEED}, {len(METRICS)} metrics, 15 params, 8 tags each; {LIMIT} runs an answer")
    figures: dict[str, object] = {"runs": RUNS, "postgres_slowest_ms": None}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ratios = measured("sqlite", Home(Path(folder) / "sqlite"), None, figures)
        programs = postgres_programs()
        if programs is None:
            print(MISSING)
        else:
            server = stack.enter_context(postgres_server(programs))
            ratios += measured("postgres", Home(Path(folder) / "postgres"), f"{server}/postgres", figures)
    figures["ratio_mlflow"] = round(statistics.geometric_mean(ratios), 1)
    print(json.dumps(figures))


def measured(name: str, home: Home, address: str | None, figures: dict[str, object]) -> list[float]:
    """Fill a store, ask every query both ways, add to *figures*; return MLflow's time as multiples of ours."""
    begun = time.perf_counter()
    catalogue = Catalogue(home, config=RegistryConfig(tracking_uri=address))
    client = mlflow_client(home, RegistryConfig(tracking_uri=address))
    number = client.create_experiment("default.feed")
    made = time.perf_counter()
    address = address and address.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(address or f"sqlite:///{home.mlflow_db}")
    if address is None:  # a crash here loses nothing that matters
        event.listen(
            engine, "connect", lambda raw, _: raw.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF")
        )
    with engine.begin() as connection:
        write(connection, engine, int(number))
    ensure_indexes(engine)
    print(f"\n{name}: store made in {made - begun:.1f} s, filled in {time.perf_counter() - made:.1f} s")
    print(f"{'query':<24}{'orita ms':>10}{'its cpu':>9}{'mlflow ms':>11}{'found':>7}")
    spent: dict[str, float] = {}
    own_cpu, ratios = [], []
    for label, (query, order) in QUERIES.items():
        asked = mlflow_filter(parse_query(query, RUN_WORDS)), mlflow_order(order_of(order, RUN_WORDS))
        ours, cpu, found = timed(partial(ask_orita, catalogue, query, order), REPEATS)
        theirs, _, expected = timed(partial(ask_mlflow, client, number, *asked), MLFLOW_REPEATS)
        assert found == expected, f"{label}: the answers differ"
        spent[label] = ours
        own_cpu.append(cpu)
        ratios.append(theirs / ours)
        print(f"{label:<24}{ours:>10.1f}{cpu:>9.1f}{theirs:>11.1f}{len(found):>7}")
    figures[f"{name}_slowest_ms"] = round(max(spent.values()), 1)
    figures[f"{name}_slowest_cpu_ms"] = round(max(own_cpu), 1)
    figures[f"{name}_median_ms"] = round(statistics.median(spent.values()), 1)
    figures[f"{name}_ratio_mlflow"] = round(statistics.geometric_mean(ratios), 1)
    engine.dispose()
    return ratios


def ask_orita(catalogue: Catalogue, query: str, order: str | None) -> list[str]:
    """Return the ids of the runs that the catalogue finds."""
    return [run.run_id for run in catalogue.runs.search("feed", query, order=order, limit=LIMIT)]


def ask_mlflow(client: Any, experiment: str, query: str, order: list[str]) -> list[str]:
    """Return the ids of the runs that MLflow's client finds."""
    return [run.info.run_id for run in client.search_runs([experiment], query, max_results=LIMIT, order_by=order)]


def timed(ask: Callable[[], list[str]], repeats: int) -> tuple[float, float, list[str]]:
    """Return the median milliseconds of *ask* after a first one, those of this process's CPU, and its answer."""
    answer = ask()
    spent, cpu = [], []
    for _ in range(repeats):
        begun, worked = time.perf_counter(), time.process_time()
        ask()
        spent.append((time.perf_counter() - begun) * 1e3)
        cpu.append((time.process_time() - worked) * 1e3)
    return statistics.median(spent), statistics.median(cpu), answer


def write(connection: Any, engine: Engine, experiment: int) -> None:
    """Insert every run, table by table in the order of the primary keys."""
    random = np.random.default_rng(SEED)
    runs = sorted(random.bytes(16).hex() for _ in range(RUNS))
    started = BEGUN + 60_000 * random.permutation(RUNS)
    status = random.choice(["FINISHED", "FAILED", "KILLED", "RUNNING"], RUNS, p=[0.92, 0.05, 0.02, 0.01])
    names = [f"trial-{number}" for number in range(RUNS)]
    insert = copied if engine.dialect.name == "postgresql" else inserted
    theirs = [index for table in TABLES for index in table.__table__.indexes]
    for name in (*INDEXES, *(index.name for index in theirs)):  # made again when all is there, which is quicker
        connection.execute(text(f"DROP INDEX {name}"))
    described = zip(runs, names, status.tolist(), started.tolist(), strict=True)
    insert(
        connection,
        "runs",
        ("run_uuid", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage", "experiment_id"),
        (
            (run, name, "ada", state, at, None if state == "RUNNING" else at + 50_000, "active", experiment)
            for run, name, state, at in described
        ),
    )
    for key in METRICS:
        values = metric_values(key, random).tolist()
        columns = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
        rows = ((key, value, BEGUN, 0, False, run) for run, value in zip(runs, values, strict=True))
        insert(connection, "latest_metrics", columns, rows)
    types = random.choice(TYPES, RUNS)
    for table, texts in (("params", params(random, types)), ("tags", tags(random, names, types))):
        for key, written in texts:
            insert(
                connection,
                table,
                ("key", "value", "run_uuid"),
                ((key, v, run) for run, v in zip(runs, written, strict=True)),
            )
    for index in theirs:
        index.create(connection)


def metric_values(key: str, random: np.random.Generator) -> Any:
    """Return one value a run."""
    if key.endswith("auc"):
        return random.normal(0.72, 0.04, RUNS)
    if key.endswith("log_loss"):
        return random.normal(0.45, 0.03, RUNS)
    return random.random(RUNS)


def params(random: np.random.Generator, types: Any) -> Iterator[tuple[str, list[str]]]:
    """Give 15 params, from six values to almost one a run."""
    yield "type", types.tolist()
    yield "seed", random.integers(0, 50_000, RUNS).astype(str).tolist()
    for number in range(13):
        yield f"setting_{number:02}", random.integers(0, 10 ** (1 + number % 4), RUNS).astype(str).tolist()


def tags(random: np.random.Generator, names: list[str], types: Any) -> Iterator[tuple[str, list[str]]]:
    """Give 8 tags, MLflow's own among them; no run of one type is of one team."""
    team = random.choice(TEAMS, RUNS)
    team[(types == "popularity") & (team == "risk")] = "mail"
    yield "mlflow.runName", names
    yield "mlflow.user", random.choice(["ada", "chidi", "funmi"], RUNS).tolist()
    yield "mlflow.source.type", ["LOCAL"] * RUNS
    yield "orita.draft", [f"draft-{number}" for number in range(RUNS)]
    yield "orita.training_set", [f"set-{number}" for number in random.integers(0, 400, RUNS)]
    yield "orita.code", random.choice(["0.3.0", "0.4.0", "0.5.0"], RUNS).tolist()
    yield "team", team.tolist()
    yield "owner", [f"owner-{number}" for number in random.integers(0, 50, RUNS)]


def inserted(connection: Any, table: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    """Insert into SQLite."""
    marks = ", ".join("?" * len(columns))
    raw = connection.connection.driver_connection
    raw.execute("PRAGMA cache_size = -1000000")
    raw.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)


def copied(connection: Any, table: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]) -> None:
    """Copy into PostgreSQL."""
    with (
        connection.connection.driver_connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)


if __name__ == "__main__":
    main()
