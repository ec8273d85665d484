"""``orita deploy`` and ``orita rollout``: begun from options and files, decided, told; what is wrong is a sentence."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_tables import orita_json, run_orita
from tests.registry.conftest import draft  # noqa: F401 - a fixture
from tests.registry.registering import register
from tests.registry.small_registry import empty_registry

import orita.cli.control
import orita.cli.controller
import orita.cli.learn
import orita.cli.rollouts  # noqa: F401  all register their commands
from orita.cli.rollout_plans import PlanOptions
from orita.cli.rollout_tables import ends_with_promotion
from orita.control.deployments import Deployments
from orita.control.leases import Leases
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.delivery.rollouts import RolloutPlan, Rollouts
from orita.delivery.rollouts.findings import Finding
from orita.delivery.rollouts.notes import Look, Note
from orita.delivery.rollouts.rollout import Verdict
from orita.delivery.rollouts.rollouts import lease_name
from orita.delivery.rollouts.trouble import Trouble

MOBILE = "{is: in, attribute: device, values: [mobile]}"


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, draft: Path) -> Path:  # noqa: F811
    """Return a project whose registry has v1.1.0, which is deployed, v1.2.0 and v1.3.0, which were never published."""
    folder = tmp_path_factory.mktemp("registered")
    catalogue = empty_registry(Home(folder / ".orita"))
    catalogue.promote("feed", register(catalogue, draft).version, actor="ada", reason="first")
    for _ in range(2):
        register(catalogue, draft)
    return folder


@pytest.fixture
def folder(registered: Path, tmp_path: Path) -> Path:
    """The same, for one test to change."""
    return Path(shutil.copytree(registered, tmp_path / "mine"))


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A project with a canary of v2 against v1 under way, without a registry."""
    home = Home(tmp_path / ".orita")
    Deployments(home.control_db).deploy("feed", "v1", actor="test", reason="test")
    plan = RolloutPlan(strategy="canary", versions=("v2",))
    Rollouts(home.control_db).start("feed", plan, actor="test", reason="test")
    return tmp_path


def options(*versions: str, **given: Any) -> PlanOptions:
    """Return what the command line says where nothing else is given."""
    names = [each.name for each in fields(PlanOptions)]
    nothing = {name: () if name in ("by", "overrides") else None for name in names}
    return PlanOptions(**{**nothing, "versions": versions, **given})


def plan_of(folder: Path) -> RolloutPlan:
    """Return the plan of the rollout under way."""
    return Rollouts(Home(folder / ".orita").control_db).under_way("feed").plan


def champion(folder: Path) -> str:
    """Return what is deployed."""
    found = Deployments(Home(folder / ".orita").control_db).current("feed")
    assert found is not None
    return found.version


def aliases(folder: Path) -> dict[str, list[str]]:
    """Return the aliases of each version in the registry."""
    return {each["version"]: each["aliases"] for each in orita_json(folder, "models", "list")["models"]}


def test_nothing_was_begun(tmp_path: Path) -> None:
    """Looking says what to do, and makes nothing."""
    assert "orita deploy VERSION" in run_orita(tmp_path, "rollout", "status")
    assert "orita deploy VERSION" in run_orita(tmp_path, "rollout", "history")
    assert orita_json(tmp_path, "rollout", "status") == {"rollouts": []}
    assert not (tmp_path / ".orita" / "control.db").exists()


