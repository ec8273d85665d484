"""What a person or a program sees: tables and progress on a terminal, JSON where it was asked for."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orita.core.progress import Bar

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

__all__ = ["Screen", "figure_lines", "figures", "on_terminal", "print_json", "redrawn", "table"]

_WORTH_A_LINE = 1.0
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # is copied, so it is never cut in two
_WHOLE, _SHORT = 32, 12  # of a name in the first column: what is kept whole if other words can be, and if they cannot


class _RichBar:
    def __init__(self, progress: RichProgress, task: Any) -> None:
        self._progress = progress
        self._task = task

    def advance(self, by: float = 1.0) -> None:
        self._progress.update(self._task, advance=by)

    def describe(self, text: str) -> None:
        self._progress.update(self._task, note=text)


class _PlainBar:
    def __init__(self) -> None:
        self.note = ""

    def advance(self, by: float = 1.0) -> None:
        pass

    def describe(self, text: str) -> None:
        self.note = text


class Screen:
    """Draws progress on standard error: bars on a terminal, a line for each long step elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True)
        self._quiet = quiet

    @contextmanager
    def bar(self, title: str, total: float | None = None) -> Iterator[Bar]:
        """Open a bar; see `orita.core.progress.Progress`."""
        begun = time.monotonic()
        if self.console.is_terminal and not self._quiet:
            with _progress(self.console) as progress:
                yield _RichBar(progress, progress.add_task(title, total=total, note=""))
        else:
            plain = _PlainBar()
            yield plain
        seconds = time.monotonic() - begun
        if seconds >= _WORTH_A_LINE and not self._quiet:
            self.console.print(f"[green]✓[/] {title} [dim]{seconds:.1f} s[/]", highlight=False)

    def line(self, text: str) -> None:
        """Print a line on standard error, above the bar where there is one."""
        if not self._quiet:
            self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def say(self, text: str) -> None:
        """Print a line on standard error where there are no bars to tell it."""
        if not self._quiet and not self.console.is_terminal:
            self.console.print(text, highlight=False, soft_wrap=True)


def _progress(console: Console) -> RichProgress:
    from rich import progress  # commands without a bar start sooner

    return progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=30),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("[dim]{task.fields[note]}"),
        console=console,
        transient=True,
    )


def print_json(value: object) -> None:
    """Print one JSON value, a line, on standard output."""
    sys.stdout.write(json.dumps(value, default=str, ensure_ascii=False) + "\n")


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table on standard output; where it is too wide lines break between words, and names do not break."""
    drawn = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    console = Console()
    for column, width in zip(columns, _widths(columns, rows, console.width), strict=True):
        drawn.add_column(column, overflow="fold", width=width)
    for row in rows:
        drawn.add_row(*row)
    console.print(drawn)


def _widths(columns: list[str], rows: list[list[str]], room: int) -> list[int]:
    """Return the width of each column: of all it holds, or less, and then no word breaks, or only the longest do."""
    cells = [[Text.from_markup(cell).plain for cell in line] for line in (columns, *rows)]
    widths = [max(cell_len(line[n]) for line in cells) for n in range(len(columns))]
    least = [max(cell_len(word) for line in cells for word in line[n].split() or [""]) for n in range(len(columns))]
    least[:1] = [min(widths[0], max(least[0], _WHOLE))] if least else []
    room -= 2 * (len(columns) - 1)  # spaces between columns
    if sum(least) > room:
        first = least[0] if any(_ID.fullmatch(line[0]) for line in cells) else min(least[0], _SHORT)
        widths, least = least, [first, *[1] * (len(columns) - 1)]
    while sum(widths) > max(room, sum(least)):  # the widest of those that can give a place does
        widest = max((n for n in range(len(columns)) if widths[n] > least[n]), key=lambda n: widths[n])
        widths[widest] -= 1
    return widths


def figures(pairs: Mapping[str, object]) -> None:
    """Print names and values, a line each, on standard output."""
    console = Console()
    for line in figure_lines(pairs):
        console.print(line, highlight=False, soft_wrap=True)


def figure_lines(pairs: Mapping[str, object]) -> list[str]:
    """Return names and values as markup, a line each, values below one another."""
    width = max(len(name) for name in pairs) if pairs else 0
    return [f"[dim]{name:<{width}}[/]  {value}" for name, value in pairs.items()]


def on_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return Console().is_terminal


@contextmanager
def redrawn() -> Iterator[Callable[[list[str]], None]]:
    """Yield what draws lines of markup on the terminal in place of those before; the last stay."""
    from rich.live import Live  # commands that draw once start sooner

    with Live(console=Console(), auto_refresh=False) as live:
        yield lambda lines: live.update(Text.from_markup("\n".join(lines)), refresh=True)
