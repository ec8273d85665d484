"""Commands about shadows: shadow run, report."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import Screen, figures, print_json, table
from orita.cli.opening import project_of
from orita.core.errors import NotFound
from orita.core.priority import let_others_go_first

if TYPE_CHECKING:
    from orita.delivery.rollouts import Rollout
    from orita.delivery.shadow import Candidate
    from orita.delivery.shadow.follower import ShadowFollower
    from orita.delivery.shadow.told import CandidateSummary, ShadowSummary
    from orita.features.schema import FeatureSchema
    from orita.project import Project

__all__: list[str] = []

_TELL_SECONDS = 60.0

shadow_app = typer.Typer(
    no_args_is_help=True,
    help="A candidate beside the champion: it scores copies of what was answered, nobody sees its scores, and the "
    "report says how differently it ranks, how fast it is, and what it breaks.",
    epilog="Begin one: orita deploy VERSION --strategy shadow    End it: orita rollout abort",
)
app.add_typer(shadow_app, name="shadow")


@shadow_app.command("run")
def run_command(
    context: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Score what was answered and not scored yet, drop nothing, and end.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds between two looks at the log.")] = 1.0,
    seconds: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=600,
            help="A candidate that takes longer for one request is ended; waiting for a processor does not count.",
        ),
    ] = 5.0,
    memory_mib: Annotated[
        int, typer.Option(min=128, help="A candidate that holds more memory than this is begun anew.")
    ] = 2048,
    as_json: JsonOption = False,
) -> None:
    """Follow the prediction log for all shadows of the system until it is stopped; beside servers, not in them.

    It never takes more of a processor than the rollout allows (cpu_percent): what it cannot score in time it drops, and
    counts. It goes on where it was, each answer once.
    """
    from orita.delivery.shadow import Limits
    from orita.delivery.shadow.follower import ShadowFollower

    project, screen = project_of(context), settings_of(context).screen
    let_others_go_first()
    signal.signal(signal.SIGTERM, _stop)
    follower = ShadowFollower(
        project.home,
        project.system.name,
        ProjectCandidates.of(context, project),
        limits=Limits(seconds, memory_mib),
        retention_days=project.main.value.serving.log.retention_days,
    )
    try:
        if once:
            with screen.bar("Mirror what was answered") as bar:
                follower.catch_up(bar.advance)
        else:
            _follow(follower, every, screen)
    except KeyboardInterrupt:
        screen.line("Stopped; it goes on from here.")
    finally:
        told = {id_: shadow.rollout for id_, shadow in follower.shadows.items()}
        follower.close()
    _tell_run(project, told, as_json=as_json)


@shadow_app.command("report")
def report_command(
    context: typer.Context,
    rollout: Annotated[
        str | None, typer.Argument(help="A rollout, or how its id begins; by default the latest shadow.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write an HTML page with plots here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how a candidate differs from the champion on what was answered: ranking, scores, speed, errors."""
    from orita.delivery.shadow.summary import shadow_summary

    project = project_of(context)
    found = shadow_summary(project.home, project.system.name, _shadow_of(project, rollout).id)
    if html is not None:
        from orita.delivery.shadow.page import write_shadow_page

        write_shadow_page(html, found)
    if as_json:
        print_json(found.to_dict())
        return
    _show(found)
    if html is not None:
        typer.echo(f"The page is {html}.")


@dataclass(frozen=True, slots=True)
class ProjectCandidates:
    """Opens candidates of a project in a process that has not opened it yet."""

    folder: Path
    home: Path
    system: str | None
    overrides: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, context: typer.Context, project: Project) -> ProjectCandidates:
        """Return what opens candidates of *project*, which was opened with the options of *context*."""
        settings = settings_of(context)
        return cls(project.folder.absolute(), project.home.root.absolute(), settings.system, settings.overrides)

    def __call__(self, version: str) -> Candidate:
        """Return a candidate, verified."""
        from orita.delivery.shadow import opened_candidate
        from orita.project import open_project

        project = open_project(self.folder, home=self.home, system=self.system, overrides=self.overrides)
        packages = project.home.packages / project.system.name

        def schema_of(answered_by: str) -> FeatureSchema:
            from orita.models.package.load import package_schema

            return package_schema(packages / answered_by)

        return opened_candidate(project.load_package, packages / version, schema_of, project.online_features)


