"""A training on machines that may be taken away: run it again where it stopped, at last on one that is kept.

    python -m orita.models.training.attempts --attempts 3 --on-demand "submit --kept orita train" -- submit orita train

This runs where the scheduler runs, not on the machine that is taken away. A command that ends with 75 was asked to
stop and left a checkpoint (`interruption`); one that a signal killed may have left one. Both are run again. Any other
end is the command's own, and final: an error does not go away by repeating it.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from orita.models.training.interruption import INTERRUPTED_EXIT_CODE

__all__ = ["run_attempts", "was_interrupted"]

_KILLED = (137, 143)  # what a shell makes of SIGKILL and SIGTERM


def was_interrupted(code: int) -> bool:
    """Tell whether a command that ended with *code* is worth running again."""
    return code == INTERRUPTED_EXIT_CODE or code < 0 or code in _KILLED


def run_attempts(
    command: Sequence[str],
    *,
    attempts: int,
    on_demand: Sequence[str] = (),
    pause_seconds: float = 5.0,
    run: Callable[[Sequence[str]], int] = subprocess.call,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Run *command* until it is not interrupted, at most *attempts* times, then *on_demand*; return the exit code.

    Args:
        command: what to run, for instance what submits ``orita train`` to machines that may be taken away.
        attempts: ≥ 1.
        on_demand: the same for a machine that is kept; empty: the last interruption is the result.
        pause_seconds: between two runs.
        run, sleep: how a command is run, and how a pause is made.
    """
    code = INTERRUPTED_EXIT_CODE
    for attempt in range(attempts):
        if attempt:
            sleep(pause_seconds)
        code = run(command)
        if not was_interrupted(code):
            return code
    return run(on_demand) if on_demand else code


def main() -> None:
    """Run what the command line says, and exit as it did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attempts", type=int, default=3, help="how often at most, before --on-demand")
    parser.add_argument("--on-demand", default="", help="the command that runs on a machine that is kept")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two runs")
    parser.add_argument("command", nargs="+", help="the command, after --")
    options = parser.parse_args()
    on_demand = shlex.split(options.on_demand)
    if options.attempts < 1:
        parser.error(f"--attempts has the value {options.attempts}; give 1 or more.")
    code = run_attempts(options.command, attempts=options.attempts, on_demand=on_demand, pause_seconds=options.pause)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
