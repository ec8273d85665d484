"""Which door keeps a server useful under too much load? Each in the same simulated open loop, nothing measured.

*loop* is one thread, 0.4 ms an answer, 5 % of that a refusal; *slow* the same at 0.7 × its capacity while answers take
three times as long from second 2 to 5; *stalls* at 0.3 ×, held up for 0.1 s each second; at 2 × *heavy* takes 200 ms an
answer of callers who wait for a second, *hurried* 5 ms; *pool* has eight servers of 4 ms behind the door, *far* eight
of 20 ms. Goodput is the share of the capacity that was answered within 50 ms, or that second.

    python -m benchmarks.shedding      # last line: one JSON object
"""

from __future__ import annotations

import json
from collections.abc import Callable

from benchmarks.limit_candidates import Aimd, Fixed, Gradient, QueueDoor, Vegas

from orita.serving.resilience.admission import Admission
from orita.serving.resilience.contracts import ConcurrencyLimit
from orita.serving.resilience.limit import BudgetLimit
from orita.testing.open_loop import Door, Outcome, ideal_goodput, simulate_loop, simulate_pool

SEED = 1
LIMITS: dict[str, Callable[[], ConcurrencyLimit]] = {
    "budget": lambda: BudgetLimit(0.010, least=16),
    "fixed": lambda: Fixed(1000.0),
    "gradient": Gradient,
    "vegas": Vegas,
    "aimd": Aimd,
}
QUEUES: dict[str, Callable[[], Door]] = {
    "fifo_1000": lambda: QueueDoor(1000),
    "lifo_1000": lambda: QueueDoor(1000, lifo=True),
    "codel": lambda: QueueDoor(1000, codel=True),
    "lifo_codel": lambda: QueueDoor(1000, lifo=True, codel=True),
}


def main() -> None:
    """Simulate every door at every load and print what became of the requests."""
    print(f"seed {SEED}; goodput / p99 in ms of what was answered")
    print(f"ideal at 1, 2 and 10 ×: {', '.join(f'{ideal_goodput(load):.3f}' for load in (1, 2, 10))}")
    figures: dict[str, dict[str, tuple[float, float]]] = {}
    for name, make in LIMITS.items():
        figures[name] = loops(lambda make=make: Admission(make())) | pools(make)  # type: ignore[misc]
        print(line(name, figures[name]))
    for name, queue in QUEUES.items():
        figures[name] = loops(queue)
        print(line(name, figures[name]))
    print(json.dumps({"seed": SEED, "ideal_2": ideal_goodput(2), "ideal_10": ideal_goodput(10), "doors": figures}))


def loops(make: Callable[[], Door]) -> dict[str, tuple[float, float]]:
    """Return goodput and p99 before one thread, by load."""
    found = {f"loop_{load:g}": judged(simulate_loop(make(), load, seed=SEED)) for load in (0.5, 1, 2, 10)}
    found["stalls"] = judged(simulate_loop(make(), 0.3, seconds=20, stalls=(1.0, 0.1), seed=SEED))
    found["slow"] = judged(simulate_loop(make(), 0.7, seconds=8, slow=(2.0, 5.0, 3.0), seed=SEED))
    heavy = simulate_loop(make(), 2, seconds=300, service=0.2, deadline=1.0, seed=SEED)
    hurried = simulate_loop(make(), 2, seconds=20, service=0.005, seed=SEED)
    return found | {"heavy": judged(heavy), "hurried": judged(hurried)}


def pools(make: Callable[[], ConcurrencyLimit]) -> dict[str, tuple[float, float]]:
    """Return goodput and p99 before a pool, by load; its door has a slot for everybody whom it lets in."""
    found = {}
    for name, service in (("pool", 0.004), ("far", 0.020)):
        for load in (1, 2):
            door = Admission(make(), slots=1_000_000)
            found[f"{name}_{load}"] = judged(simulate_pool(door, load, service=service, seconds=30, seed=SEED))
    return found


def judged(outcome: Outcome) -> tuple[float, float]:
    """Return goodput, and the 99th percentile of latency in milliseconds."""
    return round(outcome.goodput, 3), round(outcome.p99 * 1000, 1)


def line(name: str, found: dict[str, tuple[float, float]]) -> str:
    """Return a line of the table."""
    return f"{name:>10}  " + "  ".join(f"{where} {good:.3f}/{p99:.0f}" for where, (good, p99) in found.items())


if __name__ == "__main__":
    main()
