"""Faults of data, as they happen: each changes some rows of a batch, and tells what shows it in a row.

A batch is a dict of NumPy arrays, as `benchmarks.fault_worlds` gives them. A fault names the roles of the columns that
it needs, changes the rows that it is given, and has a *trait*: a number for each row, in which a test that knows the
fault sees it. Faults of a batch as a whole have a *figure* instead. Legend: N rows, A rows that are changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.fault_worlds import Rows

__all__ = ["FAULTS", "Fault", "inject"]

Places = npt.NDArray[np.int64]
Trait = Callable[[Rows, Mapping[str, str]], npt.NDArray[Any]]
Figure = Callable[[Rows, Mapping[str, str]], float]
Change = Callable[[Rows, Mapping[str, str], Places, np.random.Generator], Rows]

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: what it is called.
        needs: roles of the columns that it is about.
        change: returns the batch with the fault in the rows given.
        trait: what shows it in each row.
        figure: what shows it in a batch as a whole, larger where there is a fault.
        whole: whether it concerns the whole column however many rows are asked for.
        where: which rows can have it, all by default.
    """

    name: str
    needs: tuple[str, ...]
    change: Change
    trait: Trait | None = None
    figure: Figure | None = None
    whole: bool = False
    where: Trait | None = None


def inject(fault: Fault, rows: Rows, roles: Mapping[str, str], share: float, rng: np.random.Generator) -> Rows:
    """Return the batch with the fault in a share of its rows, at least one; rows that cannot have it are not chosen."""
    many = len(next(iter(rows.values())))
    possible = np.arange(many) if fault.where is None else np.flatnonzero(fault.where(rows, roles))
    wanted = min(max(round(share * many), 1), len(possible))
    chosen = np.sort(rng.choice(possible, wanted, replace=False))
    copied = {name: values.copy() for name, values in rows.items()}
    return fault.change(copied, roles, chosen, rng)


