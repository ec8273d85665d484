"""Users who react: the synthetic world asks a server and does something with the answers."""

from orita.simulate.report import SimulationReport
from orita.simulate.requests import simulate_requests

__all__ = ["SimulationReport", "simulate_requests"]
