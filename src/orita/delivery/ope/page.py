"""An off-policy evaluation as one HTML page: the verdict, values and gains with their intervals, what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from orita.delivery.ope.diagnostics import Diagnostics, Verdict
from orita.delivery.ope.estimate import Estimate
from orita.delivery.ope.evaluation import PolicyEvaluation
from orita.report import Cell, Column, Page, Plot, Section, Table, Text, Tile, Tiles, interval_plot, write_page

__all__ = ["write_evaluation_page"]

_NAMES = {
    "ips": "IPS",
    "clipped_ips": "clipped IPS",
    "snips": "self-normalised IPS",
    "dm": "direct method",
    "dr": "doubly robust",
    "switch_dr": "switch-DR",
    "blended_dr": "blended DR",
    "slate_ips": "whole slates",
    "self_normalised_slate_ips": "whole slates, self-normalised",
    "independent_ips": "independent positions",
    "self_normalised_independent_ips": "independent, self-normalised",
    "reward_interaction_ips": "reward interaction",
    "self_normalised_reward_interaction_ips": "interaction, self-normalised",
    "cascade_dm": "cascade direct method",
    "cascade_dr": "cascade DR",
    "blended_cascade_dr": "blended cascade DR",
}


def write_evaluation_page(
    path: Path,
    title: str,
    verdict: Verdict,
    found: PolicyEvaluation | None,
    *,
    lines: Sequence[str] = (),
    notes: Iterable[str] = (),
) -> None:
    """Write what a log tells of a policy: values only where they are enough to decide by.

    Args:
        path: of the HTML file.
        title: of the page.
        verdict: whether it is enough.
        found: values and diagnostics; None: nothing could be weighed.
        lines: under the title.
        notes: what a reader must know, a sentence each.

    Raises:
        MissingExtra: the libraries that draw and fill in the page are not installed.
    """
    enough = "Enough to decide by." if verdict.enough else "Not enough to decide by, so no value is shown."
    told = [Text(enough), *(Text(f"{reason[:1].upper()}{reason[1:]}.") for reason in verdict.reasons)]
    sections = [Section("Verdict", told)]
    if found is not None:
        shown = [_values(found), _gains(found)] if verdict.enough else []
        sections += [*shown, _support(found.diagnostics)]
    sections.append(Section("What it can say", [Text(note) for note in notes]))
    badge = Cell("enough", mood="good") if verdict.enough else Cell("not enough", mood="warn")
    write_page(path, Page(title, [section for section in sections if section.blocks], lines, badge))


def _values(found: PolicyEvaluation) -> Section:
    shown = [("as logged", found.logged), *((_NAMES[each.estimator], each) for each in found.estimates)]
    plot = interval_plot(
        [_bar(name, each) for name, each in shown],
        title="Value of the policy by each estimator",
        description="Of each estimator the value and its interval, beside what was earned as logged.",
        x="value",
        at=found.logged.value,
    )
    share = f"{found.logged.confidence:.0%}"
    text = f"Bars are {share} intervals; the line is what was earned as logged. An estimate without a bar has none."
    return Section("Values", [Plot("What the policy would have earned", plot, text), _table(shown, share)])


def _gains(found: PolicyEvaluation) -> Section:
    shown = [(_NAMES[each.estimator], each) for each in found.gains]
    plot = interval_plot(
        [_bar(name, each) for name, each in shown],
        title="Gain over what was logged",
        description="Of each estimator the gain and its interval.",
        x="gain",
        at=0.0,
    )
    share = f"{found.logged.confidence:.0%}"
    return Section("Gains", [Plot("More than was earned as logged", plot, f"{share} intervals."), _table(shown, share)])


def _table(shown: Sequence[tuple[str, Estimate]], share: str) -> Table:
    columns = [Column("estimator", number=False), Column("value"), Column(f"{share} interval"), Column("rows worth")]
    rows = [[name, f"{each.value:.5f}", _ends(each), f"{each.effective_sample_size:,.0f}"] for name, each in shown]
    return Table("In figures", columns, rows, folded=True)


def _support(found: Diagnostics) -> Section:
    tiles = [
        Tile(f"{found.rows:,}", "decisions", f"of {found.units:,} users or units"),
        Tile(f"{found.effective_sample_size:,.0f}", "worth of the policy", "effective sample size"),
        Tile(f"{found.mean_weight:.3f}", "mean weight", "1 where nothing is missing"),
        Tile(f"{found.largest_unit_share:.1%}", "of the weight", "held by one unit at most"),
    ]
    if found.unsupported_share is not None:
        tiles.append(Tile(f"{found.unsupported_share:.1%}", "never logged", "of what the policy does"))
    return Section("Support", [Tiles(tiles)])


def _bar(name: str, found: Estimate) -> tuple[str, float, float, float]:
    if np.isfinite(found.low) and np.isfinite(found.high):
        return name, found.value, found.low, found.high
    return name, found.value, found.value, found.value


def _ends(found: Estimate) -> str:
    return f"{found.low:.5f} … {found.high:.5f}" if np.isfinite(found.low) else "unknown"