def test_a_canary_from_its_beginning_to_its_end(folder: Path) -> None:
    """It publishes the package, goes on by commands, and its promotion is the registry's too; a rollback goes back."""
    begun = orita_json(folder, "deploy", "challenger", "--strategy", "canary", "--steps", "5,100", "--reason", "topics")
    assert (begun["versions"], begun["shares"]) == (["v1.3.0"], {"v1.1.0": 95.0, "v1.3.0": 5.0})
    assert (Home(folder / ".orita").packages / "feed" / "v1.3.0").is_dir()
    told = run_orita(folder, "rollout", "status")
    assert "canary of v1.3.0 against v1.1.0 (feed)" in told
    assert "running, step 1 of 2" in told
    assert "no controller is acting: run 'orita controller'" in told
    assert orita_json(folder, "rollout", "pause", "--reason", "lunch")["state"] == "paused"
    assert orita_json(folder, "rollout", "resume", begun["id"][:13])["state"] == "running"
    assert orita_json(folder, "rollout", "advance")["shares"]["v1.3.0"] == 100.0
    assert orita_json(folder, "rollout", "promote", begun["id"])["winner"] == "v1.3.0"
    assert champion(folder) == "v1.3.0"
    assert aliases(folder) == {"v1.3.0": ["champion"], "v1.2.0": [], "v1.1.0": []}
    events = orita_json(folder, "rollout", "history")["events"]
    assert [each["what"] for each in events] == ["started", "paused", "resumed", "advanced", "promoted"]
    assert all(each["who"] and each["why"] and each["at"] for each in events)
    assert (events[0]["why"], events[1]["why"]) == ("topics", "lunch")
    assert "v1.3.0 since then" in run_orita(folder, "rollout", "status")
    assert "is the champion again" in run_orita(folder, "models", "rollback")
    assert champion(folder) == "v1.1.0"
    assert aliases(folder)["v1.1.0"] == ["champion"]


def test_a_promotion_that_the_registry_was_not_told_of(folder: Path) -> None:
    """A controller promotes in control state alone: the next command of the registry follows, and undoes nothing."""
    begun = orita_json(folder, "deploy", "v1.2.0", "--strategy", "blue-green")
    Rollouts(Home(folder / ".orita").control_db).promote("feed", begun["id"], actor="controller", reason="proven")
    assert aliases(folder)["v1.1.0"] == ["champion"]
    assert "v1.3.0 (popularity) is the champion." in run_orita(folder, "models", "promote", "v1.3.0")
    assert "v1.2.0 (popularity) is the champion again." in run_orita(folder, "models", "rollback")
    assert (champion(folder), aliases(folder)["v1.2.0"]) == ("v1.2.0", ["champion"])


def test_a_controller_tells_the_registry(folder: Path) -> None:
    """What it promoted a moment before it died, its successor tells the registry, without a command of that."""
    begun = orita_json(folder, "deploy", "v1.2.0", "--strategy", "blue-green")
    Rollouts(Home(folder / ".orita").control_db).promote("feed", begun["id"], actor="controller", reason="proven")
    assert aliases(folder)["v1.1.0"] == ["champion"]
    assert orita_json(folder, "controller", "--once") == {"rollouts": []}
    assert aliases(folder)["v1.2.0"] == ["champion"]


def test_all_at_once_is_a_promotion(folder: Path) -> None:
    """Without a strategy the version is the champion; what becomes of a rollout under way is said beside it."""
    begun = orita_json(folder, "deploy", "v1.2.0", "--strategy", "canary")
    home = Home(folder / ".orita")
    assert ends_with_promotion(home, "feed", "v1.1.0") is None
    assert "v1.3.0 (popularity) is the champion." in run_orita(folder, "deploy", "v1.3.0", "--reason", "urgent")
    assert champion(folder) == "v1.3.0"
    assert orita_json(folder, "control", "log", "--kind", "deployment")["events"][-1]["reason"] == "urgent"
    said = ends_with_promotion(home, "feed", "v1.3.0")
    assert said is not None
    assert f"A canary of v1.2.0 against v1.1.0 was under way ({begun['id']})" in said
    assert orita_json(folder, "rollout", "abort", "--reason", "over")["state"] == "aborted"


