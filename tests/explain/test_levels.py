"""What no model answered cannot be explained or replayed, and the sentence says at which level it was answered."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.events.test_predictions import request, segment
from tests.features.small_system import DECLARED, declared_system

from orita.core.errors import UserError
from orita.core.home import Home
from orita.explain.explanation import logged_request


def test_an_answer_below_level_1_is_refused(tmp_path: Path) -> None:
    """The row that stands beside it, answered by the model, is found as ever."""
    home, system = Home(tmp_path), declared_system(DECLARED.replace('"small"', '"feed"'))
    below = msgspec.structs.replace(request(4, [5, 6]), features=b"", level=3)
    segment(home, "2024-11-15-a", [request(3, [1]), below])
    assert logged_request(home, system, "r3").level == 1
    with pytest.raises(UserError, match="answered at level 3, without the model"):
        logged_request(home, system, "r4")
