"""A search as a page for people: its course, what mattered, each key, and the best trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orita.models.search.binding import Parameter
from orita.models.search.page_plots import course_plot, importance_plot, parallel_plot, slice_plot
from orita.models.search.space import label
from orita.models.search.trials import Trial
from orita.models.search.view import ENOUGH_FOR_IMPORTANCE, Search
from orita.report import Block, Cell, Column, Page, Plot, Section, Table, Text, Tile, Tiles, write_page

__all__ = ["write_search_page"]

_BEST, _LINES = 20, 100
_MOOD = {"complete": "good", "pruned": "quiet", "failed": "bad", "running": "quiet"}


def write_search_page(path: Path, search: Search) -> None:
    """Write *search* as one HTML file.

    Raises:
        MissingExtra: what draws plots is not installed.
    """
    kept = search.about
    lines = [
        f"By {search.metric} on {_rows(search)} of training set {kept['training set']}, sampler {kept['sampler']}.",
        search.caution,
    ]
    sections = [Section("Where it stands", [_tiles(search)])]
    if search.best is not None:
        sections += [
            Section("Course", [Plot("Figures by trial", course_plot(search))]),
            _importance(search),
            Section(
                "Each key", [_slice(search, parameter) for parameter in search.parameters if _tried(search, parameter)]
            ),
            *_parallel(search),
            Section("Best trials", [_table(f"The best {_BEST}", search.ranked()[:_BEST], search)]),
        ]
    sections.append(Section("All trials", [_table("Every trial", search.trials, search, folded=True)]))
    write_page(path, Page(f"Search {search.name}", sections, lines))


def _rows(search: Search) -> str:
    folds = search.about["folds"]
    return f"{folds} folds, in the order of time, of the training and validation rows" if folds else "validation rows"


def _tiles(search: Search) -> Tiles:
    best, counts = search.best, search.counts
    seconds = sum(trial.seconds or 0.0 for trial in search.trials)
    tiles = [Tile(f"{counts.get('complete', 0)}", "complete trials", f"of {search.planned} planned")]
    tiles += [Tile(str(counts[state]), f"{state} trials") for state in ("pruned", "failed") if state in counts]
    if best is not None and best.value is not None:
        note = f"users resampled: {best.interval[0]:.4f} to {best.interval[1]:.4f}" if best.interval else ""
        tiles.insert(0, Tile(f"{best.value:.4f}", f"best {search.metric}, trial {best.number}", note))
    if search.corrected is not None:
        tiles.insert(1, Tile(f"{search.corrected:.4f}", "without luck of the choice", search.apart))
    return Tiles([*tiles, Tile(f"{seconds / 60:.1f} min", "of work")])


def _importance(search: Search) -> Section:
    text = "How much the choice of a value decides whether a trial is among the best tenth (PED-ANOVA)."
    if not search.importance:
        return Section("What mattered", [Text(f"It is told from {ENOUGH_FOR_IMPORTANCE} complete trials on.")], text)
    return Section("What mattered", [Plot("Importance", importance_plot(search))], text)


def _slice(search: Search, parameter: Parameter) -> Block:
    when = " and ".join(f"{key} is {' or '.join(map(label, wanted))}" for key, wanted in parameter.when.items())
    return Plot(parameter.key, slice_plot(search, parameter), f"Tried when {when}." if when else "")


def _tried(search: Search, parameter: Parameter) -> bool:
    return any(parameter.key in trial.values for trial in search.ranked())


def _parallel(search: Search) -> list[Section]:
    """Return a plot for each set of keys that trials had: conditions make trials differ in what they have."""
    by_keys: dict[tuple[str, ...], list[Trial]] = {}
    for trial in search.ranked():
        by_keys.setdefault(tuple(trial.values), []).append(trial)
    blocks: list[Block] = []
    for keys, trials in by_keys.items():
        parameters = [parameter for parameter in search.parameters if parameter.key in keys]
        if len(parameters) > 1 and len(trials) > 1:
            shown = trials[:_LINES]
            blocks.append(Plot(f"{len(shown)} trials", parallel_plot(search, parameters, shown)))
    text = "A line is a trial; the strong one is the best of those that have these keys."
    return [Section("Keys together", blocks, text)] if blocks else []


def _table(caption: str, trials: Sequence[Trial], search: Search, *, folded: bool = False) -> Table:
    keys = [parameter.key for parameter in search.parameters]
    columns = [Column("trial"), Column("state", number=False), Column(search.metric), Column("interval"), Column("s")]
    rows: list[list[str | Cell]] = [
        [
            str(trial.number),
            Cell(trial.state, trial.error, _mood(trial)),
            "" if trial.value is None else f"{trial.value:.4f}",
            f"{trial.interval[0]:.4f} – {trial.interval[1]:.4f}" if trial.interval else "",
            "" if trial.seconds is None else f"{trial.seconds:.1f}",
            *(_shown(trial.values.get(key)) for key in keys),
        ]
        for trial in trials
    ]
    return Table(caption, [*columns, *(Column(key, number=False) for key in keys)], rows, folded)


def _mood(trial: Trial) -> Any:
    return _MOOD.get(trial.state, "warn")


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else label(value)
