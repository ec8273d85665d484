"""A test fails by what it does, not by the tests that ran before it."""

from __future__ import annotations

import io
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

import pytest
import structlog
from tests.left_behind import nothing_stays

from orita.cli import main


def test_log_lines_outlive_the_standard_error_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged after a command of ``orita`` in a test does not go to that test's standard error, now closed."""
    log = structlog.get_logger()
    with nothing_stays(), monkeypatch.context() as during, redirect_stderr(io.StringIO()) as captured:
        during.setattr(sys, "argv", ["orita", "--version"])
        with pytest.raises(SystemExit):
            main()
        log.warning("during")
    assert "during" in captured.getvalue()
    captured.close()
    log.warning("after")


def test_the_environment_and_the_path_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that was set is gone, one that was changed or removed is as it was; so are the folders of imports."""
    path = sys.path.copy()
    monkeypatch.setenv("ORITA_CHANGED", "before")
    monkeypatch.setenv("ORITA_REMOVED", "before")
    with nothing_stays():
        os.environ.update(ORITA_CHANGED="after", ORITA_NEW="after")
        del os.environ["ORITA_REMOVED"]
        sys.path.insert(0, "/mine")
    found = [os.environ.get(f"ORITA_{name}") for name in ("CHANGED", "REMOVED", "NEW")]
    assert found == ["before", "before", None]
    assert sys.path == path


@pytest.mark.parametrize(
    ("leave", "put_back", "named"),
    [
        (lambda: os.chdir("/"), os.chdir, "current folder"),
        (
            lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
            lambda _: signal.signal(signal.SIGTERM, signal.SIG_DFL),
            "signal handlers",
        ),
        (lambda: socket.setdefaulttimeout(3), lambda _: socket.setdefaulttimeout(None), "socket timeout: None before"),
    ],
    ids=["folder", "signals", "sockets"],
)
def test_what_is_left_fails_the_test_that_left_it(
    leave: Callable[[], object], put_back: Callable[[Path], object], named: str
) -> None:
    """The sentence names it, so that not the next test has to be searched."""
    before = Path.cwd()
    try:
        with pytest.raises(AssertionError, match=named), nothing_stays():
            leave()
    finally:
        put_back(before)
