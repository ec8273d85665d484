"""Commands about answering: serve, predict."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.ids import id_of
from orita.cli.opening import project_of


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes that answer; one that dies is started again.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Answer POST /predict with the champion until stopped; a new champion is taken up without a restart."""
    from orita.serving.heap import share_one_heap

    share_one_heap()
    from orita.cli.served_project import served_project
    from orita.control.deployments import Deployments
    from orita.serving.server import serve as serve_app
    from orita.serving.server import serve_with_workers

    settings = settings_of(context)
    for key, value in (("host", host), ("port", port), ("workers", workers)):
        if value is not None:
            settings.overrides.append(f"serving.{key}={value}")
    project = project_of(context)
    config = project.main.value.serving

    def announce(address: str) -> None:
        if as_json:
            print_json({"address": address, "system": project.system.name})
            sys.stdout.flush()
        else:
            deployed = Deployments(project.home.control, project.home.tenant).current(project.system.name)
            waiting = "" if deployed else f"   [yellow]no champion yet in {project.home.root}: requests get 503[/]"
            settings.screen.console.print(
                f"{project.system.name} answers at [bold]{address}[/]   docs {address}/docs   stop with Ctrl-C{waiting}"
            )

    if config.workers == 1:
        serve_app(served_project(project, settings), config, announce=announce)
    else:
        # Each worker reads the configuration anew, so that SIGHUP takes up what was changed.
        serve_with_workers(lambda: served_project(project_of(context), settings), config, announce=announce)


@app.command()
def predict(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="The user's id.")],
    items: Annotated[list[str], typer.Argument(help="The items to rank.")],
    device: Annotated[str | None, typer.Option(help="mobile, desktop or tablet")] = None,
    timestamp: Annotated[str | None, typer.Option(help="ISO 8601; by default now.")] = None,
    server: Annotated[str | None, typer.Option(help="Ask this server instead, such as http://127.0.0.1:8080.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Rank ITEMS for USER with the champion, in process or by a server."""
    from orita.cli.asking import ask_champion, ask_server

    given = {name: value for name, value in (("device", device), ("timestamp", timestamp)) if value is not None}
    request = {"user_id": id_of(user), "item_ids": [id_of(item) for item in items], "context": given}
    answer = ask_server(server, request) if server else ask_champion(project_of(context), request)
    if as_json:
        print_json(answer)
        return
    rows = [[str(p["rank"]), str(p["item_id"]), f"{p['score']:.4f}"] for p in answer["predictions"]]
    table(
        f"user {answer['user_id']}  {answer['model_version']}  {answer['latency_ms']:.1f} ms",
        ["rank", "item", "score"],
        rows,
    )
