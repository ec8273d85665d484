"""One batch held against what is expected of it: columns, rows, the batch as a whole, and the envelope of history.

Legend: N rows, K signals.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from orita.core.clock import from_micros, to_micros
from orita.core.errors import NotFound
from orita.monitoring.expectations.causes import likely_cause
from orita.monitoring.expectations.declaration import TableExpectation, duration_seconds
from orita.monitoring.expectations.envelope import Envelope, Tested, against_history, level_shares
from orita.monitoring.expectations.findings import Checked, Finding
from orita.monitoring.expectations.frame import Frame
from orita.monitoring.expectations.rows import Broken, Keys, broken_rows
from orita.monitoring.expectations.schema_changes import schema_changes, swapped_columns
from orita.monitoring.expectations.table_signals import measured
from orita.monitoring.expectations.words import envelope_sentence

__all__ = ["against_envelope", "check", "compared", "no_keys"]

_TOLD_EACH = 3


def no_keys(name: str) -> pa.Array:
    """Refuse to look up keys of other tables.

    Raises:
        NotFound: always.
    """
    raise NotFound(f"the values of {name} are not at hand: give the table that has them.")


def check(
    rows: pa.Table | Frame,
    table: TableExpectation,
    *,
    at: datetime,
    envelope: Envelope | None = None,
    keys: Keys = no_keys,
    source: str = "the batch",
) -> Checked:
    """Check a batch.

    Args:
        rows: the batch.
        table: what is declared.
        at: when it is checked, or the end of the time that it is of; ages of times and the future are told by it.
        envelope: what history expects, None to go by the declaration alone.
        keys: gives the values of ``table.column`` for ``key_of``.
        source: what the report calls the batch.
    """
    frame = rows if isinstance(rows, Frame) else Frame.of(rows)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    outlook = envelope.outlook if envelope is not None else None
    broken = broken_rows(frame, table, at, keys)
    findings = schema_changes(frame, table, outlook)
    findings += [_rows_finding(each, frame) for each in broken]
    findings += _missing(frame, table)
    findings += _batch(frame, table, at)
    tests = 0
    if envelope is not None:
        told = {finding.column for finding in findings if finding.what == "schema"}
        found, tests = against_envelope(frame, table, envelope, at)
        findings += [finding for finding in found if finding.what == "schema" or finding.column not in told]
    findings.sort(key=lambda finding: (finding.severity != "error", finding.what == "envelope", finding.p_value or 0.0))
    bad_N = np.zeros(frame.rows, dtype=np.bool_)
    for each in broken:
        if each.severity == "error":
            bad_N |= each.mask_N
    rate = table.false_alarm_rate if envelope is not None else None
    return Checked(source, at, frame.rows, tuple(findings), tuple(broken), bad_N, tests, rate)


def compared(rows: pa.Table | Frame, envelope: Envelope, at: datetime) -> Tested:
    """Hold the figures of a batch against what history expects; *at* as in `check`."""
    frame = rows if isinstance(rows, Frame) else Frame.of(rows)
    return against_history(envelope, measured(frame, envelope.outlook, end=to_micros(at)), at)


def against_envelope(
    rows: pa.Table | Frame, table: TableExpectation, envelope: Envelope, at: datetime
) -> tuple[list[Finding], int]:
    """Hold a batch against history alone: a finding for each column that left the envelope, and for columns swapped.

    Returns:
        The findings, and how many figures were tested; *at* as in `check`.
    """
    frame = rows if isinstance(rows, Frame) else Frame.of(rows)
    found, tests = _left_envelope(frame, table, at, envelope)
    return [*swapped_columns(frame, table, envelope.outlook, {each.column for each in found}), *found], tests


def _rows_finding(broken: Broken, frame: Frame) -> Finding:
    where = f"column {broken.column!r}" if broken.column else "the total"
    rows, first = broken.rows, int(np.argmax(broken.mask_N))
    value = f", first {_value(frame, broken.column, first)} in row {first + 1:,}" if broken.column else ""
    share = f"{rows / max(frame.rows, 1):.2%}"
    sentence = f"{where}: {rows:,} rows ({share}) break {broken.rule}, which allows {broken.allows}{value}."
    return Finding(broken.column, broken.rule, sentence, broken.severity, rows)


def _value(frame: Frame, column: str, row: int) -> str:
    text = str(frame.columns[column].values[row].as_py())
    return repr(text if len(text) <= 40 else text[:39] + "…")


def _missing(frame: Frame, table: TableExpectation) -> Iterator[Finding]:
    for name, column in table.columns.items():
        if not 0 < column.most_missing < 1 or name not in frame.columns or not frame.rows:
            continue
        rows = int(np.count_nonzero(frame.columns[name].missing))
        if rows > column.most_missing * frame.rows:
            sentence = (
                f"column {name!r} lacks a value in {rows / frame.rows:.2%} of the rows, allowed are "
                f"{column.most_missing:.2%}: check its source."
            )
            yield Finding(name, "most_missing", sentence, column.severity, rows)


def _batch(frame: Frame, table: TableExpectation, at: datetime) -> Iterator[Finding]:
    severity = table.severity
    if frame.rows < table.fewest_rows:
        sentence = f"the batch has {frame.rows:,} rows, expected are {table.fewest_rows:,} or more: is it complete?"
        yield Finding("", "fewest_rows", sentence, severity)
    if table.most_rows is not None and frame.rows > table.most_rows:
        sentence = f"the batch has {frame.rows:,} rows, expected are at most {table.most_rows:,}: is it there twice?"
        yield Finding("", "most_rows", sentence, severity)
    if table.most_duplicates < 1 and frame.rows:
        hashes_N = np.sort(frame.hashes(tuple(frame.columns)))
        rows = int(np.count_nonzero(hashes_N[1:] == hashes_N[:-1]))
        if rows > table.most_duplicates * frame.rows:
            sentence = f"{rows:,} rows ({rows / frame.rows:.2%}) repeat another one in all columns."
            yield Finding("", "most_duplicates", sentence, severity, rows)
    if table.time in frame.columns and frame.columns[table.time].kind == "time":
        yield from _times(frame, table, at)


def _times(frame: Frame, table: TableExpectation, at: datetime) -> Iterator[Finding]:
    name, severity = table.time, table.severity
    times = frame.columns[name].numbers
    times = times[~np.isnan(times)]
    ages = (to_micros(at) - times) / 1e6
    if table.fresh_within and (not len(ages) or ages.min() > duration_seconds("fresh_within", table.fresh_within)):
        newest = f"{from_micros(int(times.max())):%Y-%m-%d %H:%M:%S} UTC" if len(times) else "nothing"
        sentence = f"the newest {name!r} is {newest}, more than {table.fresh_within} before {at:%Y-%m-%d %H:%M:%S} UTC."
        yield Finding(name, "fresh_within", sentence, severity)
    if table.late is not None and len(ages):
        late = int(np.count_nonzero(ages > duration_seconds("late.older_than", table.late.older_than)))
        if late > table.late.most * len(ages):
            sentence = (
                f"{late:,} rows ({late / len(ages):.2%}) are older than {table.late.older_than}, "
                f"allowed are {table.late.most:.2%}."
            )
            yield Finding(name, "late", sentence, severity, late)
    falls = int(np.count_nonzero(np.diff(times) < 0)) if table.in_order else 0
    if falls:
        sentence = f"{name!r} falls {falls:,} times from a row to the next: sort the rows, or drop 'in_order'."
        yield Finding(name, "in_order", sentence, severity, falls)


def _left_envelope(
    frame: Frame, table: TableExpectation, at: datetime, envelope: Envelope
) -> tuple[list[Finding], int]:
    """Return a finding for each column that leaves the envelope, and how many figures were tested."""
    result = compared(frame, envelope, at)
    tests = int(np.count_nonzero(~np.isnan(result.figures_K)))
    level_K = table.false_alarm_rate * level_shares(result)
    off = np.flatnonzero(result.p_K <= level_K)
    by_column: dict[str, list[int]] = {}
    for place in off[np.argsort(result.p_K[off], kind="stable")].tolist():
        by_column.setdefault(result.signals[place].column, []).append(place)
    return [_left(frame, table, envelope, result, each) for each in by_column.values()], tests


def _left(frame: Frame, table: TableExpectation, envelope: Envelope, result: Tested, places: list[int]) -> Finding:
    """Return the finding of a column, or of the batch, whose figures at *places* are off, the surest first."""
    column = result.signals[places[0]].column
    where = f"column {column!r}" if column else "the batch"
    if column in frame.columns and (cause := likely_cause(frame.columns[column], envelope.outlook.columns[column])):
        where += f", {cause}"
    # What is off as a whole is off in each segment too.
    told = sorted(places, key=lambda place: bool(result.signals[place].other))[:_TOLD_EACH]
    sentence = "; ".join(envelope_sentence(result, place) for place in told)
    more = f"; and {len(places) - len(told)} figures more" if len(places) > len(told) else ""
    severity = table.columns[column].severity if column in table.columns else table.severity
    return Finding(column, "envelope", f"{where}: {sentence}{more}.", severity, None, float(result.p_K[places[0]]))
