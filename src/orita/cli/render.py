"""The command that renders what runs several servers: render."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json
from orita.cli.opening import project_of
from orita.core.errors import UserError

__all__: list[str] = []

_ONE_STREAM = ("nginx", "kubernetes", "alertmanager")
"""What one stream can hold: a file, or YAML documents."""


@app.command()
def render(
    context: typer.Context,
    target: Annotated[
        Literal["nginx", "compose", "kubernetes", "prometheus", "alertmanager", "grafana", "all"],
        typer.Argument(help="What for; all: compose and kubernetes."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write to; without it, nginx, kubernetes, alertmanager are printed."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if files in --out are other than rendered.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the files that run several servers behind one address, from 'deployment' and the rest of orita.yaml.

    nginx: a balancer, by policy; compose: an image and containers on one machine, with nginx, Redis, PostgreSQL,
    Prometheus, Alertmanager and Grafana; kubernetes: manifests; prometheus: scraping and rules; alertmanager: who is
    told; grafana: dashboards. Alerts, promises and who is told are those of 'alerting' in monitoring_config.yaml. The
    same configuration gives the same bytes, and a file that was not rendered is never replaced.

    Such as: orita --set deployment.policy=least_connections render nginx --out balancer
    """
    from orita import deploy

    files = deploy.render(target, project_of(context).site())
    if out is None:
        if check or target not in _ONE_STREAM:
            what = "--check compares with a folder" if check else f"{target} is {len(files)} files"
            raise UserError(f"{what}: say which folder with --out FOLDER.")
        if as_json:
            print_json({"files": {file.path: file.text for file in files}})
        else:
            sys.stdout.write("---\n".join(file.text for file in files))
        return
    folder = out.absolute()
    if check:
        _check([str(path) for path in deploy.differing(files, folder)], len(files), as_json=as_json)
        return
    written = deploy.write(files, folder)
    if as_json:
        print_json({"folder": str(folder), "files": [file.path for file in files]})
        return
    for path in written:
        settings_of(context).screen.line(str(path))


def _check(wrong: list[str], files: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"same": not wrong, "differing": wrong})
    else:
        for path in wrong:
            sys.stdout.write(f"{path}\n")
        sys.stdout.write(f"{len(wrong)} of {files} files differ from what is rendered.\n")
    if wrong:
        raise typer.Exit(1)
