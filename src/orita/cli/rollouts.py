"""Commands about rollouts: deploy, and rollout status, pause, resume, acknowledge, advance, promote, abort, history."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import print_json
from orita.cli.opening import project_of
from orita.cli.rollout_plans import AT_ONCE, STRATEGIES, PlanOptions
from orita.cli.rollout_tables import NO_ROLLOUT, show_history, show_standing, told_event
from orita.core.errors import NotFound, UserError

if TYPE_CHECKING:
    from orita.core.home import Home
    from orita.delivery.rollouts import Rollout, RolloutPlan, Rollouts
    from orita.delivery.rollouts.standing import Standing
    from orita.project import Project

__all__: list[str] = []

rollout_app = typer.Typer(
    no_args_is_help=True,
    help="Rollouts: how a new version reaches users, step by step, watched, and taken back where it does harm. "
    "'orita deploy VERSION --strategy canary' begins one.",
    epilog="Who decides: 'orita controller' judges and advances    Without it, rollouts stand still.",
)
app.add_typer(rollout_app, name="rollout")

_ALIASES = ("champion", "challenger")

IdArgument = Annotated[
    str | None,
    typer.Argument(help="The rollout, or the first letters of its id; by default the one that changes answers."),
]
ReasonOption = Annotated[str, typer.Option(help="Why; it is kept with the decision.")]


@app.command("deploy")
def deploy_command(
    context: typer.Context,
    versions: Annotated[
        list[str] | None, typer.Argument(help="Registered versions, such as v1.3.0; several for ab, bandit, shadow.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help=f"{AT_ONCE} (by default), {', '.join(STRATEGIES[:-1])} or {STRATEGIES[-1]}.")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="Canary: percent of users at each step; by default 1,5,25,50,100.")
    ] = None,
    soak: Annotated[
        str | None,
        typer.Option(help="Canary, blue-green: how long it is watched at 100 % before it is the champion; 10m."),
    ] = None,
    shares: Annotated[
        str | None,
        typer.Option(
            "--shares",
            "--share",
            help="ab, bandit: percent of each version, 25,25; segment, shadow: of the audience, of requests.",
        ),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Chance that a harmless version is rolled back, over all looks; 0.01.")
    ] = None,
    most_loss: Annotated[
        str | None, typer.Option(help="Relative loss of the metric that must be excluded, such as 2.5%.")
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="Outcomes count until so long after the answer, such as 30m.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="The attribute that keeps a version, user_id; again: where that is absent.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Who takes part: '{is: in, attribute: device, values: \\[mobile]}'.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option(help="Who gets a version anyhow: user_id=7:v1.3.0; may be given again.")
    ] = None,
    guardrail: Annotated[
        list[str] | None,
        typer.Option(help="What must not get worse besides: like, dwell_time:5%:mean, hide:down; may be given again."),
    ] = None,
    cpu: Annotated[float | None, typer.Option(help="Shadow: most percent of one processor; 10.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A plan as YAML or JSON; what is given beside it counts instead.")
    ] = None,
    reason: ReasonOption = "deployed on the command line",
    as_json: JsonOption = False,
) -> None:
    """Deploy a version: to everybody at once, or by a strategy that tries it on some users first.

    A canary goes up by steps and back by itself. blue-green holds the version ready until 'orita rollout advance'.
    ab keeps shares until somebody decides. bandit moves them to what does best. segment is for those that --where
    names. shadow changes no answer: it scores copies of requests.
    """
    options = PlanOptions(
        tuple(versions or ()), file, strategy, steps, soak, alpha, most_loss, window,
        tuple(by or ()), where, tuple(override or ()), shares, cpu, tuple(guardrail or ()),
    )  # fmt: skip
    if strategy is not None and strategy not in (AT_ONCE, *STRATEGIES):
        raise UserError(f"--strategy {strategy!r} is none: use {AT_ONCE}, {', '.join(STRATEGIES)}.")
    if options.at_once:
        from orita.cli.learn import promote_model

        promote_model(context, options.versions[0], reason, as_json)
        return
    plan, project = options.plan(), project_of(context)
    rollout = _begun(context, project, plan, reason)
    _show(project, rollout, as_json=as_json)
    if not as_json:
        typer.echo("\nNext: orita rollout status")


@rollout_app.command("status")
def status_command(
    context: typer.Context,
    system: Annotated[str | None, typer.Option(help="Only of this system, such as feed; by default of all.")] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Go on until nothing is under way: drawn anew each second, off a terminal a line for each change.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show how rollouts stand: who gets what since when, what the analysis says, and whether a controller acts."""
    project = project_of(context)

    def look(also: Collection[str] = ()) -> list[Standing]:
        return _standing(project, _shown(_rollouts(project), system, also))

    if watch:
        from orita.cli.rollout_watch import watch_rollouts

        watch_rollouts(look, project.home, as_json=as_json)
    else:
        _print(look(), project.home, as_json=as_json)


