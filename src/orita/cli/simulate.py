"""Commands about simulated users: simulate feed, scenarios, requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import typer.core
from rich.markup import escape

from orita.cli.app import JsonOption, app, settings_of
from orita.cli.console import figures, print_json, table
from orita.cli.opening import project_of

if TYPE_CHECKING:
    from orita.project import Project
    from orita.simulate.feed_plan import FeedParts, FeedSimulation

__all__ = ["feed_parts"]


class _Simulate(typer.core.TyperGroup):
    """Takes ``orita simulate SERVER`` for ``orita simulate requests SERVER``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments of the group."""
        if args and not {*self.commands, *ctx.help_option_names}.intersection(args):
            args = ["requests", *args]
        return super().parse_args(ctx, args)


simulate_app = typer.Typer(
    cls=_Simulate,
    no_args_is_help=True,
    help="Users of the synthetic world who live with a feed for days: what would the business gain?",
    epilog="First a world and a model: orita run all    Then: orita simulate feed --html feed.html",
)
app.add_typer(simulate_app, name="simulate")


@simulate_app.command("feed")
def feed_command(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, max=60, help="How many days go by.")] = 30,
    policy: Annotated[
        str,
        typer.Option(
            help="Who ranks for one half of the users: champion, challenger, a version, popularity, random, oracle."
        ),
    ] = "champion",
    vs: Annotated[str, typer.Option(help="Who ranks for the other half; the same choices.")] = "popularity",
    users: Annotated[
        int, typer.Option(min=4, help="How many users of the world take part; 50 a policy at least to say anything.")
    ] = 2000,
    candidates: Annotated[int, typer.Option(min=1, max=1000, help="Items that each page is chosen from.")] = 100,
    scenario: Annotated[
        str | None, typer.Option(help="What happens: a YAML file, or a name that 'orita simulate scenarios' lists.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same days.")] = 0,
    ceiling: Annotated[
        bool, typer.Option("--ceiling", help="Let the oracle, which knows every click probability, rank for a third.")
    ] = False,
    http: Annotated[
        str | None,
        typer.Option(help="Ask this server, such as http://127.0.0.1:8080, and push what users do to it."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write a page with plots here.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Let users live with two policies for some days: clicks, engagement, sessions, retention, with intervals.

    Users come in sessions, tire of what they saw, react to what is served, and stay or leave for good by how satisfied
    they were. What they do comes back as events, so that features move. Without --http the home stays as it is.

    Example: orita simulate feed --days 30 --policy champion --vs popularity --scenario drift --html feed.html
    """
    from orita.simulate.feed import simulate_feed
    from orita.simulate.feed_plan import FeedPlan
    from orita.simulate.scenario import Scenario, read_scenario

    happens = Scenario() if scenario is None else read_scenario(scenario)
    plan = FeedPlan(policy, vs, days, users, candidates, ceiling, seed, http, happens)
    screen = settings_of(context).screen
    found = simulate_feed(feed_parts(project_of(context)), plan, progress=screen)
    if html is not None:
        from orita.simulate.feed_page import write_feed_page

        write_feed_page(html, found)
    if as_json:
        print_json(found.to_dict() | ({"html": str(html)} if html is not None else {}))
        return
    _show(found)
    if html is not None:
        typer.echo(f"The page is {html}.")


@simulate_app.command("scenarios")
def scenarios_command(as_json: JsonOption = False) -> None:
    """List the scenarios that ship with Orita; --scenario takes their names, or a file of your own."""
    from orita.simulate.scenario import read_scenario, shipped

    found = {name: read_scenario(name) for name in shipped()}
    if as_json:
        print_json({"scenarios": {name: each.model_dump(exclude_none=True) for name, each in found.items()}})
        return
    rows = [[name, escape(each.about)] for name, each in found.items()]
    table("Scenarios", ["name", "what happens"], rows)


@simulate_app.command("requests")
def requests_command(
    context: typer.Context,
    server: Annotated[str, typer.Argument(help="Where the server answers, such as http://127.0.0.1:8080.")],
    requests: Annotated[int, typer.Option(min=1, help="How many feeds are asked for.")] = 1000,
    items: Annotated[int, typer.Option(min=1, max=1000, help="Candidates of each.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed asks the same, at the same time.")] = 0,
    clock: Annotated[
        Literal["wall", "world"],
        typer.Option(help="wall: users come now, as real ones do. world: just after the events of the home."),
    ] = "wall",
    feed: Annotated[bool, typer.Option("--feed", help="Ask for the feed, for which the server finds items.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let users of the synthetic world ask a server for feeds and react; their reactions are ingested as feedback.

    They come now, and react within a moment: rollouts, experiments and off-policy evaluation count what they do.
    With --clock world they live on where the history of the world ends, so that features move as they did there;
    nothing that compares by the time of answers counts them. 'orita simulate SERVER' does the same.
    """
    from orita.cli.traffic import simulated_traffic

    screen = settings_of(context).screen
    report = simulated_traffic(project_of(context), server, requests, items, seed, screen, clock=clock, feed=feed)
    print_json(report) if as_json else figures(report)


def feed_parts(project: Project) -> FeedParts:
    """Return what a simulation needs of *project*."""
    from orita.cli.traffic import world_folder
    from orita.events.world import load_world
    from orita.simulate.feed_plan import FeedParts
    from orita.simulate.item_history import item_counts

    world, validation = load_world(world_folder(project)), project.data.value.validation
    items = world.config.num_items
    counts = item_counts(project.home, project.system, items, memory_mb=validation.memory_mb)
    return FeedParts(world, project.system, project.generations, project.package, counts, validation)


def _show(found: FeedSimulation) -> None:
    from orita.simulate.feed_words import figure_text, lift_text, too_few, verdict
    from orita.simulate.figures import METRICS, RETENTION

    figures, plan = found.figures, found.plan
    names = figures.arms
    for arm, compared in figures.compared.items():
        rows = []
        for metric in (*METRICS, RETENTION):
            if (each := compared.get(metric.key)) is not None:
                values = [figure_text(metric, value) for value in (each.treatment, each.control)]
                rows.append([metric.name, *values, lift_text(each.lift), verdict(each)[0]])
        title = f"{names[arm]} ({figures.users[arm]:,} users) against {names[1]} ({figures.users[1]:,})"
        if rows:
            table(title, ["metric", names[arm], names[1], "lift (95 %)", "so"], rows)
    if warning := too_few(figures):
        typer.echo(warning)
    if plan.days <= 7:
        typer.echo("7-day retention needs more than seven days.")
    for happening in plan.scenario.happenings:
        typer.echo(happening.sentence)
    typer.echo(f"{plan.days} days, {found.events:,} items shown, in {found.seconds:.0f} s.")
