"""Watching rollouts: on a terminal how they stand, drawn anew each second; elsewhere a line where something changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from time import sleep
from typing import TYPE_CHECKING

import msgspec
import typer

from orita.cli.console import figure_lines, on_terminal, print_json, redrawn
from orita.cli.rollout_tables import NO_CONTROLLER, NO_ROLLOUT, figures_of_standing, in_words

if TYPE_CHECKING:
    from orita.core.home import Home
    from orita.delivery.rollouts.standing import Standing

__all__ = ["watch_rollouts"]

_SECONDS = 1.0

Look = Callable[[Collection[str]], list["Standing"]]
"""Tells how rollouts stand: those under way, and those of the given ids that ended meanwhile."""


def watch_rollouts(look: Look, home: Home, *, as_json: bool) -> None:
    """Show how rollouts of *home* stand until none is under way; as JSON all of them, a line where one changed."""
    if as_json or not on_terminal():
        _tell_changes(look, as_json=as_json)
        return
    with redrawn() as draw:
        for told in _looks(look):
            lines = [line for each in told for line in (*figure_lines(figures_of_standing(each, home)), "")]
            draw(lines[:-1] or [NO_ROLLOUT])


def _looks(look: Look) -> Iterator[list[Standing]]:
    """Yield how rollouts stand, a second apart; one that was seen is told to its end."""
    seen: set[str] = set()
    while True:
        told = look(seen)
        yield told
        if all(each.ended_at is not None for each in told):
            return
        seen |= {each.id for each in told}
        sleep(_SECONDS)


def _tell_changes(look: Look, *, as_json: bool) -> None:
    before: dict[str, tuple[object, ...]] = {}
    for told in _looks(look):
        changed = [each for each in told if before.get(each.id) != _what_counts(each)]
        if as_json and (changed or not told):
            print_json({"rollouts": msgspec.to_builtins(told)})
        elif not as_json:
            for each in changed:
                typer.echo(_line(each))
            if not told:
                typer.echo(NO_ROLLOUT)
        sys.stdout.flush()
        before = {each.id: _what_counts(each) for each in told}


def _what_counts(told: Standing) -> tuple[object, ...]:
    """Return what is a change: not the figures of each look, nor what is missing by then."""
    trouble = None if told.trouble is None else told.trouble.since
    return told.state, told.step, told.shares, told.verdict, told.controller, trouble, told.acknowledged


def _line(told: Standing) -> str:
    state = told.state if told.steps == 1 else f"{told.state}, step {told.step} of {told.steps}"
    parts = [f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", told.system, ", ".join(told.versions), in_words(state)]
    if told.ended_at is not None:
        parts += [told.why] if told.why else []
    elif told.strategy == "shadow":
        parts.append(f"{told.plan.mirrored:g} % of requests are mirrored")
    else:
        parts.append(" ".join(f"{version} {share:g} %" for version, share in told.shares.items()))
        parts.append(": ".join(filter(None, (in_words(told.verdict), told.why))))
        parts += [] if told.controller else [NO_CONTROLLER]
        parts += [] if told.trouble is None else [f"trouble: {told.trouble.what}"]
    return "  ".join(parts)
