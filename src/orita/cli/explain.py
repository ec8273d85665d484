"""Why an answer was what it was: explain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json, table
from orita.cli.logged_requests import RequestArgument, package_of
from orita.cli.opening import project_of
from orita.core.errors import UserError

__all__: list[str] = []

_MOST_FEATURES = 12
_ROUNDING = 1e-6


@app.command()
def explain(
    context: typer.Context,
    request: RequestArgument,
    item: Annotated[
        list[str] | None, typer.Option(help="Explain this item, again for more; by default the best of the request.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=4096, help="How many of the best, where no --item is named.")] = 1,
    lineage: Annotated[
        bool, typer.Option(help="Trace features to the events behind them, which reads the lake.")
    ] = True,
    html: Annotated[Path | None, typer.Option(help="Also write an HTML page here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a logged request: features as they were, what each moved the score by, and the events behind them.

    What features moved a score by are Shapley values: together with the mean score of reference rows, rows that the
    model was trained on, they add up to the score. Each comes with its standard error.
    """
    from orita.explain import explain_request

    project = project_of(context)
    if item and len(set(item)) < len(item):
        raise UserError("--item names an item twice: name each once.")
    found = explain_request(
        project.home,
        project.system,
        request,
        load=package_of(project),
        items=item or (),
        top=top,
        lineage=lineage,
        memory_mb=project.data.value.validation.memory_mb,
        progress=settings_of(context).screen,
    )
    if html is not None:
        from orita.cli.explain_page import write_explanation_page

        write_explanation_page(html, found)
    if as_json:
        print_json(found)
        return
    _show(found)
    if html is not None:
        typer.echo(f"The page is {html}.")


def _show(found: Mapping[str, Any]) -> None:
    for line in about(found):
        typer.echo(line)
    for each in found["items"]:
        features = each["features"]
        rows = [
            [
                escape(f["feature"]),
                escape(values(f)),
                f"{f['contribution']:+.4f}",
                f"{f['error']:.4f}",
                escape(made_of(f)),
            ]
            for f in features[:_MOST_FEATURES]
        ]
        table(f"\n{title(found, each)}", ["feature", "was", "moved by", "±", "made of"], rows)
        rest = features[_MOST_FEATURES:]
        if rest:
            total = sum(f["contribution"] for f in rest)
            typer.echo(f"{len(rest)} features more moved it by {total:+.4f} together: --json and --html have them.")
        typer.echo(f"{found['baseline']:.4f} + what they moved it by = {each['score'] - each['unexplained']:.4f}")
        if abs(each["unexplained"]) > _ROUNDING:
            typer.echo(
                f"warning: {each['unexplained']:+.2g} of the score is not the model's: 'orita replay "
                f"{found['request_id']}' tells whether it says the same again."
            )
    if found["no_lineage"]:
        typer.echo(f"Features are not traced to events: {found['no_lineage']}")


def about(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an explanation tells of the request and of the method, in lines."""
    at, as_of = (found[name][:19].replace("T", " ") for name in ("at", "as_of"))
    yield f"request {found['request_id']} of user {found['user_id']}: {found['rows']:,} items"
    by = f"{found['system']} {found['model_version']} ({found['model_type']})"
    yield f"answered {at} by {by} in {found['latency_ms']:.1f} ms"
    yield f"features as of {as_of} (UTC)"
    yield f"held against {found['method']['reference']}, of mean score {found['baseline']:.4f}; ± is one standard error"
    if found["answers"] > 1:
        yield f"{found['answers']} answers have this request id; this is the latest"


def title(found: Mapping[str, Any], item: Mapping[str, Any]) -> str:
    """Return what is said above an item."""
    return f"item {item['item_id']}: score {item['score']:.4f}, rank {item['rank']} of {found['rows']:,}"


def values(feature: Mapping[str, Any]) -> str:
    """Return the value of a feature; of one with several flags those that are set."""
    given = feature["values"]
    if len(given) == 1:
        (value,) = given.values()
        return "missing" if value is None else value if isinstance(value, str) else f"{value:.6g}"
    return ", ".join(name for name, value in given.items() if value) or "none"


def made_of(feature: Mapping[str, Any]) -> str:
    """Return where a feature came from, in a few words."""
    lineage = feature["lineage"]
    if lineage is None:
        return ""
    told = []
    for events in lineage["events"]:
        last = f", last {events['last'][:10]}" if events["last"] else ""
        told.append(f"{events['count']:,} of {events['source']}{last}")
    told += [f"{each['table']}.{each['column']} {_shown(each['value'])}" for each in lineage["attributes"]]
    told += ["the request"] if lineage["request"] or not told else []
    return "; ".join(dict.fromkeys(told))


def _shown(value: Any) -> str:
    text = "unknown" if value is None else str(value)
    return text[:10] if text[4:5] == "-" and text[10:11] == "T" else text
