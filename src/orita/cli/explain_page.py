"""The explanation of a request as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orita.cli.explain import about, made_of, title, values
from orita.report import Block, Column, Page, Plot, Section, Table, Text, Tile, Tiles, interval_plot, write_page

__all__ = ["write_explanation_page"]

_PLOTTED = 20
_WITHIN = 1.96  # standard errors either side


def write_explanation_page(path: Path, found: Mapping[str, Any]) -> None:
    """Write what `orita.explain.explain_request` tells as a page.

    Raises:
        MissingExtra: the libraries that draw and fill in the page are not installed.
    """
    request, version, answered, held = list(about(found))[:4]
    tiles = Tiles(
        [
            Tile(found["model_version"], "answered", found["model_type"]),
            Tile(f"{found['rows']:,}", "items asked"),
            Tile(f"{found['latency_ms']:.1f} ms", "inside the server"),
            Tile(f"{found['baseline']:.4f}", "mean score of the reference rows", found["method"]["reference"]),
        ]
    )
    note = [Text(f"Features are not traced to events: {found['no_lineage']}")] if found["no_lineage"] else []
    sections = [Section("The request", [tiles, *note])]
    sections += [Section(title(found, item).capitalize(), list(_blocks(item))) for item in found["items"]]
    write_page(path, Page(f"Why: request {found['request_id']}", sections, lines=[request, version, answered, held]))


def _blocks(item: Mapping[str, Any]) -> Iterator[Block]:
    features = item["features"]
    svg = interval_plot(
        [
            (
                f["feature"],
                f["contribution"],
                f["contribution"] - _WITHIN * f["error"],
                f["contribution"] + _WITHIN * f["error"],
            )
            for f in features[:_PLOTTED]
        ],
        title=f"What moved the score of item {item['item_id']}",
        description="Of each feature by how much it moved the score, with its 95 % interval.",
        x="moved the score by",
        at=0.0,
    )
    yield Plot("What moved the score", svg, "Shapley values; bars are 95 % intervals of the estimate.")
    columns = [Column("feature", number=False), Column("was"), Column("moved by"), Column("±")]
    rows = [[f["feature"], values(f), f"{f['contribution']:+.5f}", f"{f['error']:.5f}"] for f in features]
    yield Table("Features", columns, rows)
    traced = [
        [f["feature"], f["lineage"]["declared"], made_of(f), "; ".join(f["lineage"]["unknown"])]
        for f in features
        if f["lineage"] is not None
    ]
    if traced:
        told = ("feature", "declared", "made of", "not told")
        yield Table("Where they came from", [Column(name, number=False) for name in told], traced)
    events = list(_latest(features))
    if events:
        told = ("table", "keys", "events", "latest of them")
        yield Table("Events behind them", [Column(name, number=False) for name in told], events, folded=True)


def _latest(features: list[Mapping[str, Any]]) -> Iterator[list[str]]:
    """Yield every set of events once, with the latest few."""
    seen: set[tuple[str, ...]] = set()
    for feature in features:
        for events in feature["lineage"]["events"] if feature["lineage"] else ():
            by = ", ".join(f"{name} {value}" for name, value in events["by"].items())
            which = (events["source"], by, events["window"], events["filter"])
            if which in seen:
                continue
            seen.add(which)
            latest = "; ".join(", ".join(f"{n} {v}" for n, v in event.items()) for event in events["latest"])
            within = " ".join(part for part in (f"{events['count']:,}", events["window"], events["filter"]) if part)
            yield [events["source"], by or "all", within, latest]
