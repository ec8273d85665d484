"""Pages that stand alone in one HTML file: what is on them, how it is drawn, how it is written."""

from __future__ import annotations

from orita.report.page import Block, Cell, Column, Page, Plot, Section, Table, Text, Tile, Tiles, write_page
from orita.report.plots import Band, Line, bar_plot, curve_plot, interval_plot

__all__ = [
    "Band",
    "Block",
    "Cell",
    "Column",
    "Line",
    "Page",
    "Plot",
    "Section",
    "Table",
    "Text",
    "Tile",
    "Tiles",
    "bar_plot",
    "curve_plot",
    "interval_plot",
    "write_page",
]
