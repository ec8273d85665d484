"""Full disks under push, stream and backfill: one sentence, nothing half-done, and the same command goes on later."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli.small_world import SETTINGS, orita_inside, told
from tests.features.small_system import DECLARED, events, write_jsonl
from tests.features.stream import filling_worker
from tests.features.stream.test_stream_worker import append, made

from orita.core.home import Home
from orita.events.lake import Lake
from orita.events.log.embedded import EmbeddedLog

BEFORE, MORE = 310, 1500
READ = ("features", "read", "3", "100", "101", "102", "103", "104", "--features", "user_clicks,item_ctr")

# Runs Orita where no file may grow beyond so many bytes.
_LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
runpy.run_module("orita", run_name="__main__", alter_sys=True)
"""

# Makes a store on the disk of a folder that has room for ever more pages, and again once there is space.
_MAKING = """
import os, sys
from pathlib import Path
from orita.core.errors import Unavailable
from orita.features.stores.lmdb import LmdbStore

folder, refused = Path(sys.argv[1]), []
for pages in range(16):
    store, ballast = folder / str(pages), folder / "ballast"
    store.mkdir()
    with ballast.open("wb", buffering=0) as file:
        while os.statvfs(folder).f_bavail > pages:
            file.write(bytes(os.statvfs(folder).f_bsize))
    try:
        LmdbStore(store, capacity=1 << 16).close()
    except Unavailable:
        refused.append(pages)
    ballast.unlink()
    made = LmdbStore(store, capacity=1 << 16)
    assert made.apply("s", 0, 1, [(b"a", b"1")])
    made.close()
assert refused == list(range(len(refused))) and len(refused) > 10, refused
"""


def mount(folder: Path, size: str) -> None:
    """Mount a file system of *size* at *folder*, or skip the test."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this process may not mount a file system; the limit on file sizes is tested everywhere")


def test_a_store_that_finds_no_room_is_made_later(tmp_path: Path) -> None:
    """Whichever page of a new store has no room, that is a sentence, no bus error, and nothing torn stays behind."""
    mount(tmp_path, "2m")
    try:
        ran = subprocess.run([sys.executable, "-c", _MAKING, tmp_path], capture_output=True, text=True, check=False)
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert ran.returncode == 0, ran.stderr


def test_a_worker_on_a_full_disk_counts_whole_batches(tmp_path: Path) -> None:
    """The sentence names the store and what to do, the state is that of whole batches, and the worker goes on."""
    count = 6_000
    append(EmbeddedLog(Home(tmp_path)), made(count), partitions=1)
    arguments = [sys.executable, "-m", filling_worker.__name__, str(tmp_path), str(count), "250000"]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    for sentence in seen["sentences"]:
        assert f"{tmp_path / 'state'} cannot be used: its disk is full" in sentence
        assert "free some space" in sentence
    assert 0 < seen["full_at"] < count and seen["full_at"] % 100 == 0
    assert seen["after"] == count - seen["full_at"]


@dataclass
class Disk:
    """Where a home lies: a file system of its own, or a limit on the size of files where none may be mounted."""

    folder: Path
    mounted: bool
    limit: int = 0

    @property
    def home(self) -> Path:
        """Return the home on it."""
        return self.folder / ".orita"

    @contextmanager
    def full(self, limit: int) -> Iterator[None]:
        """Leave no space on the file system, or let no file grow beyond *limit* bytes."""
        ballast = self.folder / "ballast"
        self.limit = limit
        if self.mounted:
            with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(bytes(4096))
        try:
            yield
        finally:
            self.limit = 0
            ballast.unlink(missing_ok=True)

    def fails(self, *arguments: str) -> str:
        """Run a command, which the full disk ends with exit code 2 and a sentence, without a traceback."""
        start = ["-m", "orita"] if self.mounted else ["-c", _LIMITED, str(self.limit)]
        command = [sys.executable, *start, "--quiet", *SETTINGS, *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr
        said = done.stderr[done.stderr.index("error ") :]
        assert str(self.folder) in said, said
        return said


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with events from files and from the log, published features, and more events beside them."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "orita.yaml").write_text("system: features.py\n")
    (folder / "features.py").write_text(DECLARED)
    every = events(BEFORE + MORE, last=datetime.now(UTC) - timedelta(hours=1))
    write_jsonl(folder / "ingested.jsonl", every[: BEFORE - 10])
    write_jsonl(folder / "pushed.jsonl", every[BEFORE - 10 : BEFORE])
    write_jsonl(folder / "more.jsonl", every[BEFORE:])
    orita_inside(folder, "ingest", "ingested.jsonl")
    orita_inside(folder, "features", "backfill")
    orita_inside(folder, "features", "push", "pushed.jsonl")
    orita_inside(folder, "features", "stream", "--once")
    return folder


@pytest.fixture(params=["file system", "limit"])
def disk(request: pytest.FixtureRequest, made_once: Path, tmp_path: Path) -> Iterator[Disk]:
    """A copy of the project on a disk that can be filled."""
    folder, mounted = tmp_path / "disk", request.param == "file system"
    folder.mkdir()
    if mounted:
        mount(folder, "16m")
    try:
        shutil.copytree(made_once, folder, dirs_exist_ok=True)
        yield Disk(folder, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


def counted(count: int) -> list[dict[str, Any]]:
    """Return what `READ` gives once the first *count* events are counted, each once."""
    every = events(count)
    clicks = sum(e["click"] for e in every if e["user_id"] == 3)
    shares = {item: [e["click"] for e in every if e["item_id"] == item] for item in range(100, 105)}
    return [
        {"item_id": item, "user_clicks": clicks, "item_ctr": pytest.approx(sum(its) / len(its), abs=1e-6)}
        for item, its in shares.items()
    ]


def test_a_push_into_a_full_log_takes_nothing_by_halves(disk: Disk) -> None:
    """The append is refused with the log's folder and what to do; the same push later brings every event in once."""
    with disk.full(limit=4096):
        said = disk.fails("features", "push", "more.jsonl")
        assert "took no rows" in said and "make room below" in said
        assert told(disk.folder, *READ)["rows"] == counted(BEFORE)
    told(disk.folder, "features", "push", "more.jsonl")
    done = told(disk.folder, "features", "stream", "--once")
    assert (done["counted"], done["waiting"], done["unsound"]) == (MORE, 0, 0)
    assert told(disk.folder, *READ)["rows"] == counted(BEFORE + MORE)
    assert Lake(Home(disk.home)).snapshot("interactions").rows == BEFORE + MORE


