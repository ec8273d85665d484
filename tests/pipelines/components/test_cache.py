"""What was made of the same is found again; what is broken, half done or of something else is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.pipelines.components.artifact import Artifact, Made
from orita.pipelines.components.cache import KEPT, carry_out, records
from orita.pipelines.components.component import Call
from orita.pipelines.workspace import Workspace
from orita.project import open_project
from orita.testing.components import check_component

LARGE = "x" * 2_000_000


@dataclass
class Upper:
    """Writes a text in capitals."""

    text: str = "abc"
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=lambda: {"upper": "Text"})
    version: int = 1
    name: str = "upper"
    ran: int = 0

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return the text."""
        return {"text": self.text}

    def run(self, call: Call) -> Mapping[str, Made]:
        """Write."""
        self.ran += 1
        (call.folder / "upper.txt").write_text(self.text.upper())
        return {"upper": Made(call.folder / "upper.txt")}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return surroundings without any state."""
    clock = ManualClock(open_project(tmp_path, home=tmp_path).workspace().clock.now())
    return open_project(tmp_path, home=tmp_path / "home").workspace(clock=clock)


def test_the_same_again_is_found(workspace: Workspace) -> None:
    """A second run does not carry the component out, and hands on what the first one made."""
    component = Upper()
    first, second = (carry_out(component, workspace, {}) for _ in range(2))
    assert (first.status, second.status, component.ran) == ("success", "cached", 1)
    assert (first.outputs, first.digest, first.key) == (second.outputs, second.digest, second.key)
    assert second.outputs["upper"].path(workspace.home).read_text() == "ABC"
    assert (first.why, second.why) == ("never done before", "nothing changed")


def test_a_home_can_be_moved(workspace: Workspace, tmp_path: Path) -> None:
    """Paths are relative to the home, and a copy of a file is the same file, whatever its time."""
    carry_out(Upper(LARGE), workspace, {})
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    moved = Workspace(Home(tmp_path / "elsewhere"), workspace.system)
    for file in (tmp_path / "elsewhere").rglob("upper.txt"):
        os.utime(file, (1, 1))
    assert carry_out(Upper(LARGE), moved, {}).status == "cached"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Upper("abd"), "text changed from abc to abd"),
        (Upper(version=2), "version changed from"),
        (Upper(inputs={"source": "Text"}), "input source changed"),
    ],
)
def test_anything_that_decides_is_a_reason(workspace: Workspace, other: Upper, why: str) -> None:
    """Another setting, version or input carries the component out again, and the reason is told."""
    carry_out(Upper(), workspace, {})
    step = carry_out(other, workspace, {"source": Artifact("source", "Text", "somewhere", "0123")})
    assert step.status == "success"
    assert why in step.why


def test_going_back_costs_nothing(workspace: Workspace) -> None:
    """The newest few results stay, so that trying a value and taking it back does the work once."""
    assert isinstance(workspace.clock, ManualClock)
    for text in "abcda":
        workspace.clock.advance(timedelta(seconds=1))
        last = carry_out(Upper(text), workspace, {})
    assert last.status == "success", "the first of four was let go"
    assert [record.identity.settings["text"] for record in records(workspace, "upper")] == ["a", "d", "c"]
    assert len(list((workspace.home.components / workspace.system.name / "upper").iterdir())) == KEPT
    assert carry_out(Upper("c"), workspace, {}).status == "cached"


@pytest.mark.parametrize(
    ("content", "why"), [(None, "is gone"), ("", "has 0 bytes, not 2,000,000"), ("y" * 2_000_000, "was changed")]
)
def test_damage_is_noticed_and_mended(workspace: Workspace, content: str | None, why: str) -> None:
    """A file that is missing, cut off or changed makes the step again, with a sentence."""
    file = carry_out(Upper(LARGE), workspace, {}).outputs["upper"].path(workspace.home)
    file.unlink()
    if content is not None:
        file.write_text(content)
    step = carry_out(Upper(LARGE), workspace, {})
    assert step.status == "success"
    assert why in step.why and "upper.txt" in step.why
    assert file.read_text() == LARGE.upper()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": {}}'])
def test_a_damaged_record_is_no_record(workspace: Workspace, content: str) -> None:
    """Whatever is in its place, the step is made again; other records are read as before."""
    step = carry_out(Upper(), workspace, {})
    (record,) = workspace.home.components.rglob(f"{step.key}/record.json")
    record.write_text(content)
    again = carry_out(Upper(), workspace, {})
    assert (again.status, again.digest) == ("success", step.digest)
    assert "record.json is damaged" in again.why


def test_a_failed_step_leaves_nothing(workspace: Workspace) -> None:
    """What raises, or makes something else than it promises, is not kept."""
    broken = Upper(outputs={"lower": "Text"})
    with pytest.raises(UserError, match=r"made \['upper'\], and promises \['lower'\]"):
        carry_out(broken, workspace, {})
    assert records(workspace, "upper") == []
    assert list((workspace.home.components / workspace.system.name / "upper").iterdir()) == []


def test_inputs_are_typed(workspace: Workspace) -> None:
    """An input that is missing, or of another type, is a sentence that names both."""
    made = {"source": Artifact("source", "Model", "somewhere", "0123")}
    with pytest.raises(UserError, match=r"reads 'sauce', which is not there.*'source'"):
        carry_out(Upper(inputs={"sauce": "Text"}), workspace, made)
    with pytest.raises(UserError, match="reads 'source' as Text, and it is Model"):
        carry_out(Upper(inputs={"source": "Text"}), workspace, made)


def test_two_processes_do_not_make_the_same(workspace: Workspace) -> None:
    """While one carries a component out, another is refused with a sentence; what is found needs no turn."""
    carry_out(Upper("done"), workspace, {})
    with workspace.alone("component-upper"):
        assert carry_out(Upper("done"), workspace, {}).status == "cached"
        with pytest.raises(UserError, match="another run of component-upper"):
            carry_out(Upper("new"), workspace, {})


def test_what_another_process_made_meanwhile_is_found(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the turn another process may have made it: it is not made again under a reader."""
    alone, other, mine = Workspace.alone, Upper(), Upper()

    @contextmanager
    def late(self: Workspace, name: str) -> Iterator[None]:
        monkeypatch.setattr(Workspace, "alone", alone)
        carry_out(other, workspace, {})
        with alone(self, name):
            yield

    monkeypatch.setattr(Workspace, "alone", late)
    step = carry_out(mine, workspace, {})
    assert (step.status, step.why, mine.ran, other.ran) == ("cached", "nothing changed", 0, 1)


