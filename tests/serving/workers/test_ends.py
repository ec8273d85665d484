"""How workers end: by their supervisor's will, without it, by kills, and at the beginning."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.serving.workers.served import Load, gone, serving, until, with_champion

from orita.core.home import Home
from orita.events.prediction_files import segment_folder
from orita.events.predictions import prediction_log


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_an_orderly_stop(tmp_path: Path, number: signal.Signals) -> None:
    """Asked to stop, all workers end, every answer is Parquet, and the exit code is 0."""
    home = with_champion(Home(tmp_path / "home"))
    with serving(home) as served:
        workers = served.until_answering(2)
        with Load(served) as load:
            until(lambda: load.statuses[200] > 50)
        served.process.send_signal(number)
        assert served.process.wait(timeout=60) == 0
        assert all(gone(pid) for pid in workers)
    logged = prediction_log(home, columns=["request_id"])["request_id"].to_pylist()
    assert Counter(logged) == dict.fromkeys(load.request_ids, 5)
    assert list(segment_folder(home).glob("*")) == []


@pytest.mark.slow
def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    """Where the supervisor is killed its workers end in order, and the address is free again."""
    home = with_champion(Home(tmp_path / "home"))
    with serving(home) as served:
        workers = served.until_answering(2)
        assert served.predict() == 200
        served.process.kill()
        until(lambda: all(gone(pid) for pid in workers))
        with pytest.raises(ConnectionRefusedError):
            served.ask("GET", "/health")
    assert list(segment_folder(home).glob("*")) == []


@pytest.mark.parametrize(
    ("before", "code", "sentence"),
    [
        ("from orita.core.errors import UserError; raise UserError('no key is trusted: add one.')", 2, "no key is"),
        ("import os; os._exit(7)", 1, "5 workers ended before one answered, the last by exit code 7"),
    ],
)
def test_workers_that_can_never_start(tmp_path: Path, before: str, code: int, sentence: str) -> None:
    """What keeps all of them from starting is told in a sentence, and nobody tries for ever."""
    with serving(Home(tmp_path / "home"), before) as served:
        assert served.address.startswith(sentence)
        assert served.process.wait(timeout=60) == code


@pytest.mark.slow
def test_a_replacement_that_cannot_start_leaves_the_others(tmp_path: Path) -> None:
    """On SIGHUP with a configuration that is now wrong, who answers goes on answering."""
    home, marker = with_champion(Home(tmp_path / "home")), tmp_path / "wrong"
    before = f"import os\nif os.path.exists({str(marker)!r}): os._exit(3)"
    with serving(home, before) as served:
        workers = served.until_answering(2)
        marker.touch()
        served.process.send_signal(signal.SIGHUP)
        assert served.process.stderr is not None
        assert served.process.stdout is not None
        lines = iter(served.process.stdout.readline, "")
        assert next(line for line in lines if "worker_ended" in line)
        assert served.until_answering(2) == workers
        assert served.predict() == 200


def test_a_worker_whose_background_ended_is_replaced(tmp_path: Path) -> None:
    """A part that works no more is told, once, and its worker stops in order; no request fails, and another comes."""
    home, marker = with_champion(Home(tmp_path / "home")), tmp_path / "end"
    before = f"""
import os
from pathlib import Path
from orita.serving.background.parts import BackgroundParts
def ended(parts, marker=Path({str(marker)!r}), own=str(os.getpid())):
    return ["what is watched"] if marker.exists() and marker.read_text() == own else []
BackgroundParts.ended = property(ended)
"""
    with serving(home, before) as served:
        workers = served.until_answering(2)
        with Load(served) as load:
            until(lambda: load.statuses[200] > 50)
            marker.write_text(str(min(workers)), encoding="ascii")
            until(lambda: gone(min(workers)))
            assert max(workers) in served.until_answering(2, {min(workers)})
        served.process.send_signal(signal.SIGTERM)
        assert served.process.stdout is not None
        lines = [line for line in served.process.stdout if "background_ended" in line]
        assert served.process.wait(timeout=60) == 0
    assert len(lines) == 1
    assert "what is watched" in lines[0]
    assert set(load.statuses) == {200}, load.refusals


@pytest.mark.slow
def test_a_storm_of_kills(tmp_path: Path) -> None:
    """Through 20 kills under load the log can be read at every moment, loses no committed row, and has none twice."""
    home = with_champion(Home(tmp_path / "home"))
    durable: set[str] = set()
    with serving(home) as served, Load(served) as load:
        for _ in range(20):
            there = served.until_answering(2)
            until(lambda: load.request_ids & _logged(home))
            durable |= _logged(home)
            os.kill(min(there), signal.SIGKILL)
            for _ in range(5):
                assert durable <= _logged(home)
    with suppress(ProcessLookupError):
        served.process.kill()
    assert set(load.statuses) == {200}, load.refusals
    found = prediction_log(home, columns=["prediction_id", "request_id"])
    assert durable <= set(found["request_id"].to_pylist())
    assert len(found) == len(set(found["prediction_id"].to_pylist()))


def _logged(home: Home) -> set[str]:
    return set(prediction_log(home, columns=["request_id"])["request_id"].to_pylist())


def test_what_is_kept_of_connections_that_wait(tmp_path: Path) -> None:
    """A connection that waits to be accepted is not lost with a worker that is killed: another takes it."""
    home = with_champion(Home(tmp_path / "home"))
    with serving(home) as served:
        one, other = sorted(served.until_answering(2))
        ask: Callable[[], int] = served.predict
        for pid in (one, other):
            os.kill(pid, signal.SIGSTOP)
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(ask())) for _ in range(12)]
        for thread in threads:
            thread.start()
        threading.Event().wait(0.2)
        os.kill(one, signal.SIGKILL)
        os.kill(other, signal.SIGCONT)
        for thread in threads:
            thread.join()
        assert answers == [200] * 12