def _stop(number: int, frame: object) -> None:
    """Stop as Ctrl-C does: what was scored is kept."""
    raise KeyboardInterrupt


def _follow(follower: ShadowFollower, every: float, screen: Screen) -> None:
    from orita.core.errors import OritaError

    told_at, told, waits = time.monotonic(), "", False
    screen.line("Following the prediction log; stop with Ctrl-C.")
    while True:
        began = time.monotonic()
        try:
            follower.look(every)
        except OritaError as error:  # control state is away: go on with what is known
            if told != str(error):
                told = str(error)
                screen.line(f"warning: {told}")
        if not waits and not follower.shadows:
            waits = True
            screen.line("No shadow is under way: it begins with 'orita deploy VERSION --strategy shadow'.")
        if time.monotonic() - told_at > _TELL_SECONDS:
            told_at = time.monotonic()
            for id_, shadow in follower.shadows.items():
                for version, counts in shadow.state.counts.items():
                    screen.line(f"{id_[:13]} {version}: {counts.scored:,} of {counts.chosen:,} requests scored")
        time.sleep(max(0.0, every - (time.monotonic() - began)))


def _tell_run(project: Project, told: dict[str, Rollout], *, as_json: bool) -> None:
    from orita.delivery.shadow.kept import read_state, shadow_folder

    states = {id_: read_state(shadow_folder(project.home, rollout.system, id_)) for id_, rollout in told.items()}
    found = [
        {"rollout": id_, "version": version, **{name: getattr(counts, name) for name in counts.__struct_fields__}}
        | ({"trouble": state.trouble[version]} if version in state.trouble else {})
        for id_, state in states.items()
        for version, counts in state.counts.items()
    ]
    if as_json:
        print_json({"shadows": found})
        return
    if not found:
        typer.echo(f"{project.system.name} has no shadow under way: 'orita deploy VERSION --strategy shadow'.")
        return
    names = ("rollout", "version", "chosen", "scored", "failed", "unread", "dropped")
    rows = [[escape(str(each[name])) for name in names] for each in found]
    table("Mirrored since the rollouts began", list(names), rows)
    for each in found:
        if "trouble" in each:
            typer.echo(f"warning: {each['trouble']}")


def _shadow_of(project: Project, id_: str | None) -> Rollout:
    """Return the shadow that *id_* begins, without it the latest."""
    from orita.delivery.rollouts import Rollouts

    current = Rollouts(project.home.control, project.home.tenant).current(project.system.name)
    shadows = [each for each in (*reversed(current.live), *current.ended) if not each.plan.routes]
    found = [each for each in shadows if id_ is None or each.id.startswith(id_)]
    if not found:
        known = f"Known: {', '.join(each.id for each in shadows)}." if shadows else "There was none yet."
        asked = "has no shadow" if id_ is None else f"has no shadow {id_!r}"
        raise NotFound(f"system {project.system.name!r} {asked}. {known}")
    if id_ is not None and len(found) > 1:
        raise NotFound(f"several shadows begin with {id_!r}: {', '.join(each.id for each in found)}.")
    return found[0]


def _show(found: ShadowSummary) -> None:
    typer.echo(f"shadow {found.rollout} of {found.system}: {found.state}, beside champion {found.champion}")
    for candidate in found.candidates:
        _show_candidate(candidate)


def _show_candidate(found: CandidateSummary) -> None:
    from orita.delivery.shadow.wording import counted, figure_rows, latency_rows

    typer.echo(f"\n{found.version}: {found.verdict.sentence}")
    for finding in found.verdict.findings:
        typer.echo(f"  {finding}")
    figures(counted(found))
    if found.figures:
        table("How differently it ranks", ["what", "mean", "95 % interval", "requests"], figure_rows(found))
        table("How long it takes (ms)", ["what", "p50", "p95", "p99"], latency_rows(found))
    if found.errors:
        rows = [[escape(e.kind), f"{e.count:,}", escape(e.message), escape(e.request_id)] for e in found.errors]
        table("What it did not score", ["kind", "requests", "such as", "request"], rows)
    if found.furthest:
        rows = [
            [escape(f.request_id), _or_dash(f.tau), f"{f.largest_shift:.4f}", escape(f.item)]
            for f in found.furthest[:5]
        ]
        table("Most different requests", ["request", "tau", "largest shift", "item"], rows)
        typer.echo("Why, item by item: orita explain REQUEST    Scored again: orita replay REQUEST")


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"