def test_options_are_the_plan(folder: Path) -> None:
    """Each option is a part of the plan; what is not given is as by default."""
    given = ["--soak", "10m", "--alpha", "0.02", "--most-loss", "5%", "--window", "2h", "--where", MOBILE]
    given += ["--by", "user_id", "--by", "session", "--override", "user_id=7,8:v1.2.0"]
    given += ["--guardrail", "like", "--guardrail", "dwell_time:5%:mean"]
    run_orita(folder, "deploy", "v1.2.0", "--strategy", "canary", *given)
    plan = plan_of(folder)
    assert (plan.soak_seconds, plan.by) == (600.0, ("user_id", "session"))
    assert plan.checks.metric is not None
    assert (plan.checks.alpha, plan.checks.metric.most_loss) == (0.02, 0.05)
    assert (plan.checks.metric.window_seconds, plan.checks.metric.name) == (7200.0, "click")
    assert (plan.overrides[0].values, plan.overrides[0].variant) == (("7", "8"), "v1.2.0")
    assert plan.audience is not None
    assert [(each.name, each.kind, each.most_loss) for each in plan.checks.guardrails] == [
        ("like", "rate", 0.0),
        ("dwell_time", "mean", 0.05),
    ]


def test_guardrails() -> None:
    """What follows the column may be in any order; those of a file are replaced, its other checks stay."""
    plan = options("v2", strategy="canary", guardrails=("hide:down:10", "like")).plan()
    (hide, like) = plan.checks.guardrails
    assert (hide.direction, hide.kind, hide.most_loss, like.direction) == ("down", "rate", 0.1, "up")
    for wrong in ("", ":5", "like:x", "like:5:6", "like:mean:rate"):
        with pytest.raises(UserError, match="--guardrail has the value"):
            options("v2", strategy="canary", guardrails=(wrong,)).plan()
    with pytest.raises(UserError, match="--guardrail is of a strategy"):
        _ = options("v2", guardrails=("like",)).at_once


def test_a_guardrail_that_no_interaction_has(folder: Path) -> None:
    """It is refused with its place and the nearest, and nothing begins."""
    with pytest.raises(UserError, match=r"checks\.guardrails\[0\]\.name is 'lik'.*'like'"):
        run_orita(folder, "deploy", "v1.2.0", "--strategy", "canary", "--guardrail", "lik")
    assert orita_json(folder, "rollout", "status") == {"rollouts": []}


def test_shares() -> None:
    """Of versions, or of requests that a shadow sees."""
    assert options("v2", "v3", strategy="ab", shares="25, 30%").plan().shares == (25.0, 30.0)
    shadow = options("v2", strategy="shadow", shares="20", cpu=5.0).plan()
    assert (shadow.mirrored, shadow.cpu_percent) == (20.0, 5.0)
    assert options("v2", strategy="blue-green", soak="0s").plan().strategy == "blue_green"


def test_a_plan_from_a_file(tmp_path: Path) -> None:
    """YAML or JSON; what is given beside the file counts instead."""
    plan: dict[str, Any] = {"strategy": "canary", "versions": ["v2"], "steps": [{"share": 2}, {"share": 100}]}
    plan["checks"] = {"metric": {"name": "like"}, "latency": None}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    found = options("v3", file=tmp_path / "plan.json", most_loss="1").plan()
    assert (found.versions, [step.share for step in found.steps]) == (("v3",), [2.0, 100.0])
    assert found.checks.metric is not None
    assert (found.checks.metric.name, found.checks.metric.most_loss, found.checks.latency) == ("like", 0.01, None)
    (tmp_path / "plan.yaml").write_text(f"strategy: segment\nversions: [v2]\naudience: {MOBILE}\n")
    assert options(file=tmp_path / "plan.yaml").plan().strategy == "segment"
    for wrong, sentence in (("[1]", "is no mapping"), ("{strategy: ab, verions: [v2]}", "unknown field 'verions'")):
        (tmp_path / "plan.yaml").write_text(wrong)
        with pytest.raises(UserError, match=sentence):
            options(file=tmp_path / "plan.yaml").plan()
    (tmp_path / "plan.yaml").write_text("strategy: ab\nversions: [v2]\nchecks: {metric: click}\n")
    with pytest.raises(UserError, match=r"checks\.metric of the plan is 'click', no mapping"):
        options(file=tmp_path / "plan.yaml", most_loss="2%").plan()


def test_who_acts_is_told(begun: Path) -> None:
    """The holder of the lease; of another system, nothing."""
    Leases(Home(begun / ".orita").control_db).take(lease_name("feed"), "host-1", 60)
    assert "host-1 acts" in run_orita(begun, "rollout", "status")
    told = orita_json(begun, "rollout", "status", "--system", "feed")["rollouts"][0]
    assert (told["controller"], told["trouble"]) == ("host-1", None)
    assert orita_json(begun, "rollout", "status", "--system", "ads") == {"rollouts": []}


