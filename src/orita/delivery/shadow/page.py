"""What a shadow has found, as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orita.delivery.shadow.comparison import MEASURES
from orita.delivery.shadow.told import CandidateSummary, FurthestRequest, ShadowSummary
from orita.delivery.shadow.wording import NAMES, TIMED, counted, figure_rows, latency_rows
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
    bar_plot,
    curve_plot,
    interval_plot,
    write_page,
)
from orita.report.plots import Role

__all__ = ["write_shadow_page"]

_MOODS = {
    "fits": "good",
    "too_few": "quiet",
    "nothing_scored": "quiet",
    "differs": "warn",
    "slow": "bad",
    "fails": "bad",
}
_WORDS = {
    "fits": "nothing speaks against it",
    "too_few": "too few to judge",
    "nothing_scored": "nothing scored",
    "differs": "differs",
    "slow": "too slow",
    "fails": "fails",
}
_SHIFTS = ("mean_shift", "mean_absolute_shift", "largest_shift")


def write_shadow_page(path: Path, found: ShadowSummary) -> None:
    """Write *found* as a page.

    Raises:
        MissingExtra: the libraries that draw and fill in the page are not installed.
    """
    worst = max(found.candidates, key=lambda each: list(_MOODS).index(each.verdict.state))
    state = worst.verdict.state
    times = (
        f"answers from {found.first:%Y-%m-%d %H:%M} to {found.last:%Y-%m-%d %H:%M} UTC"
        if found.first and found.last
        else "no answers yet"
    )
    lines = [
        f"Shadow {found.rollout} of {found.system}, {found.state}: scored beside champion {found.champion}; {times}.",
        f"{found.cpu_percent:.1f} % of one processor were taken in {_long(found.followed_seconds)}, "
        f"{found.most_cpu_percent:g} % are allowed; {found.mirrored_percent:g} % of requests are to be mirrored.",
    ]
    sections = [Section(_title(each), list(_blocks(each)), each.verdict.sentence) for each in found.candidates]
    title = f"Shadow of {', '.join(each.version for each in found.candidates)}"
    badge = Cell(_WORDS[state], mood=_MOODS[state])  # type: ignore[arg-type]
    write_page(path, Page(title, sections, lines=lines, badge=badge))


def _title(found: CandidateSummary) -> str:
    return f"{found.version} beside the champion"


def _blocks(found: CandidateSummary) -> Iterator[Block]:
    yield Tiles(list(_tiles(found)))
    for finding in found.verdict.findings:
        yield Text(finding)
    yield from _plots(found)
    plain = [Column("what", number=False), Column("mean"), Column("95 % interval"), Column("requests")]
    if found.figures:
        yield Table("How differently it ranks", plain, figure_rows(found))
    if found.candidate_ms is not None:
        columns = [Column("milliseconds", number=False), Column("p50"), Column("p95"), Column("p99")]
        yield Table("How long it takes", columns, latency_rows(found))
    rows = [[name, str(value)] for name, value in counted(found).items()]
    yield Table("What became of the champion's answers", [Column("what", number=False), Column("how many")], rows)
    yield from _worth_a_look(found)


def _tiles(found: CandidateSummary) -> Iterator[Tile]:
    counts = found.counts
    share = f"{counts.scored / counts.seen:.1%} of the champion's answers" if counts.seen else ""
    yield Tile(f"{counts.scored:,}", "requests scored", share)
    for key in ("rbo", "top1"):
        if key in found.figures:
            yield Tile(f"{found.figures[key].mean:.3f}", NAMES[key])
    if found.distance is not None:
        yield Tile(f"{found.distance:.3f}", "distance of scores (KS)")
    if found.failed is not None:
        yield Tile(f"{found.failed.mean:.2%}", "failed", f"{counts.failed:,} requests")
    if found.candidate_ms is not None:
        yield Tile(f"{found.candidate_ms.p95:.1f} ms", "p95 of scoring", "alone, at low priority")


def _plots(found: CandidateSummary) -> Iterator[Plot]:
    agreement = [
        (NAMES[key], figure.mean, _or(figure.low, figure.mean), _or(figure.high, figure.mean))
        for key in MEASURES
        if key not in _SHIFTS and (figure := found.figures.get(key)) is not None
    ]
    if agreement:
        svg = interval_plot(
            agreement,
            title=f"Agreement of {found.version} with the champion",
            description="Means over requests with their 95 % intervals; 1 is the same ranking.",
            x="mean over requests (1: the same ranking)",
            at=1.0,
        )
        yield Plot("Agreement", svg, "Bars are 95 % intervals; requests of one user count as dependent.")
    if found.taus is not None:
        svg = bar_plot(
            found.taus.edges,
            [("requests", "now", found.taus.candidate)],
            title="Kendall's tau by request",
            description="Shares of requests by how alike both rank them.",
            x="Kendall's tau-b of a request",
            y="share of requests",
        )
        yield Plot("Agreement by request", svg, "Right: ranked alike. Left: the other way round.")
    if found.scores is not None:
        svg = bar_plot(
            found.scores.edges,
            [("champion", "before", found.scores.champion), ("candidate", "now", found.scores.candidate)],
            title="Scores of champion and candidate",
            description="Shares of items by score, of both models, on the same items.",
            x="score",
            y="share of items",
        )
        yield Plot("Scores", svg, f"Of the same items, up to eight a request; {found.distance:.3f} apart (KS).")
    if found.timings:
        yield _speed(found)


def _speed(found: CandidateSummary) -> Plot:
    roles: dict[str, Role] = {"candidate_ms": "now", "candidate_cpu_ms": "second", "champion_ms": "before"}
    shares = [level / 100 for level in range(1, 100)]
    svg = curve_plot(
        [Line(found.timings[name], shares, label=TIMED[name], role=role) for name, role in roles.items()],
        title="How long scoring takes",
        description="Shares of requests that took no longer, of the candidate and of the champion's answers.",
        x="milliseconds",
        y="share of requests",
        x_range=(0.0, 1.2 * max(found.timings[name][94] for name in roles)),
        y_range=(0.0, 1.0),
    )
    return Plot("Speed", svg, "Scoring waits for other work of the machine, as it has a low priority.")


def _worth_a_look(found: CandidateSummary) -> Iterator[Block]:
    rows: list[list[str | Cell]] = []
    if found.errors:
        columns = [Column("kind", number=False), Column("requests"), Column("such as", number=False)]
        rows = [[e.kind, f"{e.count:,}", Cell(e.message, note=f"request {e.request_id}")] for e in found.errors]
        yield Table("What it did not score", columns, rows)
    if found.furthest:
        names = ("request", "items", "tau", "overlap", "furthest item", "score: champion → candidate", "rank")
        columns = [Column(name, number=at not in (0, 4)) for at, name in enumerate(names)]
        rows = [_request(each) for each in found.furthest]
        yield Table("Most different requests: orita explain REQUEST tells why the champion scored so", columns, rows)
    if found.items:
        columns = [Column("item", number=False), Column("furthest in"), Column("mean shift there")]
        rows = [[each.item, f"{each.requests:,}", f"{each.mean_shift:+.4f}"] for each in found.items]
        yield Table("Items whose scores are most often the furthest apart", columns, rows, folded=True)


def _request(found: FurthestRequest) -> list[str | Cell]:
    return [
        found.request_id,
        str(found.items),
        _dash(found.tau),
        _dash(found.rbo),
        found.item,
        f"{found.champion_score:.4f} → {found.candidate_score:.4f}",
        f"{found.champion_rank} → {found.candidate_rank}",
    ]


def _long(seconds: float) -> str:
    return f"{seconds:,.0f} seconds" if seconds < 300 else f"{seconds / 60:,.0f} minutes"


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
