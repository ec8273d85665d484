"""Rows that came into the lake, held against what the project declares of their table in ``quality.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from orita.core.errors import NotFound, closest
from orita.core.files import atomic_file
from orita.events.lake import Lake, Snapshot
from orita.events.lake.arrivals import rows_of, rows_since
from orita.pipelines.components.artifact import digest_of
from orita.pipelines.quality_record import TableRecord, quality_folder, read_record, write_record
from orita.pipelines.workspace import Workspace

if TYPE_CHECKING:
    from orita.monitoring.expectations.declaration import TableExpectation
    from orita.monitoring.expectations.envelope import Envelope
    from orita.monitoring.expectations.findings import Checked

__all__ = ["declared_quality"]

_FILE = "quality.yaml"


def declared_quality(workspace: Workspace) -> dict[str, Mapping[str, Any]]:
    """Return the check of what came into each declared table since its last check; nothing where none is declared.

    It does not matter which way rows came: by this run, by an attempt of it that was killed, by ``orita ingest`` or the
    event log. Of a table that was never checked all rows are new; a table of entities is one batch whenever it changed.
    Rows of the last check are checked again where their declaration is another one. An attempt after a killed one is
    told what that one had found. With an envelope the slices of time that rows came into are held against history.

    Raises:
        UserError: the file of declarations or an envelope cannot be read.
        NotFound: there is no such envelope, or no such column of another table as is declared.
    """
    known, declared = read_record(workspace), _declared(workspace)
    token = workspace.attempt.token if workspace.attempt else None
    found = {name: each.checked for name, each in known.items() if token is not None and each.token == token}
    record = dict(known)
    for name, each in declared.items():
        last = known.get(name)
        record[name] = now = _checked(workspace, each, last, token)
        if last is None or now.checked is not last.checked:
            found[name] = now.checked
    for name in known.keys() - declared.keys():  # nothing is expected of it any more
        record[name] = replace(
            known[name], declared="", checked={**known[name].checked, "failed": False, "findings": []}
        )
    if record != known:
        write_record(workspace, record)
    return found


@dataclass(frozen=True, slots=True)
class _Declared:
    """What is declared of a table.

    Attributes:
        name: of the table.
        table: its rules.
        envelope: of its history; None: none is named.
        digest: of both.
    """

    name: str
    table: TableExpectation
    envelope: Envelope | None
    digest: str


def _declared(workspace: Workspace) -> dict[str, _Declared]:
    """Return what is declared of the tables of the lake."""
    if workspace.folder is None or not (workspace.folder / _FILE).exists():
        return {}
    # Here, as they bring SciPy's distributions, for which a run without declarations need not wait.
    import msgspec

    from orita.monitoring.expectations.files import read_declarations
    from orita.monitoring.expectations.kept import read_envelope

    lake, found = Lake(workspace.home), {}
    for name, table in read_declarations(workspace.folder / _FILE).items():
        if lake.exists(name):
            file = workspace.folder / table.envelope if table.envelope else None
            envelope = read_envelope(file) if file else None
            learnt = [each.isoformat() for each in envelope.ends] if envelope else []
            digest = digest_of([msgspec.to_builtins(table), learnt])
            found[name] = _Declared(name, table, envelope, digest)
    return found


def _checked(workspace: Workspace, declared: _Declared, last: TableRecord | None, token: str | None) -> TableRecord:
    """Return the record of a table after the check of what is new; where nothing is, that of the last check."""
    lake, name = Lake(workspace.home), declared.name
    snapshot, again = lake.snapshot(name), last is not None and last.declared != declared.digest
    if last is not None and last.version > snapshot.version:  # the table was made anew
        last = None
    if last is not None and last.version == snapshot.version and not again:
        return last
    since = None if last is None else last.since if again else last.version
    after = None if last is None else last.after if again else last.until
    rows = _came(workspace, snapshot, since, declared.table)
    if last is not None and not again and not rows.num_rows:  # rows were only written anew
        return replace(last, version=snapshot.version)
    checked, until = _judged(workspace, snapshot, rows, declared, after)
    page = _page(workspace, checked, snapshot) if checked.findings else None
    return TableRecord(since, snapshot.version, declared.digest, after, until, checked.to_dict(), page, token)


def _judged(
    workspace: Workspace, snapshot: Snapshot, rows: pa.Table, declared: _Declared, after: str | None
) -> tuple[Checked, str | None]:
    """Hold new rows against the rules, and the slices of time that they came into against history."""
    from orita.monitoring.expectations.check import check
    from orita.pipelines.quality_envelope import beside_history

    lake, now, name = Lake(workspace.home), workspace.clock.now(), declared.name
    checked = check(rows, declared.table, at=now, keys=lambda key_of: _keys(lake, key_of), source=name)
    if declared.envelope is None:
        return checked, after
    before = datetime.fromisoformat(after) if after else None
    found = beside_history(snapshot, rows, declared.table, declared.envelope, after=before, now=now)
    findings = sorted((*checked.findings, *found.findings), key=lambda finding: finding.severity != "error")
    rate = declared.table.false_alarm_rate if found.slices else None
    whole = replace(checked, findings=tuple(findings), tests=found.tests, false_alarm_rate=rate)
    return whole, found.until.isoformat() if found.until else None


def _page(workspace: Workspace, checked: Checked, snapshot: Snapshot) -> str:
    """Write the page of a check; return its path."""
    from orita.monitoring.expectations.page import render_page

    path = quality_folder(workspace) / f"{workspace.system.name}-{snapshot.name}-{snapshot.version}.html"
    with atomic_file(path) as partial:
        partial.write_text(render_page(checked), encoding="utf-8")
    return str(path)


def _came(workspace: Workspace, snapshot: Snapshot, since: int | None, table: TableExpectation) -> pa.Table:
    schema = workspace.system.tables.get(snapshot.name)
    if schema is not None and schema.time is None:
        return rows_of(snapshot)
    unique = next((column for column, told in table.columns.items() if told.unique), None)
    return rows_since(Lake(workspace.home), snapshot.name, since, schema.key if schema else unique)


def _keys(lake: Lake, key_of: str) -> pa.Array:
    table, _, column = key_of.partition(".")
    snapshot = lake.snapshot(table)
    if column not in snapshot.schema.names:
        raise NotFound(
            f"key_of is {key_of!r}, and {table} has no such column. {closest(column, snapshot.schema.names)}"
        )
    return rows_of(snapshot, columns=[column])[column].combine_chunks()