def test_trouble_of_who_acts_is_told(begun: Path) -> None:
    """What it is, since when, what to do; gone with the lease."""
    leases = Leases(Home(begun / ".orita").control_db)
    lease = leases.take(lease_name("feed"), "host-1", 60)
    assert lease is not None
    since = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
    standing = orita_json(begun, "rollout", "status")["rollouts"][0]
    found = Trouble(what="the log [red]burns.", remedy="Put it out.", since=since)
    leases.tell(lease, Note(rollout=standing["id"], trouble=found).kept())
    told = " ".join(run_orita(begun, "rollout", "status").split())
    assert "the log [red]burns. (since 2024-11-15 10:30:00 UTC) Put it out." in told
    trouble = orita_json(begun, "rollout", "status")["rollouts"][0]["trouble"]
    assert trouble == {"what": "the log [red]burns.", "remedy": "Put it out.", "since": "2024-11-15T10:30:00Z"}
    leases.release(lease)
    assert orita_json(begun, "rollout", "status")["rollouts"][0]["trouble"] is None


def test_a_shadow_is_told_by_what_it_found(begun: Path) -> None:
    """No shares and no controller: what is mirrored, and what is known of each candidate; ended, only that."""
    rollouts = Rollouts(Home(begun / ".orita").control_db)
    plan = RolloutPlan(strategy="shadow", versions=("v3", "v4"), shares=(20,))
    shadow = rollouts.start("feed", plan, actor="test", reason="test")
    told = run_orita(begun, "rollout", "status").partition(shadow.id)[2]
    assert "20 % of requests" in told
    assert "nothing scored" in told
    assert "orita shadow report" in told
    assert "controller" not in told
    rollouts.abort("feed", shadow.id, actor="test", reason="seen")
    assert shadow.id not in run_orita(begun, "rollout", "status")


def test_what_the_analysis_says_is_told(begun: Path) -> None:
    """The verdict in words, with what it rests on; names that look like markup are shown as they are."""
    rollouts = Rollouts(Home(begun / ".orita").control_db)
    seen = rollouts.under_way("feed")
    rollouts.judge(seen, "not_enough_traffic", "280 requests more, [bold]soon", actor="c", evidence={"requests": 220})
    assert "not enough traffic: 280 requests more, [bold]soon" in run_orita(begun, "rollout", "status")
    told = orita_json(begun, "rollout", "status")["rollouts"][0]
    assert (told["verdict"], told["evidence"]) == ("not_enough_traffic", {"requests": 220})
    assert '{"requests":220}' in run_orita(begun, "rollout", "history", seen.id[:13])
    assert "left out" not in run_orita(begun, "rollout", "status")
    evidence = {"verdict": "hold", "left_out": 12_345, "behind": 6_789, "checks": {}}
    rollouts.judge(rollouts.under_way("feed"), "hold", "wait", actor="c", evidence=evidence)
    assert "12,345 users, whom the metric does not count" in run_orita(begun, "rollout", "status")
    assert "6,789 answers under the present shares went by those of before" in " ".join(
        run_orita(begun, "rollout", "status").split()
    )
    checks = {"guardrail like v2": {"says": "fine", "why": "like: v2 has +1 %", "p_worse": 0.5}}
    seen = rollouts.under_way("feed")
    rollouts.judge(seen, "not_enough_traffic", "", actor="c", evidence={"checks": checks})
    assert "fine: like: v2 has +1 %" in " ".join(run_orita(begun, "rollout", "status").split())
    assert '"left_out":12345' in run_orita(begun, "rollout", "history", seen.id[:13])


