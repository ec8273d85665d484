"""What a replay found: by part how much was looked at, what is equal, and what differs, by kind and with examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["KINDS", "MOST_EXAMPLES", "Part", "ReplayReport"]

MOST_EXAMPLES = 5
"""Examples that are kept of each kind."""

KINDS: Mapping[str, str] = {
    "not_in_lake": "the log has the event, and the lake, which says that it holds that part of the log, has not",
    "not_in_log": "the lake has the event from the log, and the log has it no more",
    "other_values": "log and lake have the event with different values",
    "altered_value": "the logged score follows from the rebuilt value, and not from the logged one",
    "behind": "online features lacked events that were known: the state was behind",
    "late_event": "an event was counted before it was known, by its time of ingestion",
    "after_as_of": "what is logged is of a later time than the request's: events after its time were seen",
    "before_as_of": "what is logged is of an earlier time than the request's",
    "changed_attribute": "it reads an attribute of a table that was changed since, and such tables keep no past",
    "uncounted_event": "online features counted fewer events than the log has",
    "unknown_event": "online features counted more events than the log has",
    "missing": "one of the two has no value",
    "other_value": "the values differ, and nothing above explains it",
    "not_explained": "the values differ; there were too many such rows to look into each",
    "counts": "rows, missing values, or another count",
    "moments": "mean, deviation or bounds",
    "quantiles": "ranks further apart than two sketches of the same rows may be",
    "distinct": "the number of different values",
    "frequent": "the most frequent values",
    "lost_slice": "a slice that the log has rows of is not kept",
    "unknown_slice": "a slice is kept of which the log has no row",
    "lake_behind": "answers that were known came into the lake after the report",
    "late_answer": "the report counts answers that were not known yet, by their time of ingestion",
    "other_predictions": "the prediction log has more or fewer rows of the time than the report",
    "other_answers": "more or fewer answers are joined than in the report",
    "other_figure": "the figure differs, and neither rows nor answers explain it",
    "altered_features": "the logged score follows from rebuilt features, and not from those that were logged",
    "other_score": "the version that answered gives another score for the logged features",
}
"""The kinds of difference, in words."""


@dataclass(slots=True)
class Part:
    """What was compared of one part.

    Attributes:
        name: ``events``, ``features``, ``profiles``, ``metrics`` or ``scores``.
        unit: what is counted.
        looked_at: how many were compared.
        kinds: of those that differ, how many by kind (`KINDS`).
        left_out: what was not compared, how many by reason.
        by: by name (a feature, a column, a version), how many were compared and how many differ.
        days: likewise by UTC day.
        examples: some of each kind.
    """

    name: str
    unit: str
    looked_at: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    by: dict[str, list[int]] = field(default_factory=dict)
    days: dict[str, list[int]] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def different(self) -> int:
        """How many differ."""
        return sum(self.kinds.values())

    @property
    def equal(self) -> int:
        """How many are equal."""
        return self.looked_at - self.different

    def compared(self, name: str, day: str, looked_at: int, different: int = 0) -> None:
        """Count what was compared under *name* on *day*; kinds are counted apart."""
        self.looked_at += looked_at
        for counts, key in ((self.by, name), (self.days, day)):
            before = counts.setdefault(key, [0, 0])
            before[0] += looked_at
            before[1] += different

    def differs(self, kind: str, count: int = 1, example: Mapping[str, Any] | None = None) -> None:
        """Count differences of a kind; the first examples of it are kept."""
        assert kind in KINDS, kind
        if not count:
            return
        self.kinds[kind] = self.kinds.get(kind, 0) + count
        if example is not None and sum(each["kind"] == kind for each in self.examples) < MOST_EXAMPLES:
            self.examples.append({"kind": kind, **example})

    def leave_out(self, reason: str, count: int) -> None:
        """Count what is not compared."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count

    def add(self, other: Part) -> None:
        """Add what was compared in another piece of the same part."""
        self.looked_at += other.looked_at
        for reason, count in other.left_out.items():
            self.leave_out(reason, count)
        for mine, theirs in ((self.by, other.by), (self.days, other.days)):
            for key, (looked_at, different) in theirs.items():
                before = mine.setdefault(key, [0, 0])
                before[0] += looked_at
                before[1] += different
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count
        for example in other.examples:
            if sum(each["kind"] == example["kind"] for each in self.examples) < MOST_EXAMPLES:
                self.examples.append(example)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "equal": self.equal, "different": self.different}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Part:
        """Return what `to_dict` told."""
        return cls(**{name: value for name, value in told.items() if name not in ("equal", "different")})


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """A span of time replayed.

    Attributes:
        system: whose.
        start, end: the span, ISO 8601; the end is not in it.
        parts: what was compared.
        figures: quality by version and day, rebuilt: rows, clicks, ctr, auc, log_loss.
        went_on: pieces of work that an earlier run had done before it was ended.
    """

    system: str
    start: str
    end: str
    parts: tuple[Part, ...]
    figures: tuple[dict[str, Any], ...] = ()
    went_on: int = 0

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not any(part.different for part in self.parts)

    @property
    def looked_at(self) -> int:
        """How much was compared in all."""
        return sum(part.looked_at for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        found = {kind: words for part in self.parts for kind, words in KINDS.items() if kind in part.kinds}
        return {
            "system": self.system,
            "start": self.start,
            "end": self.end,
            "equal": self.equal,
            "parts": [part.to_dict() for part in self.parts],
            "kinds": found,
            "figures": list(self.figures),
            "went_on": self.went_on,
        }
