"""A real Prometheus reads what a server tells, its exemplars too."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from tests.serving.workers.served import serving, until, with_champion

from orita.core.home import Home

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_PARENT = {"traceparent": f"00-{_TRACE}-00f067aa0ba902b7-01"}


@contextmanager
def _prometheus(folder: Path, target: str) -> Iterator[Callable[[str], Any]]:
    """Run Prometheus on *target*; give what asks its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scraped = [{"job_name": "orita", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}]
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": scraped}))  # JSON is YAML
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            "--log.level=error",
        ],
        stderr=subprocess.PIPE,
    )

    def ask(path: str) -> Any:
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=10) as answer:
                return json.load(answer)["data"]
        except URLError:  # not up yet
            return None

    try:
        yield ask
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.slow
def test_prometheus_keeps_counts_and_exemplars(tmp_path: Path) -> None:
    """The target of two workers is up, counts are those of the requests, and a bucket leads to the trace."""
    if shutil.which("prometheus") is None:
        pytest.skip("there is no prometheus here: sudo apt-get install prometheus")
    home = with_champion(Home(tmp_path / "home"))
    with serving(home) as served:
        served.until_answering(2)
        for _ in range(5):
            asked = {"user_id": 1, "item_ids": [1, 2, 3]}
            assert served.ask("POST", "/predict", asked, **_PARENT)[0] == 200
        with _prometheus(tmp_path, served.address) as ask:

            def value(query: str) -> float | None:
                found = ask(f"query?query={query}")
                return float(found["result"][0]["value"][1]) if found and found["result"] else None

            until(lambda: value("up") == 1)
            until(lambda: value("predictions_total") == 15)
            assert value("prediction_latency_count") == 5
            now = time.time()
            path = f"query_exemplars?query=prediction_latency_bucket&start={now - 600:.0f}&end={now + 600:.0f}"
            exemplars = until(lambda: ask(path))
            traces = {each["labels"]["trace_id"] for series in exemplars for each in series["exemplars"]}
            assert traces == {_TRACE}
