"""A logged request scored again, or a span of time rebuilt from the logs: replay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.logged_requests import package_of
from orita.cli.opening import project_of
from orita.cli.times import time_of
from orita.core.errors import UserError

if TYPE_CHECKING:
    from orita.pipelines.replaying.findings import ReplayReport
    from orita.pipelines.replaying.span import Span

__all__: list[str] = []

_MOST_ITEMS, _MOST_NAMES = 20, 6
_MOST_EXAMPLES = 10


@app.command()
def replay(
    context: typer.Context,
    request: Annotated[
        str | None,
        typer.Argument(
            help="The request_id of an answer (its X-Request-Id), or the prediction_id of a logged row; "
            "none with --from."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Score with this version, or the alias champion or challenger, by default the one that answered."
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Replay all that was online from this time on, ISO 8601.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Up to before this time; by default now.")] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Hold the event log against the lake. Without such an option: all parts.")
    ] = False,
    features: Annotated[
        bool, typer.Option("--features", help="Compute logged features again, as of each request.")
    ] = False,
    profiles: Annotated[bool, typer.Option("--profiles", help="Make the kept profiles of streams again.")] = False,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Join answers again, for the monitoring reports of the time.")
    ] = False,
    scores: Annotated[
        bool, typer.Option("--scores", help="Score logged requests again, by the version that answered.")
    ] = False,
    sample: Annotated[
        int, typer.Option(help="Features and scores of so many requests a day; 0: of all.", min=0)
    ] = 1000,
    lag: Annotated[
        str | None, typer.Option(help="Leave out features of a state that was behind by no more, such as 5s.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots here; with --from.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compute again what was online, from the logs, and compare: one request's scores, or all of a span of time.

    Of a request: the version that answered must say the same within 1e-6 (exit code 1 if not), another is shown beside
    it. What another version reads and the log lacks is computed from history, as known at the time of the request.

    Of a span: features, profiles, the figures of monitoring reports and scores are rebuilt and compared with what was
    logged and kept. Exit code 1 where one of them differs; each difference is told with its kind. Ended, the same
    command goes on where it was.

        orita replay 0193f0c2-7a4e-7c11-9b7d-1f0a52c3d4e5 --model challenger

        orita replay --from 2024-11-15 --to 2024-11-16 --html replay.html

        orita replay --from 2024-11-15 --features --scores --sample 0
    """
    chosen = {"events": events, "features": features, "profiles": profiles, "metrics": metrics, "scores": scores}
    of_span = [f"--{name}" for name, given in {**chosen, "to": end, "lag": lag, "html": html}.items() if given]
    if start is not None:
        if request is not None or model is not None:
            given = "REQUEST" if request is not None else "--model"
            raise UserError(f"{given} and --from are given: replay one request, or a span of time.")
        parts = tuple(name for name, given in chosen.items() if given)
        found = _replayed(context, _span(start, end), parts, sample, _lag(lag))
        _tell_span(found, html, as_json)
        return
    if request is None:
        raise UserError("nothing to replay is named: give the id of a request, or a span of time with --from and --to.")
    if of_span:
        raise UserError(f"{of_span[0]} is for a span of time: give --from too, or leave it out.")
    _replay_request(context, request, model, as_json)


def _span(start: str, end: str | None) -> Span:
    from orita.core.clock import SystemClock
    from orita.pipelines.replaying.span import Span

    return Span(time_of(start, "--from"), SystemClock().now() if end is None else time_of(end, "--to"))


def _lag(lag: str | None) -> timedelta:
    from orita.features.declaring.windows import duration_micros

    return timedelta(microseconds=0 if lag is None else duration_micros(lag, "--lag", zero=True))


def _replayed(context: typer.Context, span: Span, parts: tuple[str, ...], sample: int, lag: timedelta) -> ReplayReport:
    from orita.pipelines.replaying.course import PARTS, replay_span

    project = project_of(context)
    workspace = project.workspace(progress=settings_of(context).screen)
    return replay_span(workspace, span, package_of(project), parts=parts or PARTS, sample=sample or None, lag=lag)


