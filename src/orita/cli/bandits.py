"""Commands about bandits: bandits declare, list, show, remove, choices."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of
from orita.cli.times import time_of
from orita.core.errors import UserError

if TYPE_CHECKING:
    from orita.control.aggregates import Held
    from orita.delivery.bandits.declarations import BanditDeclaration
    from orita.delivery.bandits.kept import Bandits
    from orita.delivery.bandits.learner import Learner
    from orita.delivery.bandits.ledger import Ledger

__all__: list[str] = []

bandits_app = typer.Typer(
    no_args_is_help=True,
    help="Bandits: arms that are picked by what was learnt of them, while it is learnt. Declare one, then let your "
    "program POST /api/v1/bandits/KEY/choose, and what came of it to /api/v1/bandits/KEY/reward.",
    epilog="Every change with who, when and why: orita control log --kind bandit",
)
app.add_typer(bandits_app, name="bandits")

KeyArgument = Annotated[str, typer.Argument(help="The bandit's key, such as front-page-title.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it is kept with the change.")]
ExpectedOption = Annotated[
    int | None, typer.Option(help="Refuse where the bandit is at another version than this (0: there is none).")
]


@bandits_app.command("declare")
def declare_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="YAML, or JSON by its ending; - reads YAML from standard input.")],
    reason: ReasonOption = "declared on the command line",
    expected: ExpectedOption = None,
    whole: Annotated[bool, typer.Option("--whole", help="Remove bandits that the file has not.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make bandits what a file says: all of them or none; servers follow within a second.

    Arms, priors, epsilon and the width of bounds may change and what was learnt stays; with other features, another
    discount or another waiting time a bandit begins anew.
    """
    from orita.delivery.bandits.declaration_files import read_bandits
    from orita.project.project import actor

    form: Literal["json", "yaml"] = "json" if file.suffix == ".json" else "yaml"
    declared = read_bandits(_content(file), form)
    if expected is not None and len(declared.bandits) != 1:
        raise UserError(f"--expected is for a file of one bandit, {file} has {len(declared.bandits)}: leave it out.")
    made = _bandits(context).declare(declared, actor=actor(), reason=reason, expected=expected, whole=whole)
    if as_json:
        print_json({"changed": [{"key": e.name, "version": e.version, "type": e.type} for e in made]})
        return
    if not made:
        typer.echo("Everything is as the file says already.")
        return
    table("Changed", ["bandit", "what", "version"], [[escape(e.name), e.type, str(e.version)] for e in made])


