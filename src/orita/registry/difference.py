"""What differs between two registered models, part by part: configuration, features, rows, code, figures, weights.

Legend: W a tensor of weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import NotFound
from orita.core.extras import require
from orita.models.package import Package, load_package, read_weights
from orita.models.package.files import REQUIREMENTS_FILE, WEIGHTS_FILE
from orita.models.package.manifest import read_contents
from orita.models.package.requirements import read_requirements
from orita.registry.catalogue import Catalogue, ModelVersion
from orita.registry.lineage import code_of
from orita.registry.transfer import training_manifest

__all__ = ["Change", "Part", "difference"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs: its name, what it is in the first and the second (None: not there), and by how much.

    *by* is a difference of figures (b − a), or of weights ‖b − a‖ ÷ ‖a‖; None where there is no such measure.
    """

    name: str
    a: Any
    b: Any
    by: float | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of two models: what is equal in both, by name, and what is not."""

    name: str
    equal: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"equal": list(self.equal), "changes": [asdict(change) for change in self.changes]}


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two models, opened."""

    entry: ModelVersion
    package: Package
    params: Mapping[str, str]
    manifest: Mapping[str, Any] = field(default_factory=dict)


def difference(catalogue: Catalogue, a: ModelVersion, b: ModelVersion) -> tuple[Part, ...]:
    """Return what differs between *a* and *b*, each part with what is equal in it.

    Weights are compared tensor by tensor where both packages keep them by name; all of both are held in memory then.

    Raises:
        UserError: a package is not whole.
    """
    sides = [_side(catalogue, entry) for entry in (a, b)]
    parts = [_part(name, look(sides[0]), look(sides[1])) for name, look in _LOOKS.items()]
    return (*parts, _weights(*(side.package for side in sides)))


def _side(catalogue: Catalogue, entry: ModelVersion) -> _Side:
    try:
        params = catalogue.runs.get(entry.run_id).params
    except NotFound:
        params = {}
    return _Side(entry, load_package(entry.package), params, training_manifest(catalogue.home, entry) or {})


def _part(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Part:
    names = [*a, *(key for key in b if key not in a)]
    equal = tuple(key for key in names if key in a and key in b and a[key] == b[key])
    changes = tuple(_change(key, a.get(key), b.get(key)) for key in names if key not in equal)
    return Part(name, equal, changes)


def _change(name: str, a: Any, b: Any) -> Change:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (a, b))
    return Change(name, a, b, b - a if numbers else None)


def _identity(side: _Side) -> dict[str, Any]:
    package, tags, code = side.package, side.entry.tags, code_of(side.entry)
    return {
        "type": side.entry.type,
        "model_id": package.metadata.model_id,
        "trained": package.metadata.training_date,
        "code": code.get("orita", ""),
        "project_code": code.get("project", ""),
        "commit": code.get("commit", ""),
        "made_of": tags.get("orita.parent", ""),
        "origin": tags.get("orita.origin.home", ""),
    }


def _configuration(side: _Side) -> dict[str, Any]:
    """Return what training was configured with, nested sections by names with dots; the type is told already."""
    kept = side.package.extra.get("model", {})
    return {name: value for name, value in _flat(kept if isinstance(kept, dict) else {}).items() if name != "type"}


def _params(side: _Side) -> dict[str, Any]:
    known = _configuration(side)
    return {name: value for name, value in sorted(side.params.items()) if name not in known}


def _features(side: _Side) -> dict[str, Any]:
    return {c.name: f"{c.meaning or 'unknown meaning'} ({c.side} {c.kind})" for c in side.package.schema.columns}


def _training_set(side: _Side) -> dict[str, Any]:
    manifest = side.manifest
    if not manifest:
        return {"id": side.entry.tags.get("orita.training_set", "")}
    kept = ("rows", "positive_share", "start", "end")
    found = {"id": manifest["id"], "plan": manifest.get("plan", "")}
    found |= {f"table {name}": version for name, version in sorted(manifest["tables"].items())}
    for part in ("train", "val", "test"):
        found |= {f"{part} {key.replace('_', ' ')}": manifest["splits"][part][key] for key in kept}
    return found | _flat(manifest.get("split", {}), "split ")


def _steps(side: _Side) -> dict[str, Any]:
    described = side.package.description
    before, after = ([step.to_dict() for step in steps] for steps in (described.pre, described.post))
    return {
        f"{name} the graph, {number}: {declared['kind']}": json.dumps(declared, sort_keys=True)
        for name, steps in (("before", before), ("after", after))
        for number, declared in enumerate(steps, start=1)
    }


def _objective(side: _Side) -> dict[str, Any]:
    """Return the heads and what a unit of each is worth in the score; nothing of a model with one head."""
    described = side.package.description
    heads = {f"head {head.name}": json.dumps(head.to_dict(), sort_keys=True) for head in described.heads}
    return heads | {f"worth of {name}": worth for name, worth in described.objective.items()}


def _requirements(side: _Side) -> dict[str, Any]:
    contents = read_contents(side.package.folder)
    if REQUIREMENTS_FILE not in contents.files:
        return {}
    found = read_requirements(contents.files[REQUIREMENTS_FILE], contents.where(REQUIREMENTS_FILE))
    return {each.name: each.pinned for each in found}


def _metrics(side: _Side) -> dict[str, Any]:
    return dict(side.entry.metrics)


def _graphs(side: _Side) -> dict[str, Any]:
    """Return the size of each graph: bytes, operators, constants and the values in these."""
    onnx = require("onnx", extra="train")
    found: dict[str, Any] = {}
    contents = read_contents(side.package.folder)
    for name, file in side.package.description.graphs.items():
        graph = onnx.load_from_string(contents.content(file)).graph
        values = sum(int(np.prod(tensor.dims)) for tensor in graph.initializer)
        found |= {f"{name} bytes": contents.sizes[file], f"{name} operators": len(graph.node)}
        found |= {f"{name} constants": len(graph.initializer), f"{name} values": values}
    return found


_LOOKS: Mapping[str, Callable[[_Side], dict[str, Any]]] = {
    "identity": _identity,
    "configuration": _configuration,
    "parameters of the run": _params,
    "features": _features,
    "training set": _training_set,
    "steps": _steps,
    "objective": _objective,
    "requirements": _requirements,
    "metrics": _metrics,
    "graphs": _graphs,
}


def _weights(a: Package, b: Package) -> Part:
    sides = [
        read_weights(package.folder) if WEIGHTS_FILE in read_contents(package.folder).files else {}
        for package in (a, b)
    ]
    names = [*sides[0], *(name for name in sides[1] if name not in sides[0])]
    equal, changes = [], []
    for name in names:
        change = _tensor(name, sides[0].get(name), sides[1].get(name))
        equal.append(name) if change is None else changes.append(change)
    return Part("weights", tuple(equal), tuple(changes))


def _tensor(name: str, a_W: npt.NDArray[Any] | None, b_W: npt.NDArray[Any] | None) -> Change | None:
    """Return how a tensor changed, None where it did not; its shape and type stand for it."""
    told = [None if each is None else f"{each.dtype} {list(each.shape)}" for each in (a_W, b_W)]
    if a_W is None or b_W is None or told[0] != told[1]:
        return Change(name, told[0], told[1])
    if np.array_equal(a_W, b_W, equal_nan=a_W.dtype.kind == "f"):
        return None
    before, moved = (np.linalg.norm(each.astype(np.float64)) for each in (a_W, b_W.astype(np.float64) - a_W))
    return Change(name, told[0], told[1], float(moved / before) if before else None)


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in content.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
