"""A page stands alone in one file: nothing is loaded, every text is escaped, equal pages are equal files."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from orita.report import (
    Band,
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

pytest.importorskip("matplotlib", reason="Matplotlib is not installed")
pytest.importorskip("jinja2", reason="Jinja2 is not installed")

HOSTILE = '<script>alert("1")</script> & $x^2$ \\frac'


class Reader(HTMLParser):
    """Collects tags, ids, references and texts, and checks that tags are closed in order."""

    VOID = frozenset({"meta", "br", "link", "path", "use", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that holds nothing."""
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        """Check the order of ends."""
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)

    @property
    def ids(self) -> list[str]:
        """Every id, as often as it is given."""
        return [value or "" for name, value in self.attributes if name == "id"]


def plots(text: str) -> list[Block]:
    """Return one plot of each kind, all with the same texts."""
    line = Line([0, 1, 2], [0, 1, 0], text, points=True, band=Band([0, 0, 0], [1, 2, 1]))
    curves = curve_plot(
        [Line([0, 2], [0, 1], dashed=True, role="soft"), line, line], title=text, description=text, x=text, y=text
    )
    bars = bar_plot(
        [0, 1, 2], [(text, "before", [1, 2]), (text, "now", [2, 1])], title=text, description=text, x=text, y=text
    )
    intervals = interval_plot(
        [(text, 1.0, 0.5, 1.5), ("b", 0.0, -1.0, 0.2)], title=text, description=text, x=text, at=0.0
    )
    return [Plot(text, svg, text) for svg in (curves, bars, intervals)]


def page(text: str) -> Page:
    """Return a page that has everything, with *text* everywhere."""
    table = Table(text, [Column(text, number=False), Column("n")], [[text, Cell("1", text, "bad")], ["b", "2"]])
    folded = Table(text, [Column(text)], [[text]], folded=True)
    blocks: list[Block] = [Tiles([Tile(text, text, text), Tile("1", "one")]), table, folded, Text(text)]
    sections = [Section(text, [*blocks, *plots(text)], text), Section("again", plots(f"{text} again"))]
    return Page(text, [*sections, Section("c", []), Section("d", [])], [text], Cell(text, mood="good"))


def test_a_page_loads_nothing_and_is_well_formed(tmp_path: Path) -> None:
    """No script, no link, no address; tags close in order, ids are unique, references have their target."""
    write_page(tmp_path / "deep" / "page.html", page("plain"))
    text = (tmp_path / "deep" / "page.html").read_text()
    read = Reader(text)
    assert not read.open
    assert not set(read.tags) & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not re.search(r"https?:|//\w|@import", text)
    assert [tag for tag, count in Counter(read.ids).items() if count > 1] == []
    referred = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert {a or b for a, b in referred} <= set(read.ids)
    assert "default-src 'none'" in text
    assert text.count("<h2>") == 4


def test_every_plot_can_be_read_aloud(tmp_path: Path) -> None:
    """Each drawing is one image with a title and a description, and takes its colours from the page."""
    write_page(tmp_path / "page.html", page("plain"))
    text = (tmp_path / "page.html").read_text()
    read = Reader(text)
    assert read.tags["svg"] == 6
    labels = [value for name, value in read.attributes if name == "aria-labelledby"]
    assert len(labels) == 6
    for label in labels:
        assert label is not None
        assert set(label.split()) <= set(read.ids)
    assert text.count('role="img"') == 6
    assert "#0102" not in text
    assert "var(--now)" in text
    assert "prefers-color-scheme:dark" in text


def test_no_text_becomes_markup(tmp_path: Path) -> None:
    """A name with tags, an ampersand, a dollar or a backslash is shown as it is, on the page and in drawings."""
    write_page(tmp_path / "page.html", page(HOSTILE))
    read = Reader((tmp_path / "page.html").read_text())
    assert not read.open
    assert "script" not in read.tags
    shown = "\n".join(read.texts)
    assert shown.count(HOSTILE) > 20


def test_equal_pages_are_equal_files(tmp_path: Path) -> None:
    """Nothing in a file depends on when it was written."""
    for name in ("a", "b"):
        write_page(tmp_path / name, page("plain"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
