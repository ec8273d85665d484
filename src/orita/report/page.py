"""What is on a page, and how it becomes one HTML file that loads nothing from elsewhere.

A page is sections, a section is blocks: tiles, plots, tables, sentences. Texts are given as they are and escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from orita.core.extras import require
from orita.core.files import atomic_file

__all__ = ["Block", "Cell", "Column", "Page", "Plot", "Section", "Table", "Text", "Tile", "Tiles", "write_page"]

Mood = Literal["good", "warn", "bad", "quiet"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure in large type: its value, its name, and what else there is to say in small type."""

    value: str
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Figures side by side."""

    kind: ClassVar[str] = "tiles"
    tiles: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing: SVG from `orita.report.plots`, what it is called, and what it says in one sentence."""

    kind: ClassVar[str] = "plot"
    caption: str
    svg: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers stand to the right."""

    name: str
    number: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with more than a text: a note in small type, or a mood that colours it as a badge."""

    text: str
    note: str = ""
    mood: Mood | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; with *folded*, behind a line that opens it."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Cell]]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


Block = Tiles | Plot | Table | Text


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; plots that follow one another stand side by side where there is room."""

    title: str
    blocks: Sequence[Block]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its title, lines under it, an optional badge beside it, and its sections."""

    title: str
    sections: Sequence[Section]
    lines: Sequence[str] = ()
    badge: Cell | None = None


def write_page(path: Path, page: Page) -> None:
    """Write *page* as one HTML file, wholly or not at all.

    Raises:
        MissingExtra: the library that fills in the template is not installed.
    """
    text = _render(page)
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _render(page: Page) -> str:
    jinja2 = require("jinja2", extra="train")
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    rendered: str = environment.get_template("page.html").render(page=page)
    return rendered
