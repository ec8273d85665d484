"""How an evaluation is shown beyond its figures: newcomers apart, and each head of a model that has several."""

from __future__ import annotations

from typing import Any

import typer

from orita.cli.console import table

__all__ = ["show_cold_start", "show_heads", "shown"]

_OF_HEADS = ("promised", "observed", "auc", "calibration_error", "explained")


def show_cold_start(slices: list[dict[str, Any]]) -> None:
    """Print a table of the rows by what training held of user and item; nothing where no figure of it was taken."""
    parts = [each for each in slices if each["name"] == "cold start" and each["rows"]]
    names = [name for name in ("auc", "log_loss") if parts and name in parts[0]["metrics"]]
    if not names:
        return
    rows = [[each["value"], f"{each['rows']:,}", *(_with_interval(each, name) for name in names)] for each in parts]
    typer.echo()
    table("Cold start: what the training rows held of user and item", ["rows where", "rows", *names], rows)


def _with_interval(each: dict[str, Any], name: str) -> str:
    ends = each["intervals"].get(name)
    between = f" ({ends[0]:.4f} to {ends[1]:.4f})" if ends else ""
    return f"{shown(each['metrics'][name])}{between}"


def show_heads(found: dict[str, Any]) -> None:
    """Print a table of heads: what the score weighs them by, and how good each is."""
    rows = [
        [head["name"], f"{found['objective'].get(head['name'], 0):g}", *(shown(head[name]) for name in _OF_HEADS)]
        for head in found["heads"]
    ]
    table("Heads, which the score weighs", ["head", "weight", *_OF_HEADS], rows)


def shown(value: float | None) -> str:
    """Return a figure in four decimals; nothing where there is none."""
    return "" if value is None else f"{value:.4f}"