@bandits_app.command("list")
def list_command(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the bandits: policy, arms, choices and rewards so far."""
    bandits, learner = _bandits(context), _learner(context)
    found = [_summary(held, learner) for held in bandits.all().values()]
    if as_json:
        print_json({"bandits": found})
        return
    if not found:
        typer.echo("There are no bandits yet: write one as YAML, and 'orita bandits declare bandits.yaml'.")
        return
    rows = [
        [
            escape(each["key"]),
            each["policy"],
            str(len(each["arms"])),
            f"{each['choices']:,}",
            f"{each['rewards']:,}",
            f"{each['waiting']:,}",
        ]
        for each in found
    ]
    table("Bandits", ["key", "policy", "arms", "choices", "rewards", "waiting"], rows)


@bandits_app.command("show")
def show_command(
    context: typer.Context,
    key: KeyArgument,
    features: Annotated[
        str, typer.Option("--with", help="A context, as JSON, for a bandit with features: '{\"mobile\": 1}'.")
    ] = "{}",
    as_json: JsonOption = False,
) -> None:
    """Show a bandit: of each arm how often it was picked, what it earned, and how probable it is to be picked now."""
    held, learner = _bandits(context).get(key), _learner(context)
    chances = _chances(learner, held.state, features)
    ledger, arms = learner.ledgers[key], _arms(held.state, learner.ledgers[key], chances)
    if as_json:
        declared = msgspec.to_builtins(held.state)
        state = {"arms": arms, "waiting": len(ledger.open), "ignored": ledger.ignored, "records": learner.next}
        state |= {"held": ledger.choices.held, "closed_early": ledger.choices.early}
        print_json({"version": held.version, "bandit": declared, "state": state})
        return
    rows = [
        [
            escape(each["arm"]),
            f"{each['picked']:,}",
            f"{each['rewards']:,}",
            "" if each["mean"] is None else f"{each['mean']:.4g}",
            "" if each["probability"] is None else f"{each['probability']:.4f}",
        ]
        for each in arms
    ]
    table(f"{key}, version {held.version}", ["arm", "picked", "rewards", "mean", "probability now"], rows)
    ignored = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in sorted(ledger.ignored.items()))
    waiting: dict[str, object] = {"choices that wait for rewards": f"{len(ledger.open):,}"}
    if held.state.unrewarded is not None:
        waiting["rewards that count when those close"] = f"{ledger.choices.held:,}"
    figures(waiting | {"rewards that did not count": ignored or "none"})
    if ledger.choices.early:
        typer.echo(
            f"Attention: {ledger.choices.early:,} choices were closed before their time, as more than most_open "
            f"({held.state.most_open:,}) waited: rewards that came after that do not count. "
            "Declare a larger most_open, or a shorter wait_seconds; the bandit then begins anew from the log."
        )
    if chances is None:
        named = ", ".join(f'"{name}": 0' for name in held.state.features)
        typer.echo(f"Probabilities are of a context: orita bandits show {key} --with '{{{named}}}'")


@bandits_app.command("choices")
def choices_command(
    context: typer.Context,
    key: KeyArgument,
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
    unrewarded: Annotated[
        float | None,
        typer.Option(help="Reward of arms for which none came in time; by default as the bandit declares."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Choices at or after this time, ISO 8601; else from the first.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Choices before this time, ISO 8601; else up to the last.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write choices joined with their rewards, a row an arm, with propensities: for off-policy evaluation.

    Rewards are as the bandit counts them. Where an arm earned what is declared for silence, rewarded_at is null.
    """
    import pyarrow.parquet as pq

    from orita.core.files import atomic_file
    from orita.delivery.bandits.choices import logged_choices

    if unrewarded is not None and not math.isfinite(unrewarded):
        raise UserError(f"--unrewarded is {unrewarded:g}: give a finite number, what an arm earned that had no reward.")
    held = _bandits(context).get(key)
    start = None if since is None else time_of(since, "--since")
    end = None if until is None else time_of(until, "--until")
    log = project_of(context).event_log()
    rows = logged_choices(log, held.state, start=start, end=end, unrewarded=unrewarded)
    with atomic_file(out) as partial:
        pq.write_table(rows, partial)
    rewarded = len(rows) - rows["reward"].null_count
    if as_json:
        print_json({"file": str(out), "rows": len(rows), "rewarded": rewarded})
    else:
        typer.echo(f"{out}: {len(rows):,} rows, {rewarded:,} of them with a reward.")


@bandits_app.command("remove")
def remove_command(
    context: typer.Context,
    key: KeyArgument,
    reason: ReasonOption = "removed on the command line",
    expected: ExpectedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a bandit; its history stays, and declared again it comes back with what it learnt."""
    from orita.project.project import actor

    event = _bandits(context).remove(key, actor=actor(), reason=reason, expected=expected)
    if as_json:
        print_json({"key": key, "version": event.version})
    else:
        typer.echo(f"Removed {key}.")


def _bandits(context: typer.Context) -> Bandits:
    from orita.delivery.bandits.kept import Bandits

    home = project_of(context).home
    return Bandits(home.control, home.tenant)


def _learner(context: typer.Context) -> Learner:
    """Return what was learnt as of now; nothing is written."""
    from orita.delivery.bandits.learner import Learner
    from orita.delivery.bandits.snapshots import snapshot_file

    project = project_of(context)
    learner = Learner(_bandits(context), project.event_log(), snapshot_file(project.home), snapshot_rows=sys.maxsize)
    learner.look()
    return learner


def _chances(learner: Learner, declared: BanditDeclaration, features: str) -> dict[str, float] | None:
    """Return the probability of each arm; None where that is of a context, and none is given."""
    try:
        given = msgspec.json.decode(features, type=dict[str, float])
    except msgspec.DecodeError as error:
        raise UserError(f'--with is {features!r}: {error}. Give a JSON object such as {{"mobile": 1}}.') from None
    assert learner.served is not None
    if declared.features and not given:
        return None
    served = learner.served[declared.key]
    return served.chances(served.context(given))


def _arms(declared: BanditDeclaration, ledger: Ledger, chances: dict[str, float] | None) -> list[dict[str, Any]]:
    """Return what came of each arm, those that were taken out included."""
    from orita.delivery.bandits.ledger import ArmCounts

    counts = {arm: ledger.arms.get(arm, ArmCounts()) for arm in dict.fromkeys([*declared.arms, *ledger.arms])}
    return [
        {
            "arm": arm,
            "picked": each.picked,
            "rewards": each.rewarded,
            "mean": each.total / each.rewarded if each.rewarded else None,
            "probability": None if chances is None else chances.get(arm, 0.0),
        }
        for arm, each in counts.items()
    ]


def _summary(held: Held[BanditDeclaration], learner: Learner) -> dict[str, Any]:
    declared, ledger = held.state, learner.ledgers[held.name]
    counts = list(ledger.arms.values())
    return {
        "key": declared.key,
        "version": held.version,
        "description": declared.description,
        "policy": msgspec.to_builtins(declared.policy)["type"],
        "arms": list(declared.arms),
        "choices": sum(each.picked for each in counts),
        "rewards": sum(each.rewarded for each in counts),
        "waiting": len(ledger.open),
        "ignored": ledger.ignored,
    }


def _content(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}. Give a file of bandits.") from None