SLOW = """
import os, signal, sys
from pathlib import Path
from orita.pipelines.components.artifact import Made
from orita.pipelines.components.cache import carry_out
from orita.project import open_project

class Slow:
    name, version, inputs, outputs = "slow", 1, {}, {"out": "Text"}
    def settings(self, workspace): return {}
    def run(self, call):
        call.work.mkdir(parents=True, exist_ok=True)
        done = len(list(call.work.iterdir()))
        (call.work / str(done)).touch()
        (call.folder / "out.txt").write_text(str(done))
        if done < 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"out": Made(call.folder / "out.txt")}

step = carry_out(Slow(), open_project(Path(sys.argv[1]), home=Path(sys.argv[1])).workspace(), {})
print(step.status)
"""


def test_a_kill_leaves_a_step_undone_and_its_work_there(tmp_path: Path) -> None:
    """After ``kill -9`` nothing counts as made, the next run goes on with the work, and in the end nothing is left."""
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    workspace = open_project(tmp_path, home=tmp_path).workspace()
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert records(workspace, "slow") == []
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["success"]
    (record,) = records(workspace, "slow")
    assert record.outputs["out"].path(workspace.home).read_text() == "1"
    left = [path for path in tmp_path.rglob("*") if path.name.startswith(".partial-") or "checkpoints" in path.parts]
    assert [path for path in left if path.is_file()] == []


@dataclass
class CutShort(Upper):
    """Leaves work, and ends before it is done."""

    def run(self, call: Call) -> Mapping[str, Made]:
        """Leave work."""
        call.work.mkdir(parents=True)
        (call.work / "checkpoint").write_text(self.text)
        raise UserError("asked to stop.")


def test_trying_other_settings_does_not_cost_what_was_cut_short(workspace: Workspace) -> None:
    """Work on other settings is there to go on with, that of the newest three; its own is gone with success."""
    for text in ("a", "b", "c", "d"):
        with pytest.raises(UserError):
            carry_out(CutShort(text), workspace, {})
    carry_out(Upper("d"), workspace, {})
    left = {file.read_text() for file in workspace.home.checkpoints.rglob("checkpoint")}
    assert left == {"a", "b", "c"}
    with pytest.raises(UserError):
        carry_out(CutShort("e"), workspace, {})
    carry_out(Upper("f"), workspace, {})
    left = {file.read_text() for file in workspace.home.checkpoints.rglob("checkpoint")}
    assert left == {"b", "c", "e"}


def test_a_good_component_passes_the_check(workspace: Workspace) -> None:
    """The public check carries out, kills, repeats and damages, and is content."""
    check_component(Upper, workspace)


def test_a_check_wants_a_home_without_results_of_the_same(workspace: Workspace) -> None:
    """What was carried out before would be found, and nothing would be checked: the sentence says what to do."""
    check_component(Upper, workspace)
    with pytest.raises(AssertionError, match=r"was carried out in .* before: check it in a new home"):
        check_component(Upper, workspace)


@dataclass
class Restless(Upper):
    """Has other settings at each look."""

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return a moment."""
        return {"now": os.urandom(4).hex()}


@dataclass
class Forgetful(Upper):
    """Depends on who asks."""

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return who asks."""
        return {"actor": workspace.actor}


@dataclass
class Opaque(Upper):
    """Has settings that are no JSON."""

    def settings(self, workspace: Workspace) -> Mapping[str, Any]:
        """Return an object."""
        return {"what": object()}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Restless, "settings differ from call to call"),
        (Forgetful, "depends on who runs it"),
        (Opaque, "plain JSON values"),
        (lambda: Upper(name="../up"), "no name of a folder"),
        (lambda: Upper(outputs={}), "at least one output"),
        (lambda: Upper(inputs={"upper": "Text"}), "inputs and outputs"),
    ],
)
def test_a_broken_component_is_told_what_it_breaks(workspace: Workspace, make: Any, says: str) -> None:
    """The check names the promise."""
    with pytest.raises(AssertionError, match=says):
        check_component(make, workspace)