def test_what_holds_it_is_acknowledged(begun: Path) -> None:
    """By its name or all of it; the standing and the history say what, who and why."""
    rollouts = Rollouts(Home(begun / ".orita").control_db)
    checks = {f"{check} v2": {"says": "beyond", "why": "[bold]it differs"} for check in ("scores", "drift")}
    rollouts.judge(rollouts.under_way("feed"), "hold", "look", actor="c", evidence={"checks": checks})
    id_ = rollouts.under_way("feed").id
    said = " ".join(run_orita(begun, "rollout", "acknowledge", "scores", "--reason", "a new [red]scale").split())
    assert "acknowledged scores of v2 by " in said
    assert "a new [red]scale" in said
    with pytest.raises(UserError, match=r"scores does not hold rollout .* now: drift does\."):
        run_orita(begun, "rollout", "acknowledge", "drift", "scores", "--reason", "both")
    told = orita_json(begun, "rollout", "acknowledge", "--reason", "all", "--rollout", id_[:13])
    assert [each["beyond"]["check"] for each in told["acknowledged"]] == ["scores", "drift"]
    events = orita_json(begun, "rollout", "history")["events"][2:]
    beyond = {"check": "scores", "version": "v2", "why": "[bold]it differs"}
    assert (events[0]["what"], events[0]["why"], events[0]["beyond"]) == ("acknowledged", "a new [red]scale", [beyond])
    assert {"acknowledged", "scores", "drift"} <= set(run_orita(begun, "rollout", "history").split())
    for wrong in (["score", "--reason", "x"], ["errors", "--reason", "x"]):
        with pytest.raises(UserError, match="only scores, drift and split hold a rollout"):
            run_orita(begun, "rollout", "acknowledge", *wrong)


