from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[3] / "docs" / "flags.md"


def test_the_examples_of_the_page_run() -> None:
    """What docs/flags.md shows can be pasted, and does what it says."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(block, names)
    assert (names["found"].variant, names["found"].rule) in {("on", "nordic"), ("off", "")}
    shares = names["experiment"].variants(range(1000))
    assert {str(variant) for variant in shares} == {"", "control", "treatment"}
