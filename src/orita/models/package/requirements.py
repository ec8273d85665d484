"""``requirements.txt``: the versions that scored when a package was written, and those that trained it."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from orita.core.errors import UserError
from orita.core.version import VERSION

__all__ = ["Requirement", "read_requirements", "render_requirements"]

_SERVING = ("numpy", "onnxruntime", "pyarrow")
_TRAINING = {  # distribution by the module that shows that it took part
    "lightgbm": "lightgbm",
    "onnx": "onnx",
    "safetensors": "safetensors",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "torch": "torch",
    "transformers": "transformers",
}
_NEURAL, _TREES = ("onnx", "safetensors", "torch"), ("lightgbm", "onnx", "scipy")
_TRAINED_WITH: Mapping[str, tuple[str, ...]] = {  # by built-in type of ranker; one process may train several
    "two_tower": _NEURAL,
    "deep_mlp": _NEURAL,
    "dcn_v2": _NEURAL,
    "linear": _NEURAL,
    "lightgbm": _TREES,
    "lambdamart": _TREES,
    "factor_blend": tuple(_TRAINING),
    "popularity": ("onnx",),
}
_TRAINING_HEADING = "# training"
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})==([A-Za-z0-9][A-Za-z0-9.!+_-]{0,99})")
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Requirement:
    """A library that a package names: the version then, and whether it scores."""

    name: str
    pinned: str
    serving: bool

    @property
    def installed(self) -> str | None:
        """The version here, None where it is not installed."""
        return _installed(self.name)


def render_requirements(also: Sequence[str] = (), ranker: str = "") -> str:
    """Return the pinned versions of this process: what scores (and *also*), and what is loaded of what trains.

    Args:
        also: libraries that score beside those that every package needs.
        ranker: the type of a ranker. Of a built-in one only what trains that type counts: the process may have trained
            others too. Of any other, all that is loaded.
    """
    takes_part = _TRAINED_WITH.get(ranker, tuple(_TRAINING))
    trained = [name for name, module in _TRAINING.items() if module in sys.modules and name in takes_part]
    lines = [f"# Orita {VERSION}, Python {platform.python_version()}", "# serving", *_pins((*_SERVING, *also))]
    return "\n".join([*lines, _TRAINING_HEADING, *_pins(trained)]) + "\n"


def read_requirements(content: bytes, where: str) -> list[Requirement]:
    """Return the libraries that a package names.

    Raises:
        UserError: a line is neither a comment nor ``name==version``.
    """
    return list(_read(content, where))


def _read(content: bytes, where: str) -> Iterator[Requirement]:
    serving = True
    lines = content.decode("utf-8", "replace").splitlines()
    if len(lines) > _MOST:
        raise UserError(f"{where} has {len(lines):,} lines, allowed are {_MOST:,}.")
    for number, line in enumerate(lines, start=1):
        serving = serving and line != _TRAINING_HEADING
        if line and not line.startswith("#"):
            pin = _PIN.fullmatch(line)
            if pin is None:
                raise UserError(f"{where}, line {number}: {ascii(line)[:80]} is not 'name==version'.")
            yield Requirement(pin[1], pin[2], serving)


def _pins(names: Sequence[str]) -> Iterator[str]:
    """Yield the versions here; of a library that came under another name (onnxruntime-gpu), a comment."""
    for name in names:
        here = _installed(name)
        yield f"{name}=={here}" if here else f"# {name}, of another distribution"


def _installed(name: str) -> str | None:
    try:
        # Without what a build adds for one machine, such as "+cpu": an index has no such version.
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None
