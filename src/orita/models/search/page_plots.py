"""The plots of a search: its course, each key against the figure, and all keys of a trial beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from orita.models.search.binding import Parameter
from orita.models.search.space import label
from orita.models.search.trials import Trial
from orita.models.search.view import Search
from orita.report.svg import BEFORE, CARD, INK, NOW, SECOND, SOFT, draw_svg

__all__ = ["course_plot", "importance_plot", "parallel_plot", "slice_plot"]

_DOT = {"linestyle": "none", "marker": "o", "markersize": 4.5, "markeredgecolor": CARD, "markeredgewidth": 0.6}
_LONGEST_LABEL = 14


def course_plot(search: Search) -> str:
    """Return every complete trial by its number, the best so far as a line, and where trials were ended early."""
    complete = [trial for trial in search.trials if trial.value is not None]
    values = [float(trial.value or 0.0) for trial in complete]
    choose = max if search.larger_is_better else min
    best = [choose(values[: n + 1]) for n in range(len(values))]
    numbers = [trial.number for trial in complete]
    pruned = [trial.number for trial in search.trials if trial.state == "pruned"]

    def draw(axes: Any) -> None:
        axes.plot(numbers, values, color=NOW, label="complete", **_DOT)
        axes.plot(numbers, best, color=SECOND, drawstyle="steps-post", label="best so far")
        if pruned:
            lowest = min(values) if search.larger_is_better else max(values)
            axes.plot(pruned, [lowest] * len(pruned), color=BEFORE, linestyle="none", marker="x", label="ended early")
        axes.set(xlabel="trial", ylabel=search.metric)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="best", fontsize=8.5, handlelength=1.4)

    text = f"{search.metric} of {len(complete)} complete trials by number; the best so far ends at {best[-1]:.4f}."
    return draw_svg(draw, title="Course of the search", description=text)


def importance_plot(search: Search) -> str:
    """Return the share of each key, the largest on top."""
    ordered = sorted(search.importance.items(), key=lambda pair: -pair[1])

    def draw(axes: Any) -> None:
        places = list(range(len(ordered)))
        axes.barh(places, [share for _, share in ordered], color=NOW, alpha=0.85, height=0.6)
        axes.set_yticks(places, [key for key, _ in ordered], color=INK)
        axes.set(xlabel="share", xlim=(0, 1), ylim=(len(ordered) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)

    text = ", ".join(f"{key} {share:.2f}" for key, share in ordered)
    return draw_svg(draw, title="Importance", description=text, width=5.2, height=0.7 + 0.26 * max(len(ordered), 3))


def slice_plot(search: Search, parameter: Parameter) -> str:
    """Return the figure of every complete trial against its value of one key."""
    tried = [trial for trial in search.trials if trial.value is not None and parameter.key in trial.values]

    def draw(axes: Any) -> None:
        places = [_place(parameter, trial.values[parameter.key]) for trial in tried]
        axes.plot(places, [trial.value for trial in tried], color=NOW, alpha=0.75, **_DOT)
        if search.best is not None and search.best in tried:
            best = search.best
            axes.plot([_place(parameter, best.values[parameter.key])], [best.value], color=SECOND, **_DOT)
        axes.set(xlabel=parameter.key, ylabel=search.metric)
        if parameter.kind == "choice":
            axes.set_xticks(range(len(parameter.choices)), [_short(one) for one in parameter.labels])
            axes.set_xlim(-0.5, len(parameter.choices) - 0.5)
        elif parameter.log:
            axes.set_xscale("log")

    text = f"{search.metric} of {len(tried)} trials against {parameter.key}; the best trial stands out."
    return draw_svg(draw, title=parameter.key, description=text)


def parallel_plot(search: Search, parameters: Sequence[Parameter], trials: Sequence[Trial]) -> str:
    """Return one line a trial through its value of every key and its figure; the best lines are the strongest."""
    values = [float(trial.value or 0.0) for trial in trials]
    low, high = min(values), max(values)

    def draw(axes: Any) -> None:
        for trial, value in reversed(list(zip(trials, values, strict=True))):
            heights = [_height(parameter, trial.values[parameter.key]) for parameter in parameters]
            share = 1.0 if high == low else (value - low) / (high - low)
            best = trial is trials[0]
            axes.plot(
                range(len(parameters) + 1),
                [*heights, share],
                color=SECOND if best else NOW,
                linewidth=2.2 if best else 1.0,
                alpha=1.0 if best else 0.45,
            )
        names = [parameter.key.rpartition(".")[2] for parameter in parameters]
        axes.set_xticks(range(len(parameters) + 1), [*names, search.metric], color=INK, rotation=20, ha="right")
        axes.set_yticks([])
        axes.set(ylim=(-0.1, 1.12))
        for place, parameter in enumerate(parameters):
            _mark_ends(axes, place, _ends(parameter))
        _mark_ends(axes, len(parameters), (f"{low:.4f}", f"{high:.4f}"))

    text = f"{len(trials)} trials, each a line through its values of {', '.join(p.key for p in parameters)}."
    return draw_svg(draw, title="Values of each trial", description=text, width=8.4, height=3.4)


def _mark_ends(axes: Any, place: int, ends: tuple[str, str]) -> None:
    for text, height, align in ((ends[0], -0.04, "top"), (ends[1], 1.04, "bottom")):
        axes.text(place, height, text, ha="center", va=align, fontsize=7.5, color=SOFT)


def _ends(parameter: Parameter) -> tuple[str, str]:
    if parameter.kind == "choice":
        return _short(parameter.labels[0]), _short(parameter.labels[-1])
    return f"{parameter.low:.4g}", f"{parameter.high:.4g}"


def _place(parameter: Parameter, value: Any) -> float:
    return float(parameter.labels.index(label(value))) if parameter.kind == "choice" else float(value)


def _height(parameter: Parameter, value: Any) -> float:
    """Return where a value stands between the ends of its key, 0 … 1."""
    if parameter.kind == "choice":
        return parameter.labels.index(label(value)) / (len(parameter.choices) - 1)
    if parameter.log:
        return math.log(value / parameter.low) / math.log(parameter.high / parameter.low)
    return float((value - parameter.low) / (parameter.high - parameter.low))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"