@rollout_app.command("pause")
def pause_command(
    context: typer.Context,
    id_: IdArgument = None,
    reason: ReasonOption = "paused on the command line",
    as_json: JsonOption = False,
) -> None:
    """Stop the way up until 'orita rollout resume'; a controller still takes the version back where it does harm."""
    project, who = _acting(context)
    _show(project, _rollouts(project).pause(project.system.name, id_, actor=who, reason=reason), as_json=as_json)


@rollout_app.command("resume")
def resume_command(
    context: typer.Context,
    id_: IdArgument = None,
    reason: ReasonOption = "resumed on the command line",
    as_json: JsonOption = False,
) -> None:
    """Go on with a rollout that is paused."""
    project, who = _acting(context)
    _show(project, _rollouts(project).resume(project.system.name, id_, actor=who, reason=reason), as_json=as_json)


@rollout_app.command("acknowledge")
def acknowledge_command(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="Why it is meant; it is kept with the decision.")],
    checks: Annotated[
        list[str] | None, typer.Argument(help="scores, drift or split; by default all that hold it now.")
    ] = None,
    rollout: Annotated[
        str | None, typer.Option(help="Its id, or the first letters; by default the one that changes answers.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say that what holds a rollout was looked at and is meant: these checks hold it no more.

    They go on being computed and shown. What takes a version back cannot be acknowledged.
    """
    from orita.delivery.rollouts.acknowledgements import check_names, holding

    check_names(checks or ())
    project, who = _acting(context)
    rollouts = _rollouts(project)
    found = rollouts.under_way(project.system.name, rollout)
    (told,) = _standing(project, [found])
    beyond = holding(found, told.evidence, checks or ())
    _show(project, rollouts.acknowledge(found, beyond, actor=who, reason=reason), as_json=as_json)


@rollout_app.command("advance")
def advance_command(
    context: typer.Context,
    id_: IdArgument = None,
    reason: ReasonOption = "advanced on the command line",
    as_json: JsonOption = False,
) -> None:
    """Go to the next step without waiting for the analysis; of blue-green: switch everybody."""
    project, who = _acting(context)
    rollouts = _rollouts(project)
    rollout = rollouts.under_way(project.system.name, id_)
    _show(project, rollouts.advance(rollout, actor=who, reason=reason), as_json=as_json)


@rollout_app.command("promote")
def promote_command(
    context: typer.Context,
    id_: IdArgument = None,
    version: Annotated[str | None, typer.Option(help="Which version wins, where several are tried.")] = None,
    reason: ReasonOption = "promoted on the command line",
    as_json: JsonOption = False,
) -> None:
    """Make the version that is tried the champion, and end the rollout."""
    project, who = _acting(context)
    rollout = _rollouts(project).promote(project.system.name, id_, version=version, actor=who, reason=reason)
    project.catalogue().reconcile(project.system.name)  # the alias of the registry follows
    _show(project, rollout, as_json=as_json)


@rollout_app.command("abort")
def abort_command(
    context: typer.Context,
    id_: IdArgument = None,
    reason: ReasonOption = "aborted on the command line",
    as_json: JsonOption = False,
) -> None:
    """End a rollout: everybody gets the champion."""
    project, who = _acting(context)
    _show(project, _rollouts(project).abort(project.system.name, id_, actor=who, reason=reason), as_json=as_json)


@rollout_app.command("history")
def history_command(context: typer.Context, id_: IdArgument = None, as_json: JsonOption = False) -> None:
    """List every decision of a rollout, or of all of the system, with who, when, why and what it rests on."""
    project = project_of(context)
    events = [told_event(event) for event in _rollouts(project).history(project.system.name)]
    if id_ is not None:
        events = [each for each in events if str(each["rollout"]).startswith(id_)]
        if not events:
            raise NotFound(
                f"system {project.system.name!r} never had a rollout {id_!r}: 'orita rollout history' lists."
            )
    if as_json:
        print_json({"events": events})
    elif events:
        show_history(events)
    else:
        typer.echo(NO_ROLLOUT)


def _rollouts(project: Project) -> Rollouts:
    from orita.delivery.rollouts import Rollouts

    return Rollouts(project.home.control, project.home.tenant)


def _acting(context: typer.Context) -> tuple[Project, str]:
    from orita.project import actor

    return project_of(context), actor()


def _begun(context: typer.Context, project: Project, plan: RolloutPlan, reason: str) -> Rollout:
    """Begin a rollout of versions whose packages are published, whole, and read features that are known."""
    from orita.delivery.rollouts.checking import check_metric
    from orita.project import actor

    system, screen = project.system.name, settings_of(context).screen
    rollouts, found = _rollouts(project), []
    check_metric(plan, project.system.source.schema.types)
    plan = _named(plan, lambda alias: project.catalogue().get(system, alias).version)
    rollouts.check(system, plan)  # what is wrong is told before packages are verified, which takes its time
    catalogue = project.catalogue()
    with screen.bar("Packages are verified", total=len(plan.versions)) as bar:
        for version in plan.versions:
            entry = catalogue.publish(system, version)
            package = project.load_package(project.home.packages / system / entry.version)
            project.system.check(package.schema, f"model {entry.version}")
            found.append(entry.version)
            bar.advance()
    return rollouts.start(system, msgspec.structs.replace(plan, versions=tuple(found)), actor=actor(), reason=reason)


def _named(plan: RolloutPlan, version_of: Callable[[str], str]) -> RolloutPlan:
    """Return the plan where an alias, such as challenger, became the version that it names."""
    said = {*plan.versions, *(each.variant for each in plan.overrides)}
    names = {alias: version_of(alias) for alias in _ALIASES if alias in said}
    return msgspec.structs.replace(
        plan,
        versions=tuple(names.get(version, version) for version in plan.versions),
        overrides=tuple(
            msgspec.structs.replace(each, variant=names.get(each.variant, each.variant)) for each in plan.overrides
        ),
    )


def _shown(rollouts: Rollouts, system: str | None, also: Collection[str]) -> list[Rollout]:
    """Return the rollouts under way, of a system that has none the last that ended, and those of the ids in *also*."""
    found: list[Rollout] = []
    for name, state in rollouts.all().items():
        if system in (None, name):
            ended = [each for each in state.ended if each.id in also]
            found += (*state.live, *ended) or state.ended[:1]
    return found


def _standing(project: Project, rollouts: list[Rollout]) -> list[Standing]:
    from orita.delivery.rollouts.standing import Standings

    return Standings(project.home.control, project.home.tenant).each(rollouts)


def _show(project: Project, rollout: Rollout, *, as_json: bool) -> None:
    (told,) = _standing(project, [rollout])
    print_json(msgspec.to_builtins(told)) if as_json else show_standing(told, project.home)


def _print(told: list[Standing], home: Home, *, as_json: bool) -> None:
    if as_json:
        print_json({"rollouts": msgspec.to_builtins(told)})
        return
    for number, each in enumerate(told):
        if number:
            typer.echo()
        show_standing(each, home)
    if not told:
        typer.echo(NO_ROLLOUT)