@pytest.mark.parametrize(
    "options",
    [pytest.param(["--no-lake"], id="state", marks=pytest.mark.slow), pytest.param([], id="state and lake")],
)
def test_a_stream_on_a_full_disk_goes_on_when_space_returns(disk: Disk, options: list[str]) -> None:
    """Requests are answered as before meanwhile; afterwards the same command counts every event once, lake included."""
    told(disk.folder, "features", "push", "more.jsonl")
    with disk.full(limit=sum(file.stat().st_size for file in disk.home.glob("online/**/gen-*/data.mdb"))):
        disk.fails("features", "stream", "--once", *options)
        assert told(disk.folder, *READ)["rows"] == counted(BEFORE)
    told(disk.folder, "features", "stream", "--once")
    assert told(disk.folder, "features", "stream", "--once")["counted"] == 0
    assert told(disk.folder, *READ)["rows"] == counted(BEFORE + MORE)
    assert Lake(Home(disk.home)).snapshot("interactions").rows == BEFORE + MORE


def test_a_backfill_on_a_full_disk_leaves_the_old_features(disk: Disk) -> None:
    """The generation that serves goes on serving; the same command later publishes all events, and leaves no litter."""
    orita_inside(disk.folder, "ingest", "more.jsonl")
    with disk.full(limit=16_384):
        disk.fails("features", "backfill")
        assert told(disk.folder, *READ)["rows"] == counted(BEFORE)
    assert told(disk.folder, "features", "backfill")["events"] == BEFORE + MORE
    assert told(disk.folder, *READ)["rows"] == counted(BEFORE + MORE)
    assert len(list(disk.home.glob("online/**/gen-*"))) == 2
    assert list(disk.home.rglob(".partial-*")) == []
