"""The lineage of a model as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orita.cli.lineage_words import Branch, lineage_branch
from orita.report import Column, Page, Section, Table, Text, Tile, Tiles, write_page

__all__ = ["write_lineage_page"]


def write_lineage_page(path: Path, told: Mapping[str, Any]) -> None:
    """Write what `orita.pipelines.model_lineage.lineage_of_version` tells as a page.

    Raises:
        MissingExtra: the library that fills in the page is not installed.
    """
    tree, to = lineage_branch(told), told["to"]
    parts = told["from"]["training_set"].get("parts", {})
    back = to["feedback"] or {"rows": 0}
    tiles = Tiles(
        [
            Tile(f"{sum(part['rows'] for part in parts.values()):,}", "rows in its training set"),
            Tile(f"{len(told['from']['features']):,}", "features"),
            Tile(f"{to['predictions']['rows']:,}", "predictions", f"{to['predictions']['requests']:,} requests"),
            Tile(f"{back['rows']:,}", "events of feedback"),
        ]
    )
    sections = [Section("At a glance", [tiles])]
    sections += [Section(branch.text.capitalize(), list(_blocks(branch))) for branch in tree.branches]
    model = told["model"]
    write_page(path, Page(f"Lineage of {model['system']} {model['version']}", sections, lines=[tree.text]))


def _blocks(branch: Branch) -> Iterator[Text | Table]:
    """Yield a paragraph for a line that has none below it, a table for one that has."""
    for each in branch.branches:
        if not each.branches:
            yield Text(each.text)
        else:
            yield Table(each.text, [Column("", number=False)], [[line] for line in _lines(each)])


def _lines(branch: Branch, depth: int = 0) -> Iterator[str]:
    for each in branch.branches:
        yield "\u2003" * depth + each.text
        yield from _lines(each, depth + 1)
