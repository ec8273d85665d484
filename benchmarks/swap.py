"""What do requests notice of 50 hot swaps, 10 of them to broken packages? `POST /predict`, 100 items, `orita serve`.

Copies of the champion are published under other versions and deployed one after another under a steady load. Of ten, a
byte is changed, a file is missing, or the sample does not fit. After each swap the load goes on for as long without
one: what the machine does to the slowest request by itself is in both. *worst_over_median_ms* is the slowest request of
all swaps less the median; *over_50* counts the swaps, and the times between, whose slowest was 50 ms beyond it.

    python -m benchmarks.swap                       # makes a feed of 300,000 events and trains for it, then measures
    python -m benchmarks.swap --home .orita         # a home with a champion; it is copied first
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uvloop
from benchmarks.http_load import connected
from benchmarks.serve import ORITA, made_requests, own_home, started
from benchmarks.steady import SteadyLoad, deployed_package, health

from orita.models.metadata import ModelMetadata
from orita.models.package.files import METADATA_FILE, MODEL_FILE, SAMPLE_FILE, SCHEMA_FILE, SIGNATURE_FILE
from orita.models.package.manifest import write_manifest
from orita.models.package.strict_json import canonical_json

_FAULTS = ("byte", "file", "sample")
_WARM_SECONDS = 2.0
_AFTER_SECONDS = 0.3
_DEPLOYER = """
import sys
from pathlib import Path
from orita.control.deployments import Deployments
deployments = Deployments(Path(sys.argv[1]))
for line in sys.stdin:
    deployments.deploy("feed", line.strip(), actor="bench", reason="swap")
"""


def announced(swaps: int, broken: int) -> dict[str, str]:
    """Return the versions in the order in which they are deployed, with what is wrong with each, "" where nothing is.

    The broken ones are spread evenly, and their names end in 99.
    """
    every = swaps // broken if broken else swaps + 1
    faults = [_FAULTS[n // every % len(_FAULTS)] if n % every == every - 1 else "" for n in range(swaps)]
    return {f"v9.{n}.{99 if fault else 0}": fault for n, fault in enumerate(faults)}


def publish_copy(package: Path, version: str, fault: str = "") -> None:
    """Publish *package* under another version, sound or broken."""
    copied = package.parent / version
    shutil.copytree(package, copied)
    (copied / SIGNATURE_FILE).unlink(missing_ok=True)
    card = ModelMetadata.from_dict(json.loads((copied / METADATA_FILE).read_text()))
    (copied / METADATA_FILE).write_bytes(canonical_json(replace(card, model_version=version).to_dict()))
    if fault == "sample":
        table = pq.read_table(copied / SAMPLE_FILE)
        for name in ("score", "final"):
            other = pa.array(np.clip(table[name].to_numpy() + 0.25, 0, 1).astype(np.float32))
            table = table.set_column(table.column_names.index(name), name, other)
        pq.write_table(table, copied / SAMPLE_FILE)
    write_manifest(copied)
    if fault == "byte":
        content = bytearray((copied / MODEL_FILE).read_bytes())
        content[len(content) // 2] ^= 1
        (copied / MODEL_FILE).write_bytes(content)
    elif fault == "file":
        (copied / SCHEMA_FILE).unlink()


async def swapped(
    address: str, versions: list[str], deployer: subprocess.Popen[str], load: SteadyLoad
) -> tuple[list[float], list[float]]:
    """Return the slowest request of each swap, and of as long a time after it; names of broken versions end in 99."""
    swaps: list[float] = []
    quiet: list[float] = []
    assert deployer.stdin is not None
    for version in versions:
        begin = time.perf_counter()
        deployer.stdin.write(f"{version}\n")
        deployer.stdin.flush()
        await taken_up(address, version)
        await asyncio.sleep(_AFTER_SECONDS)  # the old model goes when its last answer has gone
        middle = time.perf_counter()
        await asyncio.sleep(middle - begin)
        swaps.append(load.worst_ms(begin, middle))
        quiet.append(load.worst_ms(middle, time.perf_counter()))
    return swaps, quiet


async def taken_up(address: str, version: str) -> None:
    """Wait until *version* answers, or is refused."""
    broken = version.endswith(".99")
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        told = await health(address)
        if (
            (told["status"] == "degraded" and version in (told["detail"] or ""))
            if broken
            else told["model_version"] == version
        ):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{version} was not {'refused' if broken else 'taken up'} within a minute: {told}")


async def measured(
    address: str, versions: list[str], deployer: subprocess.Popen[str], options: argparse.Namespace
) -> dict[str, object]:
    """Return the figures."""
    load = SteadyLoad(made_requests(options.candidates), options.rate)
    asking = asyncio.create_task(load.run(await connected(address, 16)))
    await asyncio.sleep(_WARM_SECONDS)
    begin = time.monotonic()
    swaps, quiet = await swapped(address, versions, deployer, load)
    seconds = time.monotonic() - begin
    load.stop()
    await asking
    median = load.percentile(50)
    print(
        f"{len(load.latencies_ms)} requests, by status {dict(load.statuses)}, refused {dict(load.codes)}, p50 "
        f"{median:.2f} ms, p99 {load.percentile(99):.2f} ms"
    )
    for what, worst in (("swaps", swaps), ("between", quiet)):
        print(
            f"slowest request of each of the {what}, ms over the median: {np.sort(worst).round(1) - round(median, 1)}"
        )
    return {
        "failed": load.failed,
        "worst_over_median_ms": round(max(swaps) - median, 2),
        "quiet_worst_over_median_ms": round(max(quiet) - median, 2),
        "typical_worst_over_median_ms": round(float(np.median(swaps)) - median, 2),
        "quiet_typical_worst_over_median_ms": round(float(np.median(quiet)) - median, 2),
        "over_50": sum(worst - median > 50 for worst in swaps),
        "quiet_over_50": sum(worst - median > 50 for worst in quiet),
        "swaps": len(versions),
        "seconds_a_swap": round(seconds / len(versions) / 2, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="a home with online features and a champion")
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--broken", type=int, default=10)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--no-pin", dest="pin", action="store_false", help="where other work keeps the cores busy")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = own_home(options.home, Path(folder))
        package = deployed_package(home)
        faults = announced(options.swaps, options.broken)
        for version, fault in faults.items():
            publish_copy(package, version, fault)
        command = [sys.executable, "-m", "orita", "--home", str(home), "serve", "--port", "0", "--json"]
        deploying = [sys.executable, "-c", _DEPLOYER, str(home / "control.db")]
        with (
            started(ORITA, command, pin=options.pin) as server,
            subprocess.Popen(deploying, stdin=subprocess.PIPE, text=True) as deployer,
        ):
            if options.pin:
                os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            figures = uvloop.run(measured(server.address, list(faults), deployer, options))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
