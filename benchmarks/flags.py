"""What does it cost to evaluate a flag in process? A rule on an attribute, and a half of those whom it means.

Every product is asked about 1,000 users in turn, as its own documentation does it, and what can be prepared for a user
is prepared: attributes as a dictionary for Orita, a ready GrowthBook a user, a context for Unleash and OpenFeature
(whose provider in memory has no rules: a function of the benchmark is its rule). Peers run in an environment of their
own, with growthbook, UnleashClient and openfeature-sdk; without ``--peers`` their figures are left out.
Rounds take turns, so what else the machine does meets all alike; told is the median of the rounds, with the share of
the users that are on, which is to be near a half. A call of an empty function, in the same loop, is told too.

    python -m venv peer && peer/bin/pip install -r benchmarks/peers/requirements/flags.txt
    python -m benchmarks.flags --peers peer/bin/python      # last line: one JSON object
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.peers.flags import COUNTRIES, HALF, KEY, USERS

from orita.delivery.assignment.conditions import OneOf
from orita.delivery.flags import Flag, FlagSet, Rollout, Rule

PEERS = ("growthbook", "unleash", "openfeature")


def main() -> None:
    """Measure, and print what an evaluation takes."""
    parser = argparse.ArgumentParser(description="µs to evaluate a flag")
    parser.add_argument("--peers", help="a Python with growthbook, UnleashClient and openfeature-sdk installed")
    parser.add_argument("--rounds", type=int, default=31, help="rounds of each (31)")
    parser.add_argument("--calls", type=int, default=10_000, help="evaluations a round (10000)")
    options = parser.parse_args()
    calls = evaluations()
    timed: dict[str, list[float]] = {}
    with ExitStack() as stack:
        ask = asked(options.peers, stack) if options.peers else None
        print(f"orita: {sum(call() for call in calls) / len(calls):.1%} of {len(calls)} users are on")
        for name in PEERS if ask else ():
            assert ask is not None
            print(f"{name}: {ask(name, 'share'):.1%} of {len(calls)} users are on")
        for _ in range(options.rounds):
            timed.setdefault("empty", []).append(spent([lambda: None] * len(calls), options.calls))
            timed.setdefault("us", []).append(spent(calls, options.calls))
            for name in PEERS if ask else ():
                assert ask is not None
                timed.setdefault(f"{name}_us", []).append(ask(name, str(options.calls)))
    figures = {}
    for name, rounds in timed.items():
        us = [nanoseconds / options.calls / 1000 for nanoseconds in rounds]
        first, median, third = statistics.quantiles(us, n=4)
        print(f"{name:16} {median:6.2f} µs an evaluation ({first:.2f} … {third:.2f}, {options.rounds} rounds)")
        if name != "empty":
            figures[name] = round(median, 2)
    print(json.dumps(figures))


def evaluations() -> list[Callable[[], bool]]:
    """Return a call for each user."""
    rule = Rule(when=OneOf(attribute="country", values=tuple(COUNTRIES)), rollout=Rollout(percent=HALF), serve="on")
    evaluate = FlagSet.of([Flag(key=KEY, rules=(rule,))]).evaluate

    def of(attributes: dict[str, str]) -> Callable[[], bool]:
        return lambda: bool(evaluate(KEY, attributes, False).value)

    return [of({"targetingKey": user["id"], "country": user["country"]}) for user in USERS]


def spent(calls: Sequence[Callable[[], object]], count: int) -> float:
    """Return nanoseconds for *count* of the calls in turn."""
    some = [*calls] * (count // len(calls) + 1)
    del some[count:]
    started = time.perf_counter_ns()
    for call in some:
        call()
    return time.perf_counter_ns() - started


def asked(python: str, stack: ExitStack) -> Callable[[str, str], float]:
    """Start the peers, and return what asks them."""
    script = Path(__file__).parent / "peers" / "flags.py"
    process = stack.enter_context(
        subprocess.Popen([python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    )
    sent, answers = process.stdin, process.stdout
    assert sent is not None
    assert answers is not None
    stack.callback(sent.close)

    def ask(name: str, what: str) -> float:
        print(name, what, file=sent, flush=True)
        return float(answers.readline())

    return ask


if __name__ == "__main__":
    main()
