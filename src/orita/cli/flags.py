"""Commands about feature flags: flags list, show, set, on, off, remove, evaluate."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of
from orita.core.errors import UserError

if TYPE_CHECKING:
    from orita.control.aggregates import Held
    from orita.control.events import ControlEvent
    from orita.delivery.flags import Evaluation, Flag
    from orita.delivery.flags.kept import Flags

__all__: list[str] = []

flags_app = typer.Typer(
    no_args_is_help=True,
    help="Feature flags: who gets which variant of what, by rules and shares of users; servers learn of a change "
    "within a second.",
    epilog="Every change with who, when and why: orita control log --kind flag    Back: orita control restore TIME",
)
app.add_typer(flags_app, name="flags")

KeyArgument = Annotated[str, typer.Argument(help="The flag's key, such as new-checkout.")]
ReasonOption = Annotated[str, typer.Option(help="Why; it is kept with the change.")]
ExpectedOption = Annotated[
    int | None, typer.Option(help="Refuse where the flag is at another version than this (0: there is none).")
]


@flags_app.command("list")
def list_command(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the flags: whether each is on, what it serves, and who changed it last."""
    flags = _flags(context)
    found = [_told(held, flags.history(key)) for key, held in flags.all().items()]
    if as_json:
        print_json({"flags": found})
        return
    if not found:
        typer.echo("There are no flags yet: write some as YAML, and 'orita flags set flags.yaml'.")
        return
    rows = [
        [
            escape(each["key"]),
            "enabled" if each["enabled"] else "off for all",
            escape(", ".join(each["variants"])),
            str(each["rules"]),
            f"{each['changed_at']:%Y-%m-%d %H:%M:%S}",
            escape(each["changed_by"]),
        ]
        for each in found
    ]
    table("Flags", ["key", "state", "variants", "rules", "changed (UTC)", "by"], rows)


@flags_app.command("show")
def show_command(context: typer.Context, key: KeyArgument, as_json: JsonOption = False) -> None:
    """Show a flag as a file has it, which 'orita flags set' takes; --json with its version."""
    held = _flags(context).get(key)
    if as_json:
        print_json({"version": held.version, "flag": msgspec.to_builtins(held.state)})
        return
    from orita.delivery.flags import FlagFile, write_flags

    typer.echo(write_flags(FlagFile(flags=(held.state,)), "yaml").decode(), nl=False)


@flags_app.command("set")
def set_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="YAML, or JSON by its ending; - reads YAML from standard input.")],
    reason: ReasonOption = "declared on the command line",
    expected: ExpectedOption = None,
    whole: Annotated[bool, typer.Option("--whole", help="Remove flags and segments that the file has not.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make flags and segments what a file says: all of them or none; those that are so already stay as they are."""
    from orita.delivery.flags import read_flags
    from orita.project.project import actor

    form: Literal["json", "yaml"] = "json" if file.suffix == ".json" else "yaml"
    declared = read_flags(_content(file), form)
    if expected is not None and len(declared.flags) != 1:
        raise UserError(f"--expected is for a file of one flag, {file} has {len(declared.flags)}: leave it out.")
    made = _flags(context).declare(declared, actor=actor(), reason=reason, expected=expected, whole=whole)
    if as_json:
        print_json({"changed": [{"kind": e.kind, "name": e.name, "version": e.version, "type": e.type} for e in made]})
        return
    if not made:
        typer.echo("Everything is as the file says already.")
        return
    rows = [[event.kind, escape(event.name), event.type, str(event.version)] for event in made]
    table("Changed", ["kind", "name", "what", "version"], rows)


@flags_app.command("on")
def on_command(
    context: typer.Context,
    key: KeyArgument,
    reason: ReasonOption = "enabled on the command line",
    expected: ExpectedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enable a flag: its rules decide again."""
    _switch(context, key, reason, expected, enabled=True, as_json=as_json)


@flags_app.command("off")
def off_command(
    context: typer.Context,
    key: KeyArgument,
    reason: ReasonOption = "disabled on the command line",
    expected: ExpectedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a flag serve its off variant to everybody: the kill switch."""
    _switch(context, key, reason, expected, enabled=False, as_json=as_json)


@flags_app.command("remove")
def remove_command(
    context: typer.Context,
    key: KeyArgument,
    reason: ReasonOption = "removed on the command line",
    expected: ExpectedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a flag that no other has as a prerequisite; its history stays."""
    from orita.project.project import actor

    event = _flags(context).remove(key, actor=actor(), reason=reason, expected=expected)
    if as_json:
        print_json({"key": key, "version": event.version})
    else:
        typer.echo(f"Removed {key}.")


@flags_app.command("evaluate")
def evaluate_command(
    context: typer.Context,
    key: Annotated[str | None, typer.Argument(help="A flag; by default all of them.")] = None,
    attributes: Annotated[
        str, typer.Option("--with", help="What is known of the request, as JSON: '{\"targetingKey\": 12}'.")
    ] = "{}",
    as_json: JsonOption = False,
) -> None:
    """Evaluate flags for a request: value, variant and why."""
    flags, given = _flags(context), _attributes(attributes)
    now = flags.current()
    if key is not None:
        flags.get(key)  # a key that is none is refused with the nearest one
    found = now.evaluate_all(given) if key is None else [now.evaluate(key, given)]
    if as_json:
        print_json({"flags": [_answer(each) for each in found]})
        return
    rows = [
        [
            escape(each.flag),
            escape(msgspec.json.encode(each.value).decode()),
            escape(each.variant or ""),
            each.reason.value,
            escape(each.rule),
        ]
        for each in found
    ]
    table("Flags", ["key", "value", "variant", "reason", "rule"], rows)


def _flags(context: typer.Context) -> Flags:
    from orita.delivery.flags.kept import Flags

    home = project_of(context).home
    return Flags(home.control, home.tenant)


def _switch(
    context: typer.Context, key: str, reason: str, expected: int | None, *, enabled: bool, as_json: bool
) -> None:
    from orita.project.project import actor

    flags = _flags(context)
    event = flags.switch(key, enabled=enabled, actor=actor(), reason=reason, expected=expected)
    if as_json:
        print_json({"key": key, "enabled": enabled, "changed": event is not None, "version": flags.get(key).version})
    else:
        state = "enabled" if enabled else "off for all"
        figures({key: state if event is not None else f"{state}, as it was"})


def _content(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}. Give a file of flags.") from None


def _attributes(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UserError(f'--with is {text!r}: {error}. Give a JSON object such as {{"targetingKey": 12}}.') from None


def _told(held: Held[Flag], history: list[ControlEvent]) -> dict[str, Any]:
    from orita.delivery.flags.checking import variants_of

    flag, latest = held.state, history[-1]
    at: datetime = latest.at
    return {
        "key": flag.key,
        "version": held.version,
        "description": flag.description,
        "enabled": flag.enabled,
        "variants": list(variants_of(flag)[0]),
        "rules": len(flag.rules),
        "changed_at": at,
        "changed_by": latest.actor,
    }


def _answer(found: Evaluation) -> dict[str, Any]:
    return {key: value for key, value in msgspec.to_builtins(found).items() if value not in (None, "")}