def _tell_span(found: ReplayReport, html: Path | None, as_json: bool) -> None:
    """Tell what was found; exit code 1 where something differs."""
    from orita.pipelines.replaying.page import write_replay_page

    if html is not None:
        write_replay_page(html, found)
    if as_json:
        print_json(found.to_dict())
    else:
        _show_span(found, html)
    if not found.equal:
        raise typer.Exit(1)


def _show_span(found: ReplayReport, html: Path | None) -> None:
    from orita.pipelines.replaying.findings import KINDS
    from orita.pipelines.replaying.page import HEADS, line_of, verdict

    if found.went_on:
        typer.echo(f"An earlier replay had done {found.went_on:,} pieces of it.")
    title = f"Replay of {found.system}, {found.start[:19]} to {found.end[:19]}"
    table(title, list(HEADS), [[escape(cell) for cell in line_of(part)] for part in found.parts])
    examples = [(part.name, example) for part in found.parts for example in part.examples]
    for kind in dict.fromkeys(example["kind"] for _, example in examples):
        typer.echo(f"{kind}: {KINDS[kind]}.")
    for name, example in examples[:_MOST_EXAMPLES]:
        told = ", ".join(f"{key} {value}" for key, value in example.items() if key != "kind")
        typer.echo(f"  {name}, {example['kind']}: {told}")
    if len(examples) > _MOST_EXAMPLES:
        typer.echo(f"{len(examples) - _MOST_EXAMPLES:,} examples more: --json has them.")
    for part in found.parts:
        for reason, count in sorted(part.left_out.items()):
            typer.echo(f"not compared of {part.name}: {count:,}, {reason}")
    typer.echo(verdict(found))
    if html is not None:
        typer.echo(f"The page is {html}.")


def _replay_request(context: typer.Context, request: str, model: str | None, as_json: bool) -> None:
    """Score a request again, and tell it; exit code 1 where the version that answered does not say the same."""
    from orita.explain import replay_request

    project = project_of(context)
    found = replay_request(
        project.home,
        project.system,
        request,
        load=package_of(project),
        version=model,
        memory_mb=project.data.value.validation.memory_mb,
        progress=settings_of(context).screen,
    )
    print_json(found) if as_json else _show(found)
    if found["reproduced"] is False:
        raise typer.Exit(1)


def _show(found: Mapping[str, Any]) -> None:
    logged, again = found["model_version"], found["replayed_by"]
    rows = [
        [
            escape(each["item_id"]),
            f"{each['score']:.4f}",
            str(each["rank"]),
            f"{each['replayed_score']:.4f}",
            str(each["replayed_rank"]),
            f"{each['replayed_score'] - each['score']:+.4f}",
        ]
        for each in found["items"][:_MOST_ITEMS]
    ]
    typer.echo(f"request {found['request_id']} of user {found['user_id']}")
    table("Scores", ["item", f"{logged} then", "rank", f"{again} now", "rank", "change"], rows)
    if len(found["items"]) > _MOST_ITEMS:
        typer.echo(f"{len(found['items']) - _MOST_ITEMS:,} items more: --json has all.")
    if found["from_history"]:
        typer.echo(f"computed from history, as known then, since the log lacks them: {_names(found['from_history'])}")
    for name, reason in found["missing"].items():
        typer.echo(f"given as missing: {name}, which {reason}")
    furthest = f"the largest difference of two scores is {found['largest_difference']:.2g}"
    if found["reproduced"] is None:
        typer.echo(f"{furthest}.")
    elif found["reproduced"]:
        typer.echo(f"Reproduced: {furthest}.")
    else:
        typer.echo(f"NOT reproduced: {furthest}; allowed is 1e-06. Is the package the one that answered?")


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
