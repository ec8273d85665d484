"""Bandits, as the clients ask them, of a real server: choices are typed, rewards are told once or again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.client.served import serving
from tests.serving.bandits.conftest import BANDITS

from orita.client import BanditChoice, Refused
from orita.core.home import Home
from orita.delivery.bandits.choices import logged_choices
from orita.delivery.bandits.declaration_files import read_bandits
from orita.delivery.bandits.kept import Bandits
from orita.events.log.embedded import EmbeddedLog
from orita.serving.app import create_app
from orita.testing.serving import HashedFeatures, load_line_package


def test_choices_and_their_rewards(opened: Callable[..., Any], tmp_path: Path) -> None:
    """What is chosen is what is logged, and its reward joins it; refusals have their codes."""
    home = Home(tmp_path / "home")
    bandits = Bandits(home.control_db)
    bandits.declare(read_bandits(BANDITS), actor="ana", reason="test")
    app = create_app(home, "feed", HashedFeatures(("item_ctr",)), load=load_line_package)
    with serving(app) as url, opened(url, timeout=20) as ask:
        chosen = ask("bandits.choose", "greedy", arms=["a", "b", "c"], k=2, unit=7)
        assert isinstance(chosen, BanditChoice)
        assert (len(chosen.arms), chosen.arm, chosen.errors) == (2, chosen.arms[0], (0.0, 0.0))
        taken = ask("bandits.reward", "greedy", chosen, {chosen.arms[1]: 2.5})
        assert (taken.decision_id, taken.rewards) == (chosen.decision_id, 1)
        ask("bandits.reward", "greedy", chosen.decision_id, [1, 2.5])
        layout = ask("bandits.choose", "layout", {"mobile": 1, "evening": 0})
        assert layout.arm in ("grid", "list")
        for arguments, code in (
            (("bandits.choose", "titel"), "bandit_not_found"),
            (("bandits.choose", "layout"), "invalid_value"),
            (("bandits.reward", "greedy", "01000000-0640-7000-8000-000000000000", [1]), "choice_closed"),
        ):
            with pytest.raises(Refused) as refused:
                ask(*arguments)
            assert refused.value.code == code
    rows = logged_choices(EmbeddedLog(home), bandits.get("greedy").state).to_pylist()
    assert [(row["arm"], row["reward"]) for row in rows] == [(chosen.arms[0], 1.0), (chosen.arms[1], 2.5)]
