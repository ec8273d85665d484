"""Commands about model packages: models verify, models sign, models keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orita.cli.app import JsonOption
from orita.cli.console import figures, print_json, table
from orita.cli.learn import models_app
from orita.cli.opening import project_of
from orita.registry.trust import trusted_folder

keys_app = typer.Typer(no_args_is_help=True, help="Make keys that sign packages, and say whose packages are trusted.")
models_app.add_typer(keys_app, name="keys")

_COLOURS = {"right": "green", "note": "yellow", "wrong": "red", "not reached": "dim"}
TargetArgument = Annotated[
    str, typer.Argument(help="The folder of a package of any kind, a version, or the alias champion or challenger.")
]


@models_app.command("verify")
def verify_model(
    context: typer.Context,
    target: TargetArgument = "champion",
    trust: Annotated[
        Path | None, typer.Option(help="A folder of trusted keys; by default that of the home ('models keys list').")
    ] = None,
    require_signature: Annotated[
        bool,
        typer.Option(
            "--require-signature",
            help="A package that no trusted key signed is wrong; always so where registry.require_signature is set.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a package: checksums, signature, form, sample scores, versions; exit code 2 if anything is wrong."""
    from orita.models.kinds import verify_any
    from orita.models.package.signing import Trust

    required = require_signature or project_of(context).main.value.registry.require_signature
    trusted = Trust.read(trust or _trusted_folder(context), required=required)
    found = {folder: verify_any(folder, trusted) for folder in _folders(context, target)}
    right = all(check.outcome != "wrong" for checks in found.values() for check in checks)
    if as_json:
        packages = [
            {"folder": str(folder), "checks": {c.name: {"outcome": c.outcome, "finding": c.finding} for c in checks}}
            for folder, checks in found.items()
        ]
        print_json({"right": right, "packages": packages})
    else:
        for folder, checks in found.items():
            rows = [[c.name, f"[{_COLOURS[c.outcome]}]{c.outcome}[/]", _escaped(c.finding)] for c in checks]
            table(_escaped(str(folder)), ["check", "outcome", "finding"], rows)
    if not right:
        raise typer.Exit(2)


@models_app.command("sign")
def sign_model(
    context: typer.Context,
    target: TargetArgument,
    key: Annotated[str, typer.Option(help="The name of one of your keys ('models keys create').")] = "default",
    as_json: JsonOption = False,
) -> None:
    """Sign a package with one of your keys, after its checksums agreed."""
    from orita.models.package.keys import read_signing_key
    from orita.models.package.signing import sign_package

    signing = read_signing_key(key, _keys_folder(context))
    folders = _folders(context, target)
    for folder in folders:
        sign_package(folder, signing)
    if as_json:
        print_json({"key": signing.public.name, "id": signing.public.id, "signed": [str(folder) for folder in folders]})
        return
    for folder in folders:
        typer.echo(f"{folder} is signed by {signing.public.name} ({signing.public.id}).")


@keys_app.command("create")
def create_model_key(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="How the key is called; lower-case letters, digits, '-', '_'.")
    ] = "default",
    as_json: JsonOption = False,
) -> None:
    """Make a key: its private half stays in the home, readable by you alone, its public half is trusted."""
    from orita.models.package.keys import create_key

    folder, trusted = _keys_folder(context), _trusted_folder(context)
    public = create_key(name, folder, trusted)
    made = {
        "name": public.name,
        "id": public.id,
        "private": str(folder / f"{name}.pem"),
        "public": str(trusted / f"{public.id}.json"),
    }
    print_json(made) if as_json else figures(dict(made))


@keys_app.command("list")
def list_model_keys(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the keys whose packages are trusted, and which of them can sign here."""
    from orita.models.package.keys import read_public_keys

    own = _keys_folder(context)
    rows = [
        {"name": key.name, "id": key.id, "signs_here": (own / f"{key.name}.pem").exists()}
        for key in read_public_keys(_trusted_folder(context))
    ]
    if as_json:
        print_json({"keys": rows})
    elif rows:
        cells = [[str(row["name"]), str(row["id"]), "yes" if row["signs_here"] else ""] for row in rows]
        table("Trusted keys", ["name", "id", "signs here"], cells)
    else:
        typer.echo("No key is trusted yet. Next: orita models keys create")


@keys_app.command("trust")
def trust_model_key(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The public key (JSON) of somebody whose packages you will load.")],
    as_json: JsonOption = False,
) -> None:
    """Trust somebody's key: compare its id with what they told you by another way."""
    from orita.models.package.keys import PublicKey

    key = PublicKey.read(file.absolute())
    key.write(_trusted_folder(context))
    print_json({"name": key.name, "id": key.id}) if as_json else typer.echo(f"{key.name} ({key.id}) is trusted.")


def _keys_folder(context: typer.Context) -> Path:
    return project_of(context).home.keys


def _trusted_folder(context: typer.Context) -> Path:
    project = project_of(context)
    return trusted_folder(project.main.value.registry, project.home)


def _folders(context: typer.Context, target: str) -> list[Path]:
    """Return where a package lies: a folder, or for a version what is registered and what is published to servers."""
    if Path(target).is_dir():
        return [Path(target).absolute()]
    project = project_of(context)
    entry = project.catalogue().get(project.system.name, target)
    published = project.home.packages / project.system.name / entry.version
    return [entry.package, *([published] if published.exists() else [])]


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
