"""How fast does the server answer, beside servers that do less? One user and 100 items, `POST /predict`, one worker.

Orita answers with everything on: online features, deployed model, metrics, durable prediction log. Beside it, in the
same run and with the same model: a bare ASGI application on uvicorn that does only decode, model and encode
(`bare_asgi`), the same in FastAPI with pydantic models, and in BentoML where ``--bentoml`` names a Python that has it.
Peers have no feature store; they look features up in an array. Each server is a process of its own on one core, the
caller is on another.

Servers are asked in turns, as fast as they answer, and a ratio is the median over the turns of the rates side by side.
Beside it stands the ratio of processor time a request, which a machine that others keep busy changes less.
Latency is measured at a fixed rate in an open loop: from the moment a request was due, whether others were answered or
not. The bare application is asked at the same rate, half a minute in turn with Orita: what the machine alone does to
its tail is in ours too.

    python -m benchmarks.serve                       # makes a feed of 300,000 events and trains for it, then measures
    python -m benchmarks.serve --home .orita         # after make demo: a home with a champion; it is copied first

    python -m venv peer && peer/bin/pip install -r benchmarks/peers/requirements/bentoml.txt
    python -m benchmarks.serve --bentoml peer/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import uvloop
from benchmarks.http_load import Measured, closed_loop, connected, cpu_seconds, open_loop

ORITA, BARE, FASTAPI, BENTOML = "orita", "bare_asgi", "fastapi_pydantic", "bentoml"
_PACED_TURN_SECONDS = 30.0
WORLD = {
    "data_generation.num_users": 10_000,
    "data_generation.num_items": 50_000,
    "data_generation.num_interactions": 300_000,
    "training.epochs": 2,
}


@dataclass(frozen=True)
class Server:
    """A server that answers: where, and which process."""

    name: str
    address: str
    pid: int


def own_home(given: Path | None, folder: Path) -> Path:
    """Return a home in *folder* that is the caller's to write into: a copy of the one *given*, or a new one.

    The copy has no predictions: what is measured is not to depend on them, and theirs are not to be mixed with ours.
    """
    home = folder.absolute() / "home"
    if given is None:
        make_home(home)
        return home
    log = given.absolute() / "predictions"
    shutil.copytree(given.absolute(), home, ignore=lambda where, names: {log.name} if Path(where) == log.parent else ())
    return home


def make_home(home: Path) -> None:
    """Generate a feed, publish its features, train and promote."""
    options = [f"--set={key}={value}" for key, value in WORLD.items()]
    options.append("--set=beside=[]")  # the flagship's own type, not whichever is best after so short a training
    subprocess.run([sys.executable, "-m", "orita", "--home", str(home), "--quiet", *options, "run", "all"], check=True)


def export_for_peers(home: Path, folder: Path, seed: int = 0) -> str:
    """Write the champion as peers want it; return its version and type."""
    from orita.control.deployments import Deployments
    from orita.project import open_project

    project = open_project(folder, home=home)
    deployed = Deployments(project.home.control).current(project.system.name)
    assert deployed is not None, f"{home} has no champion"
    package = project.load_package(project.home.packages / project.system.name / deployed.version)
    rng = np.random.default_rng(seed)
    x_NF = project.examples("val").select(*package.schema.names).x_NF
    np.save(folder / "features.npy", x_NF[rng.integers(0, len(x_NF), 1 + max(WORLD.values()))[:50_000]])
    (folder / "model.onnx").write_bytes((package.folder / "model.onnx").read_bytes())
    for name in ("users", "items"):
        if (package.folder / f"{name}.parquet").exists():
            from orita.models.vocabulary import Vocabulary

            np.save(folder / f"{name}.npy", Vocabulary.read(package.folder / f"{name}.parquet").ids_V)
    return f"{package.version}, {package.metadata.model_type}"


def made_requests(candidates: int, users: int = 10_000, items: int = 50_000) -> list[bytes]:
    """Return requests of random users for random items."""
    choose = random.Random(0)
    requests = []
    for _ in range(500):
        asked = {
            "user_id": choose.randrange(users),
            "item_ids": choose.sample(range(items), candidates),
            "context": {"device": choose.choice(["mobile", "desktop", "tablet"])},
        }
        body = json.dumps(asked).encode()
        lines = ["POST /predict HTTP/1.1", "Host: bench", "Content-Type: application/json"]
        lines += [f"Content-Length: {len(body)}", "", ""]
        requests.append("\r\n".join(lines).encode() + body)
    return requests


@contextmanager
def started(name: str, command: list[str], *, pin: bool) -> Iterator[Server]:
    """Run a server in a process of its own on one core."""
    prefix = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))] if pin else []
    process = subprocess.Popen([*prefix, *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        while process.poll() is None and not line.startswith('{"address"'):
            line = process.stdout.readline()
        yield Server(name, urlsplit(json.loads(line)["address"]).netloc, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        process.stdout.close()


async def in_turns(
    servers: list[Server], requests: list[bytes], options: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Ask each server in turn as fast as it answers; return rates, and microseconds of processor time a request."""
    for server in servers:
        await full_speed(server, requests, options)  # warms up
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    cpu_us: dict[str, list[float]] = {server.name: [] for server in servers if server.name != BENTOML}
    for _ in range(options.turns):
        for server in servers:
            before = cpu_seconds(server.pid)  # of one process: BentoML has more
            measured = await full_speed(server, requests, options)
            assert not measured.failed, f"{server.name} failed {measured.failed} requests"
            rates[server.name].append(measured.rate)
            if server.name in cpu_us:
                spent = cpu_seconds(server.pid) - before
                cpu_us[server.name].append(spent / len(measured.latencies_ms) * 1e6)
    for name, figures in rates.items():
        rate = statistics.median(figures)
        print(f"{name:18}{rate:8.0f} requests/s   {1e6 / rate:6.0f} us a request")
    return rates, cpu_us