def meanwhile(monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> None:
    """Let one of the steps happen in each second of watching."""
    left = iter(steps)
    monkeypatch.setattr("orita.cli.rollout_watch.sleep", lambda _: next(left)())


def looks(home: Home) -> Callable[..., Callable[[], None]]:
    """Return what makes steps in which a controller that acts looked, and said so beside its lease."""
    leases, rollouts = Leases(home.control_db), Rollouts(home.control_db)
    lease = leases.take(lease_name("feed"), "host-1", 600)
    assert lease is not None

    def look(requests: int, verdict: Verdict = "not_enough_traffic") -> Callable[[], None]:
        def step() -> None:
            rollout, why = rollouts.under_way("feed"), f"answered [red]{requests} requests"
            found = Look.of(Finding(verdict=verdict, why=why), rollout, datetime.now(UTC))
            leases.tell(lease, Note(rollout=rollout.id, look=found).kept())

        return step

    return look


def test_watching_shows_every_change_until_the_end(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each change, of all that is under way; it ends with the last rollout, and tells how each did."""
    home = Home(begun / ".orita")
    rollouts, look = Rollouts(home.control_db), looks(home)
    end = partial(rollouts.abort, "feed", actor="c", reason="enough")
    canary = rollouts.under_way("feed")
    shadow = rollouts.start("feed", RolloutPlan(strategy="shadow", versions=("v3",)), actor="c", reason="test")
    meanwhile(
        monkeypatch,
        look(100),
        look(200),
        lambda: rollouts.advance(rollouts.under_way("feed", canary.id), actor="c", reason="well"),
        partial(end, canary.id),
        partial(end, shadow.id),
    )
    lines = run_orita(begun, "rollout", "status", "--watch", "--json").splitlines()
    told: list[list[dict[str, Any]]] = [json.loads(line)["rollouts"] for line in lines]
    found = [[(each["id"], each["state"], each["step"]) for each in line] for line in told]
    assert found == [
        [(canary.id, "running", 1), (shadow.id, "running", 1)],
        [(canary.id, "running", 1), (shadow.id, "running", 1)],
        [(canary.id, "running", 2), (shadow.id, "running", 1)],
        [(shadow.id, "running", 1), (canary.id, "aborted", 2)],
        [(shadow.id, "aborted", 1), (canary.id, "aborted", 2)],
    ]
    assert [line[0]["verdict"] for line in told[:2]] == ["not_looked_at", "not_enough_traffic"]
    assert told[-1][0]["why"] == "enough"


def test_watching_off_a_terminal_prints_what_changed(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line each: figures that grow with every look are no change, a verdict and an end are."""
    home = Home(begun / ".orita")
    rollouts, look = Rollouts(home.control_db), looks(home)
    end = partial(rollouts.abort, "feed", actor="c", reason="enough")
    meanwhile(monkeypatch, look(100), look(200), look(300), look(400, "hold"), look(500, "hold"), end)
    first, *lines = run_orita(begun, "rollout", "status", "--watch").splitlines()
    assert first.endswith("feed  v2  running, step 1 of 5  v1 99 % v2 1 %  not looked at")
    assert [line.partition(" UTC  ")[2] for line in lines] == [
        "feed  v2  running, step 1 of 5  v1 99 % v2 1 %  not enough traffic: answered [red]100 requests",
        "feed  v2  running, step 1 of 5  v1 99 % v2 1 %  hold: answered [red]400 requests",
        "feed  v2  aborted, step 1 of 5  enough",
    ]
    assert "aborted" in run_orita(begun, "rollout", "status", "--watch")


def test_watching_nothing_ends_at_once(tmp_path: Path) -> None:
    """There is nothing to wait for."""
    assert "orita deploy VERSION" in run_orita(tmp_path, "rollout", "status", "--watch")
    assert orita_json(tmp_path, "rollout", "status", "--watch") == {"rollouts": []}


def test_watching_on_a_terminal_draws_in_place(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each second the figures stand where they stood; what is left on the terminal is the last."""
    home = Home(begun / ".orita")
    rollouts, look = Rollouts(home.control_db), looks(home)
    end = partial(rollouts.abort, "feed", actor="c", reason="enough")
    meanwhile(monkeypatch, look(100), look(200), look(300), end)
    for name, value in {"TTY_COMPATIBLE": "1", "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}.items():
        monkeypatch.setenv(name, value)
    drawn = run_orita(begun, "rollout", "status", "--watch")
    assert all(f"answered [red]{requests} requests" in drawn for requests in (100, 200, 300))
    left = [line for line in screen_of(drawn) if line.strip()]
    assert [line.split()[0] for line in left] == ["rollout", "what", "state", "ended", "why"]
    assert left[-1].split() == ["why", "enough"]


def screen_of(printed: str) -> list[str]:
    """Return the lines that a terminal shows in the end; of control sequences it knows how to go up, and to clear."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)", printed):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.endswith("A") and part.startswith("\x1b"):
            row -= int(part[2:-1])
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith(("\x1b", "\r")):
            lines[row] += part
    return lines


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ("deploy", UserError, "no version is given"),
        ("deploy v1.2.0 v1.3.0", UserError, "2 versions are given: give --strategy ab or bandit"),
        ("deploy v1.2.0 --steps 1,100", UserError, "--steps is of a strategy: give --strategy canary too"),
        ("deploy v1.2.0 --strategy canry", UserError, "--strategy 'canry' is none: use all-at-once, canary"),
        ("deploy v9.9.9 --strategy canary", NotFound, "has no model 'v9.9.9'"),
        ("deploy v1.1.0 --strategy canary", UserError, r"v1\.1\.0 is the champion of 'feed' already"),
        ("deploy v1.2.0 v1.3.0 --strategy canary", UserError, "strategy 'canary' is for one version, 2 are given"),
        ("deploy v1.2.0 --strategy canary --steps 5,1", UserError, "rising percentages above 0, the last 100"),
        ("deploy v1.2.0 --strategy canary --steps 5,x", UserError, "--steps has the value '5,x'"),
        ("deploy v1.2.0 --strategy ab --steps 5", UserError, "--steps means nothing for the strategy 'ab'"),
        ("deploy v1.2.0 --strategy canary --soak soon", UserError, "--soak 'soon' is not understood"),
        ("deploy v1.2.0 --strategy canary --override 7:v1", UserError, "--override has the value '7:v1'"),
        ("deploy v1.2.0 --strategy canary --where {a", UserError, "--where cannot be read as YAML"),
        (
            "deploy v1.2.0 --strategy canary --alpha 3",
            UserError,
            r"--alpha has the value 3\.0, expected float > 0 and < 1",
        ),
        ("deploy v1.2.0 --strategy canary --alpha nan", UserError, "--alpha has the value nan, expected float > 0"),
        ("deploy v1.2.0 --strategy canary --most-loss 150", UserError, "--most-loss has the value 1.5, expected"),
        ("deploy v1.2.0 --strategy shadow --cpu 0", UserError, "--cpu has the value 0.0, expected float > 0"),
        ("deploy v1.2.0 --strategy shadow --by device", UserError, "by means nothing for the strategy 'shadow'"),
        ("deploy v1.2.0 --strategy segment", UserError, "strategy 'segment' has no audience"),
        ("deploy --file nothing.yaml", UserError, "nothing.yaml cannot be read"),
        ("rollout pause", NotFound, "system 'feed' has no rollout under way"),
        ("rollout acknowledge --reason meant", NotFound, "system 'feed' has no rollout under way"),
        ("rollout history 7", NotFound, "never had a rollout '7'"),
    ],
)
def test_wrong_words(registered: Path, arguments: str, error: type[Exception], sentence: str) -> None:
    """Each is refused with what is there or allowed, and nothing is decided."""
    with pytest.raises(error, match=sentence):
        run_orita(registered, *arguments.split())
    assert orita_json(registered, "control", "log", "--kind", "rollout")["events"] == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--where", "{is: matches, attribute: a, pattern: '(('}"], r"audience cannot be used: the pattern '\(\('"),
        (
            ["--override", "user_id=7:v9"],
            r"overrides\[0\]\.variant is 'v9', which is not tried: allowed are v1\.2\.0 and",
        ),
        (["--where", "{is: segment, name: staff}"], "the segment 'staff' is not declared"),
        (["--by", ""], r"by is \[''\]"),
    ],
)
def test_what_is_cheap_to_tell_is_told_first(
    registered: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], sentence: str
) -> None:
    """No package is published or verified for a plan that is wrong anyhow."""

    def published(*_: object) -> None:
        raise AssertionError("a package was published")

    monkeypatch.setattr("orita.registry.catalogue.Catalogue.publish", published)
    with pytest.raises(UserError, match=sentence):
        run_orita(registered, "deploy", "v1.2.0", "--strategy", "canary", *given)


