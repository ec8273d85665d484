"""A replay as one HTML page: what was looked at and what differs, by kind, by day and by name, with examples."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from orita.pipelines.replaying.findings import KINDS, Part, ReplayReport
from orita.report import (
    Block,
    Cell,
    Column,
    Line,
    Page,
    Plot,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
    curve_plot,
    write_page,
)

__all__ = ["HEADS", "line_of", "verdict", "write_replay_page"]

HEADS = ("part", "looked at", "equal", "different", "kinds")
_MOST_NAMES = 30
_NUMBERS = ("ctr", "auc", "log_loss")


def verdict(report: ReplayReport) -> str:
    """Return in a sentence whether all is equal."""
    different = sum(part.different for part in report.parts)
    if not different:
        return f"Equal: {report.looked_at:,} were compared, and none differs."
    return f"NOT equal: {different:,} of {report.looked_at:,} differ."


def line_of(part: Part) -> list[str]:
    """Return the line of a part below `HEADS`."""
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(part.kinds.items(), key=lambda each: -each[1]))
    return [part.name, f"{part.looked_at:,} {part.unit}", f"{part.equal:,}", f"{part.different:,}", kinds or "—"]


def write_replay_page(path: Path, report: ReplayReport) -> None:
    """Write *report* as a page.

    Raises:
        MissingExtra: the libraries that draw and fill in the page are not installed.
    """
    overview = Section("What was compared", list(_overview(report)))
    sections = [overview, *(Section(part.name.capitalize(), list(_blocks(part))) for part in report.parts)]
    if report.figures:
        sections.append(Section("Quality, rebuilt", list(_quality(report))))
    badge = Cell("equal", mood="good") if report.equal else Cell("not equal", mood="bad")
    title = f"Replay of {report.system}: {report.start[:16]} to {report.end[:16]}"
    write_page(path, Page(title, sections, lines=[verdict(report)], badge=badge))


def _overview(report: ReplayReport) -> Iterator[Block]:
    yield Tiles(
        [
            Tile(f"{part.different:,}", f"{part.name} differ", f"of {part.looked_at:,} {part.unit}")
            for part in report.parts
        ]
    )
    yield Table("Parts", [Column(head, number=head not in ("part", "kinds")) for head in HEADS], _lines(report))
    yield from _by_day(report)


def _lines(report: ReplayReport) -> list[list[str]]:
    return [line_of(part) for part in report.parts]


def _by_day(report: ReplayReport) -> Iterator[Plot]:
    days = sorted({day for part in report.parts for day in part.days if day})
    if len(days) < 2:
        return
    first, lines = date.fromisoformat(days[0]), list[Line]()
    for part, role in zip(report.parts, ("now", "second", "soft", "now", "second"), strict=False):
        known = [day for day in days if part.days.get(day, [0, 0])[0]]
        if known:
            shares = [100 * part.days[day][1] / part.days[day][0] for day in known]
            at = [float((date.fromisoformat(day) - first).days) for day in known]
            lines.append(Line(at, shares, part.name, role, points=True))  # type: ignore[arg-type]
    told = f"Share that differs, by UTC day of the event, answer, slice or report; days since {days[0]}."
    yield Plot("Differences by day", curve_plot(lines, title="By day", description=told, x="days", y="%"), told)


def _blocks(part: Part) -> Iterator[Block]:
    yield Text(f"{part.looked_at:,} {part.unit}: {part.equal:,} equal, {part.different:,} different.")
    if part.kinds:
        rows = [[kind, f"{count:,}", KINDS[kind]] for kind, count in sorted(part.kinds.items(), key=lambda e: -e[1])]
        yield Table("Differences", [Column("kind", number=False), Column("count"), Column("means", number=False)], rows)
    if part.examples:
        heads = list(dict.fromkeys(name for example in part.examples for name in example))
        rows = [[_cell(example.get(head)) for head in heads] for example in part.examples]
        yield Table("Examples", [Column(head, number=False) for head in heads], rows, folded=len(rows) > 10)
    if part.left_out:
        rows = [[reason, f"{count:,}"] for reason, count in sorted(part.left_out.items())]
        yield Table("Not compared", [Column("reason", number=False), Column("count")], rows)
    names = sorted(part.by.items(), key=lambda each: (-each[1][1], each[0]))
    if names:
        rows = [[name, f"{looked:,}", f"{wrong:,}"] for name, (looked, wrong) in names]
        columns = [Column("name", number=False), Column("looked at"), Column("different")]
        yield Table("By name", columns, rows, folded=len(rows) > _MOST_NAMES)


def _quality(report: ReplayReport) -> Iterator[Block]:
    versions = sorted({figure["model_version"] for figure in report.figures})
    days = sorted({figure["day"] for figure in report.figures})
    first = date.fromisoformat(days[0])
    for name, title in zip(_NUMBERS, ("CTR", "AUC", "Log loss"), strict=True):
        lines = []
        for version, role in zip(versions, ("now", "second", "soft"), strict=False):
            known = [f for f in report.figures if f["model_version"] == version and f[name] is not None]
            if known:
                at = [float((date.fromisoformat(f["day"]) - first).days) for f in known]
                lines.append(Line(at, [f[name] for f in known], version, role, points=True))  # type: ignore[arg-type]
        if lines and len(days) > 1:
            told = f"{title} of each version by day, from the logs; days since {days[0]}."
            yield Plot(title, curve_plot(lines, title=title, description=told, x="days", y=title), told)
    heads = ("day", "model_version", "rows", "clicks", *_NUMBERS)
    rows = [[_cell(figure[head]) for head in heads] for figure in report.figures]
    columns = [Column(head, number=head not in ("day", "model_version")) for head in heads]
    yield Table("By version and day", columns, rows, folded=len(rows) > _MOST_NAMES)


def _cell(value: object) -> str:
    if value is None:
        return "—"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
