"""What a simulation found: failures, latency, and whether the ranking serves its users."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["SimulationReport"]


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """Figures of simulated requests.

    The three expected rates come from the world's true click probabilities, so they carry no luck of the draw; all
    look at the same candidates and the same positions.

    Attributes:
        requests: how many were sent.
        failures: how many got no usable answer.
        outcomes: requests by outcome: ``ok``, an HTTP status, ``malformed``, ``unreachable``.
        latency_p50_ms, latency_p99_ms: of answered requests, as the client saw them; None where none was answered.
        shown: items that users saw, the first page of each answer.
        clicks: how many of them they clicked.
        click_rate: clicks ÷ shown; None where nothing was shown.
        expected_click_rate: expected clicks ÷ shown, in the server's order.
        random_click_rate: the same for a random order of the candidates.
        best_click_rate: the same for the best possible order.
        first_micros, last_micros: times of the first and last request, microseconds since the Unix epoch.
    """

    requests: int
    failures: int
    outcomes: dict[str, int]
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    shown: int
    clicks: int
    click_rate: float | None
    expected_click_rate: float | None
    random_click_rate: float | None
    best_click_rate: float | None
    first_micros: int
    last_micros: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return asdict(self)
