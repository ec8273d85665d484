"""The command about how good models are for users: performance."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.opening import project_of
from orita.cli.times import time_of

if TYPE_CHECKING:
    from orita.monitoring.config import PerformanceConfig
    from orita.monitoring.feedback import Attribution, Unanswered

__all__: list[str] = []

_MOST_LINES = 60


@app.command()
def performance(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(help="Predictions from this time on, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Predictions before this time.")] = None,
    every: Annotated[str | None, typer.Option(help="Figures of each slice of time, such as 1h or 1d.")] = None,
    by: Annotated[
        str | None, typer.Option(help="Figures of each segment: a column of the log, or features.NAME.")
    ] = None,
    within: Annotated[
        str | None, typer.Option(help="An answer counts for so long after its prediction, such as 24h.")
    ] = None,
    delay: Annotated[str | None, typer.Option(help="And may become known so much later.")] = None,
    unanswered: Annotated[
        Literal["unknown", "no_click"] | None,
        typer.Option(
            help="What a prediction is that got no answer within that time: not known to be seen, or refused."
        ),
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="Only what was known at this time; by default now.")] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Also what is expected of each slice before its labels are there.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what was served from what users did: AUC, log loss, calibration, NDCG and CTR, each with an interval.

    By model version, and by segment and slice of time where asked. Rows of one user count together in every interval.

        orita performance --every 1d --estimate --html quality.html

        orita performance --by features.device_mobile --within 24h --as-of 2024-11-15T00:00:00Z
    """
    from orita.features.declaring.windows import duration_micros
    from orita.monitoring.model_quality.told import joined_sentence, table_of, told
    from orita.pipelines.served_quality import served_quality

    project = project_of(context)
    workspace = project.workspace(progress=settings_of(context).screen)
    rule = _rule(workspace.monitoring.performance_monitoring, within, delay, unanswered, as_of)
    with settings_of(context).screen.bar("Join feedback and measure"):
        found = served_quality(
            workspace,
            rule,
            since=None if since is None else time_of(since, "--since"),
            until=None if until is None else time_of(until, "--until"),
            by=by,
            every=None if every is None else timedelta(microseconds=duration_micros(every, "--every")),
            estimate=estimate,
        )
    if html is not None:
        from orita.monitoring.model_quality.page import write_quality_page

        write_quality_page(html, workspace.system.name, found)
    if as_json:
        print_json(told(found))
        return
    heads, lines = table_of(found.parts[:_MOST_LINES])
    table(f"Quality of {workspace.system.name}", heads, [[escape(cell) for cell in line] for line in lines])
    if len(found.parts) > _MOST_LINES:
        typer.echo(f"{len(found.parts) - _MOST_LINES:,} parts more: --json has all.")
    typer.echo(joined_sentence(found))
    for note in sorted({part.note for part in found.parts if part.note})[:1]:
        typer.echo(f"Not everything was estimated: {note}")
    if html is not None:
        typer.echo(f"The page is {html}.")


def _rule(
    config: PerformanceConfig, within: str | None, delay: str | None, unanswered: Unanswered | None, as_of: str | None
) -> Attribution:
    """Return which answers count: as the configuration says, but for what options say."""
    from orita.core.clock import SystemClock
    from orita.features.declaring.windows import duration_micros
    from orita.monitoring.feedback import Attribution

    at = SystemClock().now() if as_of is None else time_of(as_of, "--as-of")
    rule = Attribution.configured(config, at)
    window = rule.within if within is None else timedelta(microseconds=duration_micros(within, "--within"))
    late = rule.delay if delay is None else timedelta(microseconds=duration_micros(delay, "--delay", zero=True))
    known_at = at if as_of is not None or window is not None else None
    return Attribution(window, late, unanswered or rule.unanswered, known_at)