def side_by_side(figures: dict[str, list[float]]) -> dict[str, float]:
    """Return Orita's figure over that of each other server, the median over the turns."""
    return {
        name: statistics.median(ours / theirs for ours, theirs in zip(figures[ORITA], its, strict=True))
        for name, its in figures.items()
        if name != ORITA
    }


async def full_speed(server: Server, requests: list[bytes], options: argparse.Namespace) -> Measured:
    """Ask as fast as it answers, on new connections: servers close those that wait for their turn."""
    callers = await connected(server.address, options.callers)
    measured = await closed_loop(callers, requests, options.seconds)
    for caller in callers:
        caller.transport.close()
    return measured


async def at_a_rate(servers: list[Server], requests: list[bytes], options: argparse.Namespace) -> dict[str, Measured]:
    """Ask each server in turn at a fixed rate, in all as long as was asked for."""
    turns = max(1, round(options.paced_seconds / _PACED_TURN_SECONDS))
    measured: dict[str, list[Measured]] = {server.name: [] for server in servers}
    for _ in range(turns):
        for server in servers:
            callers = await connected(server.address, 16)
            await open_loop(callers, requests, options.rate, 2)
            measured[server.name].append(
                await open_loop(callers, requests, options.rate, options.paced_seconds / turns)
            )
            for caller in callers:
                caller.transport.close()
    return {
        name: Measured(
            np.concatenate([one.latencies_ms for one in each]),
            sum(one.failed for one in each),
            sum(one.seconds for one in each),
        )
        for name, each in measured.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--bentoml", help="a Python with bentoml installed")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2, help="of each turn")
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--paced-seconds", type=float, default=60, help="300 is the full measurement")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="where other work keeps the cores busy")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, ExitStack() as own, ExitStack() as peers:
        folder = Path(made)
        home = own_home(options.home, folder)
        print(f"model {export_for_peers(home, folder)}; {options.candidates} items a request; {options.turns} turns")
        commands = {
            ORITA: [sys.executable, "-m", "orita", "--home", str(home), "serve", "--port", "0", "--json"],
            BARE: [sys.executable, "-m", "benchmarks.peers.bare_asgi", str(folder)],
            FASTAPI: [sys.executable, "-m", "benchmarks.peers.fastapi_pydantic", str(folder)],
        }
        if options.bentoml:
            commands[BENTOML] = [options.bentoml, str(Path(__file__).parent / "peers" / "bento.py"), str(folder)]
        servers = [
            (own if name in (ORITA, BARE) else peers).enter_context(started(name, command, pin=options.pin))
            for name, command in commands.items()
        ]
        requests = made_requests(options.candidates)
        everything = os.sched_getaffinity(0)
        if options.pin:
            os.sched_setaffinity(0, {max(everything)})
        rates, cpu_us = uvloop.run(in_turns(servers, requests, options))
        peers.close()  # nobody but who is asked is beside them while latency is measured
        paced = uvloop.run(at_a_rate(servers[:2], requests, options))
        own.close()
        os.sched_setaffinity(0, everything)
    ratio = side_by_side(rates)
    cpu_ratio = {name: 1 / value for name, value in side_by_side(cpu_us).items()}
    for name, latency in paced.items():
        print(
            f"{name:18}{options.rate:g} requests/s for {latency.seconds:.0f} s: p50 {latency.percentile(50)} ms, "
            f"p99 {latency.percentile(99)} ms, p99.9 {latency.percentile(99.9)} ms, {latency.failed} failed"
        )
    ours, bares = paced[ORITA], paced[BARE]
    figures = {f"ratio_{name}": round(value, 3) for name, value in ratio.items()}
    figures |= {f"cpu_ratio_{name}": round(value, 3) for name, value in cpu_ratio.items()}
    figures |= {
        "p50_ms": ours.percentile(50),
        "p99_ms": ours.percentile(99),
        "p999_ms": ours.percentile(99.9),
        "paced_failed": ours.failed,
        "bare_p50_ms": bares.percentile(50),
        "bare_p99_ms": bares.percentile(99),
        "bare_p999_ms": bares.percentile(99.9),
        "cpu_us": round(statistics.median(cpu_us[ORITA]), 1),
        "requests_per_second_max": round(statistics.median(rates[ORITA]), 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
