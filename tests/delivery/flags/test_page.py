from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from orita.delivery.flags.ofrep import evaluate_flag

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "flags.md").read_text(encoding="utf-8")


def run_examples() -> dict[str, Any]:
    """Run the Python blocks of the page, one after the other; return what they named."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^```py\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        exec(block, names)
    return names


def test_the_examples_of_the_page_run() -> None:
    """What docs/flags.md shows can be pasted, and does what it says."""
    names = run_examples()
    found = names["found"]
    assert f"# {found.value} {found.variant!r} {found.reason.name} {found.rule!r}; user 12 is in the other half" in PAGE
    other = names["flags"].evaluate("new-checkout", {"user_id": 12, "country": "SE"}, False)
    assert other.variant == "off"
    shares = names["experiment"].variants(range(1000))
    assert {str(variant) for variant in shares} == {"", "control", "treatment"}


def test_the_answer_over_http_is_as_shown() -> None:
    """The request of the page, asked of the flags of the page, is answered with the line below it."""
    shown = re.search(r"evaluate/flags/(\S+) .*?-d '(\{.*?\})'\n(\{.*?\})\n```", PAGE, re.DOTALL)
    assert shown is not None
    answer = evaluate_flag(run_examples()["flags"], shown[1], json.loads(shown[2]))
    assert (answer.status, answer.document) == (200, json.loads(shown[3]))
