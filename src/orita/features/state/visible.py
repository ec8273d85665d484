"""Which pieces of the past a window shows as of a time, and when that changes without any event.

Legend: R pieces of one lane, cell after cell and by time and id in each; K keys.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.features.declaring.windows import Window
from orita.features.state.ordering import lengths, segments

__all__ = ["begins", "changes_next", "latest_of_cell", "visible"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


def begins(window: Window, at_R: Integers) -> Floats:
    """Return the beginning of *window* as of each time; −inf where time alone sets none."""
    now_R = at_R - window.delay
    match window.kind:
        case "sliding":
            begin_R = now_R - window.width
            return (begin_R // window.hop * window.hop if window.hop else begin_R).astype(np.float64)
        case "tumbling":
            return (now_R // window.width * window.width).astype(np.float64)
        case _:
            return np.full(len(at_R), -np.inf)


def visible(window: Window, cell_R: Integers, time_R: Floats, at_R: Integers) -> Integers:
    """Return the positions of the pieces that *window* shows, in order.

    Args:
        window: which.
        cell_R: the cell of each piece, never decreasing.
        time_R: its time; of a tile, when it begins, −inf where it is all time.
        at_R: the time as of which its key is read.
    """
    shown_R = (time_R < at_R - window.delay) & (time_R >= begins(window, at_R))
    shown_V = np.flatnonzero(shown_R)
    if window.kind == "session" and len(shown_V):
        shown_V = _open(window, cell_R[shown_V], time_R[shown_V], at_R[shown_V], shown_V)
    if window.cap:
        shown_V = shown_V[latest_of_cell(cell_R[shown_V]) < window.cap]
    return shown_V


def changes_next(
    window: Window, tile: int | None, key_R: Integers, cell_R: Integers, time_R: Floats, shown_V: Integers,
    at_K: Integers,
) -> Floats:  # fmt: skip
    """Return the first time after *at_K* at which *window* may show other pieces than *shown_V*, [K]; +inf: never.

    Args:
        window: which.
        tile: length of a lane's pieces, as in `Window.tile`.
        key_R, cell_R, time_R: of each piece.
        shown_V: those that it shows as of *at_K*.
        at_K: the time as of which each key was read.
    """
    next_K = np.full(len(at_K), np.inf)
    waiting_R = time_R >= at_K[key_R] - window.delay
    np.minimum.at(next_K, key_R[waiting_R], time_R[waiting_R] + window.delay + 1)
    match window.kind:
        case "lifetime":
            return next_K
        case "session":  # it closes after its last event
            shown_V = shown_V[latest_of_cell(cell_R[shown_V]) == 0]
            leave_V = time_R[shown_V] + window.width
        case "sliding" if not tile:
            leave_V = time_R[shown_V] + window.width + 1
        case _:
            assert tile
            reach = tile + (window.width if window.kind == "sliding" else 0)
            leave_V = time_R[shown_V] // tile * tile + reach
    np.minimum.at(next_K, key_R[shown_V], leave_V + window.delay)
    return next_K


def latest_of_cell(cell_V: Integers) -> Integers:
    """Return how many members of the same cell come after each."""
    start_C = segments(cell_V)
    size_C = lengths(start_C, len(cell_V))
    return np.asarray(np.repeat(start_C + size_C, size_C) - 1 - np.arange(len(cell_V)))


def _open(window: Window, cell_V: Integers, time_V: Floats, at_V: Integers, shown_V: Integers) -> Integers:
    """Return those of *shown_V* that belong to a session which is open."""
    start_C = segments(cell_V)
    pause_V = np.ones(len(cell_V), np.bool_)
    pause_V[1:] = (cell_V[1:] != cell_V[:-1]) | (time_V[1:] - time_V[:-1] >= window.width)
    begun_C = np.maximum.reduceat(np.where(pause_V, np.arange(len(cell_V)), -1), start_C)
    size_C = lengths(start_C, len(cell_V))
    open_C = at_V[start_C] - window.delay - time_V[start_C + size_C - 1] < window.width
    inside_V = (np.arange(len(cell_V)) >= np.repeat(begun_C, size_C)) & np.repeat(open_C, size_C)
    return np.asarray(shown_V[inside_V])
