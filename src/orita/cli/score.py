"""The command that scores a table of any size: score."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import Screen, figures, print_json
from orita.cli.opening import project_of
from orita.core.errors import UserError

if TYPE_CHECKING:
    from orita.pipelines.scoring import Progressed, ScoreReport

__all__: list[str] = []

_SAY_SECONDS = 10.0


@app.command()
def score(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A Parquet file or a folder of them, a .csv or .tsv (also .gz), or a lake table: lake:NAME, "
            "lake:NAME@VERSION.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder of the scores; the same command goes on with what is there.")],
    model: Annotated[str, typer.Option(help="A version, or the alias champion or challenger.")] = "champion",
    at: Annotated[
        str | None, typer.Option(help="As of this time, ISO 8601, where rows have none of their own; by default now.")
    ] = None,
    as_of: Annotated[
        str, typer.Option(help="Rows see what was 'known' by their time, or every 'event' until then.")
    ] = "known",
    objective: Annotated[
        str | None,
        typer.Option(help="What one unit of each head is worth: click=1,like=0.3; by default the package's."),
    ] = None,
    top: Annotated[int | None, typer.Option(help="Keep the best so many rows of each user, with their rank.")] = None,
    keep: Annotated[str | None, typer.Option(help="Further columns of INPUT to copy: order_id,device.")] = None,
    part_rows: Annotated[int, typer.Option(help="Rows of a part of the output, and of a step of the work.")] = 1 << 18,
    engine: Annotated[
        str,
        typer.Option(
            help="'history': this process; or 'spark', where data_config.yaml says (needs orita\\[spark] and Java 17)."
        ),
    ] = "history",
    restart: Annotated[bool, typer.Option(help="Begin anew: scores of another making in --out are deleted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Score every row of INPUT into Parquet parts and a manifest, in bounded memory, resumable at any moment.

    Rows are user_id, item_id, perhaps timestamp and what requests bring (device): features are computed as of each
    row's time. Or rows have all features of the model already: then none is computed. Rows that cannot be scored go to
    _quarantine with the reason. Killed, the same command goes on where it was.

    orita score pairs.parquet --out scores --top 10

    orita score lake:interactions@3 --out scores --model v1.2.0
    """
    from orita.pipelines.scoring import ScoreOptions, score_table

    if as_of not in ("known", "event"):
        raise UserError(f"--as-of is {as_of!r}, allowed are 'known' and 'event'; a time is given with --at.")
    if engine not in ("history", "spark"):
        raise UserError(f"--engine is {engine!r}, allowed are 'history' and 'spark'.")
    screen = settings_of(context).screen
    options = ScoreOptions(
        source,
        out,
        model=model,
        at=None if at is None else _time(at),
        as_of="known" if as_of == "known" else "event",
        objective=None if objective is None else _weights(objective),
        top=top,
        keep=tuple(name.strip() for name in keep.split(",")) if keep else (),
        part_rows=part_rows,
        engine="history" if engine == "history" else "spark",
        restart=restart,
    )
    try:
        report = score_table(project_of(context).workspace(progress=screen), options, _sayer(screen))
    except KeyboardInterrupt:
        screen.line("stopped; what was done stays, and the same command goes on from there")
        raise
    print_json(report.to_dict()) if as_json else _show(report)


def _sayer(screen: Screen) -> Callable[[Progressed], None]:
    """Return what says how far it is where there are no bars, every ten seconds."""
    said = 0.0

    def told(progressed: Progressed) -> None:
        nonlocal said
        if progressed.seconds - said >= _SAY_SECONDS:
            said = progressed.seconds
            screen.say(
                f"{progressed.done:,} of {progressed.total:,} rows  {progressed.rate:,.0f} rows/s  "
                f"{progressed.left:,.0f} s left"
            )

    return told


def _show(report: ScoreReport) -> None:
    told = report.to_dict()
    rows, broken = told["rows"], told["quarantine"]
    shown: dict[str, object] = {
        "scores": f"{rows['written']:,} rows in {told['parts']} parts, in {told['out']}",
        "model": f"{told['model']}, features {told['features']}",
        "input": f"{told['input']}, {rows['read']:,} rows",
    }
    if told["absent"]:
        shown["not in the input"] = f"{', '.join(told['absent'])}: counted as missing"
    if told["cold_start"]:
        shown["cold start"] = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in told["cold_start"].items())
    if rows["quarantined"]:
        reasons = ", ".join(f"{rule} {count:,}" for rule, count in broken.items())
        shown["quarantined"] = f"{rows['quarantined']:,} rows, in {report.out / '_quarantine'} ({reasons})"
    if not report.new:
        shown["done"] = "before; nothing was computed"
    elif told["rows_per_second"]:
        shown["done"] = (
            f"{told['rows_this_run']:,} rows in {report.seconds:.1f} s, {told['rows_per_second']:,.0f} rows/s"
        )
    figures(shown)


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--at is {text!r}: give a time in ISO 8601, such as 2024-11-15T10:30:00Z.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _weights(text: str) -> dict[str, float]:
    """Return the weights of ``click=1,like=0.3``.

    Raises:
        UserError: a part is no name with a number, or a name is there twice.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (each.strip() for each in part.partition("="))
        try:
            value = float(number)
        except ValueError:
            raise UserError(
                f"--objective has the part {part!r}, allowed are parts such as like=0.3, with commas between them."
            ) from None
        if name in found:
            raise UserError(f"--objective names {name!r} twice; name it once.")
        found[name] = value
    return found
