"""``orita quality``: expectations from history, a batch held against them, rows in two files, exit codes."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.monitoring.expectations.orders import START, order_days, orders
from typer.testing import CliRunner, Result

from orita.cli import quality  # noqa: F401 - it registers its commands
from orita.cli.app import app
from orita.core.errors import NotFound, OritaError, UserError
from orita.core.home import Home
from orita.events.lake import Lake
from orita.monitoring.expectations.files import read_declarations

_AT = (START + timedelta(days=21)).isoformat()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two weeks of orders in the lake, and files of a later day: sound, and with faults."""
    monkeypatch.chdir(tmp_path)
    Lake(Home(tmp_path / ".orita")).append("orders", order_days(14, 300).to_reader(), time="placed_at")
    good = orders(300, day=20)
    pq.write_table(good, "good.parquet")
    broken = good.set_column(5, "price", pa.array([-1.0] * 30 + good["price"].to_pylist()[30:]))
    pq.write_table(broken.drop_columns(["income"]), "bad.parquet")
    return tmp_path


def asked(*arguments: str) -> Result:
    """Return what the command printed and its exit code; what it raised is raised."""
    done = CliRunner().invoke(app, ["--quiet", "quality", *arguments])
    if isinstance(done.exception, OritaError):
        raise done.exception
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done


def test_history_becomes_a_declaration_that_batches_are_held_against(project: Path) -> None:
    """A sound batch passes with exit code 0, one with faults fails with 1, and each row is in one of two files."""
    assert "from 12 batches" in asked("infer", "orders").stdout
    declared = read_declarations(project / "quality.yaml")
    assert declared["orders"].envelope == "quality.orders.parquet"
    passed = asked("check", "good.parquet", "--name", "orders", "--at", _AT)
    assert passed.exit_code == 0, passed.output
    assert "all is as expected" in passed.stdout
    failed = asked(
        *("check", "bad.parquet", "--name", "orders", "--at", _AT, "--json"),
        *("--quarantine", "out/bad.parquet", "--passed", "out/good.parquet", "--html", "out/page.html"),
    )
    assert failed.exit_code == 1
    told = json.loads(failed.stdout)
    assert told["failed"]
    assert told["quarantined"] == pq.read_table("out/bad.parquet").num_rows >= 30
    assert told["passed"] == pq.read_table("out/good.parquet").num_rows == 300 - told["quarantined"]
    assert {"schema", "minimum", "totals"} <= {finding["what"] for finding in told["findings"]}
    assert "Beside history" in (project / "out/page.html").read_text()


def test_a_batch_is_held_against_history_without_a_file(project: Path) -> None:
    """Nothing is written, and a person is told the same."""
    told = asked("check", "bad.parquet", "--against", "orders", "--at", _AT)
    assert told.exit_code == 1
    assert "error: column 'income' was dropped" in told.stdout
    assert not (project / "quality.yaml").exists()
    assert asked("check", "good.parquet", "--against", "orders", "--batch-rows", "300", "--at", _AT).exit_code == 0


def test_keys_of_a_lake_table_are_looked_up(project: Path) -> None:
    """What ``key_of`` names is read from the lake."""
    (project / "quality.yaml").write_text("tables: {bad: {columns: {order_id: {key_of: orders.order_id}}}}")
    told = json.loads(asked("check", "bad.parquet", "--json").stdout)
    assert told["quarantined"] == 300
    (project / "quality.yaml").write_text("tables: {bad: {columns: {order_id: {key_of: orders.id}}}}")
    with pytest.raises(NotFound, match=r"orders has no such column\. Known: age"):
        asked("check", "bad.parquet")


def test_what_is_not_there_is_named(project: Path) -> None:
    """A declaration, a table in it, a label, a column of times: one sentence each."""
    with pytest.raises(NotFound, match=r"quality\.yaml does not exist"):
        asked("check", "good.parquet")
    asked("infer", "orders", "--name", "sales")
    with pytest.raises(NotFound, match=r"declares no table 'good': give --name\. Known: sales"):
        asked("check", "good.parquet")
    with pytest.raises(NotFound, match="no column 'clicked' for --label"):
        asked("infer", "orders", "--label", "clicked")
    pq.write_table(orders().drop_columns(["placed_at"]), "timeless.parquet")
    with pytest.raises(UserError, match="no column of times: name the one that it is cut by with --time"):
        asked("infer", "timeless.parquet")
    with pytest.raises(UserError, match="history has 6 batches"):
        asked("infer", "timeless.parquet", "--batch-rows", "100")
