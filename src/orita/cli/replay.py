"""A logged request scored again: replay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.logged_requests import RequestArgument, package_of
from orita.cli.opening import project_of

__all__: list[str] = []

_MOST_ITEMS, _MOST_NAMES = 20, 6


@app.command()
def replay(
    context: typer.Context,
    request: RequestArgument,
    model: Annotated[
        str | None,
        typer.Option(
            help="Score with this version, or the alias champion or challenger, by default the one that answered."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a logged request again: the version that answered must say the same, another is shown beside it.

    Exit code 1 where the version that answered does not say the same within 1e-6. What another version reads and the
    log lacks is computed from history, as it was known at the time of the request.
    """
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