def test_a_shadow_is_not_promoted(tmp_path: Path) -> None:
    """Neither as the only rollout under way nor by its id: nobody has seen its answers."""
    home = Home(tmp_path / ".orita")
    Deployments(home.control_db).deploy("feed", "v1", actor="test", reason="test")
    plan = RolloutPlan(strategy="shadow", versions=("v2",))
    shadow = Rollouts(home.control_db).start("feed", plan, actor="test", reason="test")
    for given in ([], [shadow.id], [shadow.id, "--version", "v2"]):
        with pytest.raises(UserError, match=r"is a shadow, .* 'orita deploy v2 --strategy canary'"):
            run_orita(tmp_path, "rollout", "promote", *given)
    assert champion(tmp_path) == "v1"


def test_an_alias_is_a_version_everywhere(folder: Path) -> None:
    """In an override too."""
    run_orita(folder, "deploy", "challenger", "--strategy", "canary", "--override", "user_id=7:challenger")
    plan = plan_of(folder)
    assert (plan.versions, plan.overrides[0].variant) == (("v1.3.0",), "v1.3.0")


def test_a_version_of_features_that_are_not_declared(folder: Path, draft: Path, tmp_path: Path) -> None:  # noqa: F811
    """It is published, and not tried."""
    (tmp_path / "own.py").write_text(
        "from orita import INTERACTION, Entity, Source, system\n"
        'shown, user = Source("interactions", INTERACTION), Entity("user", key="user_id")\n'
        'feed = system("feed", label=shown.click, rank=Entity("item", key="item_id"), for_=user)\n'
        "feed.features(user_clicks=shown.count().by(user))\n"
    )
    with pytest.raises(UserError, match=r"model v1\.2\.0 .*item_ctr"):
        run_orita(folder, "--system", str(tmp_path / "own.py"), "deploy", "v1.2.0", "--strategy", "canary")
