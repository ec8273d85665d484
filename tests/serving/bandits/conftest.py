"""A server with bandits and no model, in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orita.core.home import Home
from orita.delivery.bandits.declaration_files import read_bandits
from orita.delivery.bandits.kept import Bandits
from orita.testing.asgi import AsgiClient

BANDITS = """
bandits:
  - {key: title, policy: {type: bernoulli_thompson}, arms: [short, long, question], seed: 3}
  - {key: greedy, policy: {type: epsilon_greedy, epsilon: 0.4}, arms: [a, b, c, d], rewards: [-5, 5], seed: 4}
  - key: layout
    policy: {type: linear_thompson, scale: 0.3}
    features: [mobile, evening]
    arms: [grid, list]
    seed: 5
"""


class Asked:
    """Asks the bandits of a server."""

    def __init__(self, client: AsgiClient) -> None:
        self.client = client

    def post(self, path: str, body: object) -> tuple[int, Any]:
        """Return status and document of an answer."""
        headers = {"content-type": "application/json"}
        path = f"/api/v1/bandits/{path}"
        if isinstance(body, bytes):
            answer = self.client.post(path, body=body, headers=headers)
        else:
            answer = self.client.post(path, json=body, headers=headers)
        return answer.status, answer.json()

    def choose(self, key: str, **asked: object) -> dict[str, Any]:
        """Return what was chosen."""
        status, document = self.post(f"{key}/choose", asked)
        assert status == 200, document
        chosen: dict[str, Any] = document["data"]
        return chosen

    def reward(self, key: str, decision: str, rewards: object) -> None:
        """Tell rewards, which are taken."""
        status, document = self.post(f"{key}/reward", {"decision_id": decision, "rewards": rewards})
        assert status == 202, document


@pytest.fixture
def declared(home: Home) -> Callable[[str], Bandits]:
    """Declare bandits in control state."""

    def declare(text: str) -> Bandits:
        bandits = Bandits(home.control_db, home.tenant)
        bandits.declare(read_bandits(text), actor="ana", reason="test", whole=True)
        return bandits

    return declare
