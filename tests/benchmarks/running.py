"""A bench, run with options as from the command line."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import pytest

__all__ = ["last_line"]


def last_line(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> dict[str, Any]:
    """Run a bench within this process, and return what its last line says: JSON without NaN or infinity."""
    monkeypatch.setattr(sys, "argv", [bench.__name__, *arguments])
    bench.main()
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1], parse_constant=_refused)
    return found


def _refused(constant: str) -> None:
    raise AssertionError(f"the last line has {constant}, which is no JSON")