def _set(role: str, value: Callable[[npt.NDArray[Any], np.random.Generator], Any], kind: Any = None) -> Change:
    """Return the change that gives the chosen rows of a column other values."""

    def change(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
        values = rows[roles[role]]
        if kind is not None:
            values = values.astype(kind)
        values[at] = value(values[at], rng)
        return {**rows, roles[role]: values}

    return change


def _texts(function: Callable[[str], str]) -> Callable[[npt.NDArray[Any], np.random.Generator], Any]:
    return lambda texts, rng: np.array([function(text) for text in texts], dtype=object)


def _of(role: str, trait: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Trait:
    return lambda rows, roles: trait(rows[roles[role]])


def _each(function: Callable[[Any], float | bool]) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    return lambda texts: np.array([function(text) for text in texts], dtype=np.float64)


def _missing(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return values != values if values.dtype.kind == "f" else np.array([value is None for value in values])  # noqa: PLR0124


def _log(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    numbers = values.astype(np.float64)
    return np.sign(numbers) * np.log1p(np.abs(numbers))


def _same(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.append(False, values[1:] == values[:-1])


def _repeated(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    _, first = np.unique(values, return_index=True)
    found = np.ones(len(values), dtype=np.bool_)
    found[first] = False
    return found


def _hours(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return hours since the day that most rows are of."""
    day = np.median(values) // _DAY
    return np.asarray((values - day * _DAY) // _HOUR)


# Columns.


def _drop(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    return {name: values for name, values in rows.items() if name != roles["number"]}


def _add(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    return {**rows, "debug": rng.random(len(rows[roles["number"]]))}


def _rename(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    return {(f"{name}_v2" if name == roles["number"] else name): values for name, values in rows.items()}


def _swap(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    one, other = (rows[roles[role]].astype(np.float64) for role in ("number", "other"))
    one[at], other[at] = other[at], one[at].copy()
    return {**rows, roles["number"]: one, roles["other"]: other}


def _retype(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    return {**rows, roles["number"]: np.array([str(value) for value in rows[roles["number"]]], dtype=object)}


def _equal(role: str, value: object) -> Trait:
    return lambda rows, roles: np.asarray(rows[roles[role]] == value)


def _is_there(role: str) -> Figure:
    return lambda rows, roles: float(roles[role] not in rows)


# Rows.


def _append(rows: Rows, at: Places) -> Rows:
    return {name: np.concatenate([values, values[at]]) for name, values in rows.items()}


def _duplicate(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    return _append(rows, at)


def _duplicate_ids(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    rows[roles["key"]][at] = rows[roles["key"]][(at + 1) % len(rows[roles["key"]])]
    return rows


def _fan_out(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    more = _append(rows, at)
    numbers = more[roles["number"]].astype(np.float64)
    numbers[-len(at) :] = rng.permutation(numbers[-len(at) :])
    return {**more, roles["number"]: numbers}


def _fewer(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    kept = np.ones(len(rows[roles["time"]]), dtype=np.bool_)
    kept[at] = False
    return {name: values[kept] for name, values in rows.items()}


def _window(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    order = np.argsort(rows[roles["time"]], kind="stable")
    begin = int(rng.integers(0, len(order) - len(at) + 1))
    return _fewer(rows, roles, order[begin : begin + len(at)], rng)


def _doubled_hour(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    """Rows of the hour before are told as of hour 2 again, in part."""
    more = _append(rows, at)
    times = more[roles["time"]]
    day = np.median(times) // _DAY
    times[-len(at) :] = day * _DAY + 2 * _HOUR + rng.integers(0, _HOUR, len(at))
    if "key" in roles:
        more[roles["key"]][-len(at) :] = more[roles["key"]].max() + 1 + np.arange(len(at))
    return more


def _few_rows(rows: Rows, roles: Mapping[str, str]) -> float:
    times = rows[roles["time"]]
    weekday = int(np.median(times) // _DAY + 3) % 7
    usual = (1.0, 0.95, 0.95, 1.0, 1.2, 1.4, 1.1)[weekday] if roles["time"] == "placed_at" else 1.0
    return -float(np.log(max(len(times), 1) / usual))


def _longest_gap(rows: Rows, roles: Mapping[str, str]) -> float:
    """Return the logarithm of the most rows that a gap could have held, by the number in the hours around it."""
    times = np.sort(rows[roles["time"]])
    hours = np.clip(_hours(times), 0, 23)
    per_hour = np.bincount(hours.astype(np.int64), minlength=24) / _HOUR
    smooth = np.convolve(np.pad(per_hour, 2, mode="wrap"), np.ones(5) / 5, mode="valid")
    expected = np.diff(times) * np.maximum(smooth[hours[:-1].astype(np.int64)], 1e-12)
    return float(np.log(expected.max()))


# Values.


def _stick(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    values = rows[roles["number"]]
    begin = int(rng.integers(0, len(values) - len(at) + 1))
    values[begin : begin + len(at)] = values[max(begin - 1, 0)]
    return rows


def _clip(values: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[Any]:
    clipped: npt.NDArray[Any] = np.minimum(values, _CLIP)
    return clipped


_CLIP, _DEFAULT = 60.0, 25.0


def _first_level(rows: Rows, roles: Mapping[str, str]) -> npt.NDArray[Any]:
    """Tell which rows are of the second most frequent segment."""
    levels, counts = np.unique(rows[roles["segment"]].astype(str), return_counts=True)
    order = sorted(zip(-counts, levels, strict=True))
    return np.asarray(rows[roles["segment"]] == order[min(1, len(order) - 1)][1])


def _within(trait: Trait) -> Trait:
    """Return a trait that rows of other segments do not have."""
    return lambda rows, roles: np.where(_first_level(rows, roles), trait(rows, roles).astype(float), -1e9)


def _vanish(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    values = rows[roles["category"]]
    levels, counts = np.unique(values.astype(str), return_counts=True)
    values[at] = levels[counts.argmax()]
    return rows


def _rarer(rows: Rows, roles: Mapping[str, str]) -> npt.NDArray[Any]:
    levels, counts = np.unique(rows[roles["category"]].astype(str), return_counts=True)
    return np.asarray(rows[roles["category"]] == sorted(zip(-counts, levels, strict=True))[min(1, len(levels) - 1)][1])


def _shuffle(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    values = rows[roles["other"]]
    values[at] = values[rng.permutation(at)]
    return rows


def _apart(rows: Rows, roles: Mapping[str, str]) -> npt.NDArray[Any]:
    """Return how far two numbers that go together are apart."""
    return np.asarray(np.log(np.maximum(rows[roles["other"]], 1e-9)) - 0.02 * rows[roles["one"]])


def _leak(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    values = rows[roles["number"]].astype(np.float64)
    low, high = np.quantile(values, (0.2, 0.98))
    values[at] = np.where(rows[roles["label"]][at] == 1, high, low) * np.exp(rng.normal(0, 0.05, len(at)))
    return {**rows, roles["number"]: values}


def _with_label(rows: Rows, roles: Mapping[str, str]) -> npt.NDArray[Any]:
    return _log(rows[roles["number"]]) + 1e3 * rows[roles["label"]]


def _more_positive(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    positive = np.flatnonzero(rows[roles["label"]] == 1)
    source = rng.choice(positive, len(at)) if len(positive) else at
    kept = {roles[role] for role in ("key", "time") if role in roles}
    for name, values in rows.items():
        if name not in kept:
            values[at] = values[source]
    return rows


def _break_total(rows: Rows, roles: Mapping[str, str], at: Places, rng: np.random.Generator) -> Rows:
    rows[roles["total"]][at] *= 1.1
    return rows


def _total_off(rows: Rows, roles: Mapping[str, str]) -> npt.NDArray[Any]:
    return np.asarray(np.abs(rows[roles["total"]] - rows[roles["count"]] * rows[roles["number"]]) > 0.011)


def _mojibake(text: str) -> str:
    return text.encode().decode("latin-1")


def _shift(hours: float) -> Change:
    return _set("time", lambda times, rng: times + int(hours * _HOUR))


_NUMBER, _TEXT = ("number",), ("name",)

FAULTS: tuple[Fault, ...] = (
    Fault("column dropped", _NUMBER, _drop, figure=_is_there("number"), whole=True),
    Fault("column added", _NUMBER, _add, figure=lambda rows, roles: float("debug" in rows), whole=True),
    Fault("column renamed", _NUMBER, _rename, figure=_is_there("number"), whole=True),
    Fault("columns swapped", ("number", "other"), _swap, trait=_of("other", _log)),
    Fault(
        "column retyped",
        _NUMBER,
        _retype,
        figure=lambda rows, roles: float(rows[roles["number"]].dtype == object),
        whole=True,
    ),
    Fault("null rise", _NUMBER, _set("number", lambda v, r: np.nan, float), trait=_of("number", _missing)),
    Fault(
        "null rise where some are null", ("one",), _set("one", lambda v, r: np.nan, float), trait=_of("one", _missing)
    ),
    Fault(
        "all null",
        _NUMBER,
        lambda rows, roles, at, rng: {**rows, roles["number"]: np.full(len(rows[roles["number"]]), np.nan)},
        trait=_of("number", _missing),
        whole=True,
    ),
    Fault(
        "sentinel -999", _NUMBER, _set("number", lambda v, r: -999.0, float), trait=_of("number", lambda v: v == -999)
    ),
    Fault("sentinel 9999", ("one",), _set("one", lambda v, r: 9999.0, float), trait=_equal("one", 9999.0)),
    Fault("sentinel N/A", ("category",), _set("category", lambda v, r: "N/A"), trait=_equal("category", "N/A")),
    Fault("empty strings", ("category",), _set("category", lambda v, r: ""), trait=_equal("category", "")),
    Fault("duplicate rows", ("key",), _duplicate, trait=_of("key", _repeated)),
    Fault("duplicate ids", ("key",), _duplicate_ids, trait=_of("key", _repeated)),
    Fault("join fan-out", ("key", "number"), _fan_out, trait=_of("key", _repeated)),
    Fault("unit × 100", _NUMBER, _set("number", lambda v, r: v * 100, float), trait=_of("number", _log)),
    Fault("unit ÷ 100", _NUMBER, _set("number", lambda v, r: v / 100, float), trait=_of("number", _log)),
    Fault("sign flip", _NUMBER, _set("number", lambda v, r: -v, float), trait=_of("number", _log)),
    Fault("rounding", _NUMBER, _set("number", lambda v, r: np.rint(v)), trait=_of("number", lambda v: v == np.rint(v))),
    Fault("clipping", _NUMBER, _set("number", _clip), trait=_of("number", lambda v: (v == _CLIP) + 2.0 * (v > _CLIP))),
    Fault("stuck value", _NUMBER, _stick, trait=_of("number", _same)),
    Fault("default fill", _NUMBER, _set("number", lambda v, r: _DEFAULT), trait=_equal("number", _DEFAULT)),
    Fault(
        "currency change",
        ("number", "segment"),
        _set("number", lambda v, r: v * 10.7, float),
        trait=_within(_of("number", _log)),
        where=_first_level,
    ),
    Fault("extreme values", _NUMBER, _set("number", lambda v, r: 1e9, float), trait=_equal("number", 1e9)),
    Fault("time zone", ("time",), _shift(5), trait=_of("time", _hours)),
    Fault("stale partition", ("time",), _shift(-24), trait=_of("time", _hours)),
    Fault("less volume", ("time",), _fewer, figure=_few_rows),
    Fault("missing window", ("time",), _window, figure=_longest_gap),
    Fault("future data", ("time",), _shift(40), trait=_of("time", _hours)),
    Fault("late data", ("time",), _shift(-40), trait=_of("time", _hours)),
    Fault("doubled DST hour", ("time",), _doubled_hour, trait=_of("time", _hours)),
    Fault(
        "new category",
        ("category",),
        _set("category", lambda v, r: "kiosk"),
        trait=_equal("category", "kiosk"),
    ),
    Fault("vanished category", ("category",), _vanish, trait=_rarer, where=_rarer),
    Fault(
        "re-cased category",
        ("category",),
        _set("category", _texts(str.upper)),
        trait=_of("category", _each(str.isupper)),
    ),
    Fault(
        "mojibake",
        _TEXT,
        _set("name", _texts(_mojibake)),
        trait=_of("name", _each(lambda text: "Ã" in text)),
        where=_of("name", lambda v: _each(lambda text: not text.isascii())(v).astype(bool)),
    ),
    Fault(
        "cardinality explosion",
        ("category",),
        _set("category", lambda v, r: np.array([f"{text}-{r.integers(1 << 40):x}" for text in v], dtype=object)),
        trait=_of("category", _each(lambda text: "-" in text)),
    ),
    Fault(
        "lost leading zeros",
        ("code",),
        _set("code", _texts(lambda text: text.lstrip("0") or "0")),
        trait=_of("code", _each(lambda text: len(text) < 5)),
        where=_of("code", lambda v: _each(lambda text: text.startswith("0"))(v).astype(bool)),
    ),
    Fault(
        "truncation",
        _TEXT,
        _set("name", _texts(lambda text: text[:6])),
        trait=_of("name", _each(lambda text: len(text) == 6)),
    ),
    Fault(
        "padding",
        ("category",),
        _set("category", _texts(lambda t: f"{t} ")),
        trait=_of("category", _each(lambda t: t.endswith(" "))),
    ),
    Fault(
        "decimal comma",
        ("decimal",),
        _set("decimal", _texts(lambda text: text.replace(".", ","))),
        trait=_of("decimal", _each(lambda text: "," in text)),
    ),
    Fault(
        "orphan keys",
        ("foreign",),
        _set("foreign", lambda v, r: 10_000_000 + r.integers(0, 1000, len(v))),
        trait=_of("foreign", lambda v: v >= 10_000_000),
    ),
    Fault("broken totals", ("total", "count", "number"), _break_total, trait=_total_off),
    Fault("broken correlation", ("one", "other"), _shuffle, trait=_apart),
    Fault("label flip", ("label",), _set("label", lambda v, r: 1 - v), trait=_of("label", lambda v: v)),
    Fault("class balance", ("label",), _more_positive, trait=_of("label", lambda v: v)),
    Fault("label leakage", ("label", "number"), _leak, trait=_with_label),
    Fault(
        "segment shift",
        ("number", "segment"),
        _set("number", lambda v, r: np.round(v * 1.6, 2), float),
        trait=_within(_of("number", _log)),
        where=_first_level,
    ),
    Fault(
        "segment nulls",
        ("one", "segment"),
        _set("one", lambda v, r: np.nan, float),
        trait=_within(_of("one", _missing)),
        where=_first_level,
    ),
)
"""Every kind; `needs` tells which of them a table can have."""
