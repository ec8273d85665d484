"""What is wrong, or unusual, in training rows: between their parts, and against what the champion was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orita.pipelines.components.column_statistics import ColumnStatistics, PartStatistics
from orita.pipelines.components.statistics import LABEL
from orita.pipelines.components.validation_config import ExpectationsSection
from orita.registry.expectations import Expectation

__all__ = ["SEVERITIES", "Anomaly", "Severity", "against_earlier", "between_parts", "untrainable"]

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One finding.

    Attributes:
        severity: ``error``: it cannot be trained on; ``warning``: a person should look; ``info``: worth knowing.
        column: which; empty where it is about rows.
        where: the part, or the model, that it is about.
        sentence: what was found, beside what was expected.
    """

    severity: Severity
    column: str
    where: str
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)


def untrainable(parts: Mapping[str, PartStatistics]) -> Iterator[Anomaly]:
    """Yield what keeps a model from learning, and columns of the training part that say nothing."""
    for part, found in parts.items():
        if not found.rows:
            yield Anomaly("error", "", part, "there are no rows.")
    train = parts["train"]
    label = train.columns.get(LABEL)
    if label is None:
        yield Anomaly("error", LABEL, "train", "there is no column with the label.")
    elif label.missing or label.infinite:
        yield Anomaly("error", LABEL, "train", f"{label.missing + label.infinite:,} rows have no label.")
    elif train.rows and label.minimum == label.maximum:
        yield Anomaly("error", LABEL, "train", f"every row has the label {label.minimum:g}: nothing can be told apart.")
    for part in ("val", "test"):
        judged = parts[part].columns.get(LABEL)
        if judged is not None and judged.minimum is not None and judged.minimum == judged.maximum:
            told = (
                f"every row has the label {judged.minimum:g}: there is no AUC, by which models are chosen and judged."
            )
            yield Anomaly("warning", LABEL, part, told)
    for name, column in train.columns.items():
        if column.infinite:
            yield Anomaly("warning", name, "train", f"{column.infinite:,} values are infinite.")
        if train.rows and column.missing == train.rows:
            yield Anomaly("info", name, "train", "no row has a value.")
        elif train.rows and column.distinct == 1 and not column.missing and name != LABEL:
            yield Anomaly("info", name, "train", "every row has the same value.")


def between_parts(
    parts: Mapping[str, PartStatistics], expected: Mapping[str, Expectation], limits: ExpectationsSection
) -> Iterator[Anomaly]:
    """Yield what validation and test rows have that the training rows did not lead to expect."""
    for part in ("val", "test"):
        found = parts[part]
        for name, column in found.columns.items():
            if name in expected and found.rows:
                yield from _unlike(name, part, column, found.rows, expected[name], limits)
        for name in expected.keys() - found.columns.keys():
            yield Anomaly("error", name, part, "the column is not there, and the training part has it.")


def against_earlier(
    now: Mapping[str, Expectation], before: Mapping[str, Expectation], model: str, limits: ExpectationsSection
) -> Iterator[Anomaly]:
    """Yield how columns differ from those that *model* was trained on."""
    for name in sorted(before.keys() - now.keys()):
        yield Anomaly("warning", name, model, "the column has vanished: the champion was trained with it.")
    for name in sorted(now.keys() - before.keys()):
        yield Anomaly("info", name, model, "the column is new: the champion was trained without it.")
    for name in sorted(now.keys() & before.keys()):
        yield from _changed(name, now[name], before[name], model, limits)


def _changed(
    name: str, now: Expectation, before: Expectation, model: str, limits: ExpectationsSection
) -> Iterator[Anomaly]:
    if (now.type, now.kind) != (before.type, before.kind):
        told = f"it is {_typed(now)} now, and was {_typed(before)}"
        yield Anomaly("warning", name, model, f"{told}: a model would be served other values than it was trained on.")
    elif now.meaning != before.meaning:
        yield Anomaly("info", name, model, "it is declared otherwise than it was.")
    if now.missing - before.missing > limits.missing_rise:
        yield Anomaly(
            "warning", name, model, f"{now.missing:.1%} of rows have no value, {before.missing:.1%} had none."
        )
    if now.domain is not None and before.domain is not None:
        if new := sorted(set(now.domain) - set(before.domain)):
            yield Anomaly("warning", name, model, f"new values: {_some(new)}.")
        if gone := sorted(set(before.domain) - set(now.domain)):
            yield Anomaly("info", name, model, f"values that are gone: {_some(gone)}.")
    yield from _outside(name, model, now.low, now.high, before, limits)


def _unlike(
    name: str, part: str, column: ColumnStatistics, rows: int, expected: Expectation, limits: ExpectationsSection
) -> Iterator[Anomaly]:
    if column.type != expected.type:
        yield Anomaly("error", name, part, f"it is {column.type}, and {expected.type} in the training part.")
    share = column.missing / rows
    if share - expected.missing > limits.missing_rise:
        yield Anomaly("warning", name, part, f"{share:.1%} of rows have no value, {expected.missing:.1%} in training.")
    if expected.domain is not None:
        new = [(value, n) for value, n in column.top if value not in expected.domain]
        if new:
            told = f"{_some([value for value, _ in new])} in {sum(n for _, n in new) / rows:.1%} of rows"
            yield Anomaly("warning", name, part, f"values that training rows do not have: {told}.")
    yield from _outside(name, part, column.minimum, column.maximum, expected, limits)


def _outside(
    name: str, where: str, low: float | None, high: float | None, expected: Expectation, limits: ExpectationsSection
) -> Iterator[Anomaly]:
    """Yield a range that lies further outside than so many times the width of the expected one."""
    if expected.low is None or expected.high is None or low is None or high is None or expected.low == expected.high:
        return
    room = limits.range_factor * (expected.high - expected.low)
    if low < expected.low - room or high > expected.high + room:
        told = f"{low:g} to {high:g}, expected {expected.low:g} to {expected.high:g}"
        yield Anomaly("warning", name, where, f"values go from {told}.")


def _typed(expected: Expectation) -> str:
    return f"{expected.type} ({expected.kind})" if expected.kind else expected.type


def _some(values: list[str]) -> str:
    more = f" and {len(values) - _SHOWN:,} more" if len(values) > _SHOWN else ""
    return ", ".join(repr(value) for value in values[:_SHOWN]) + more
