"""YAML as its version 1.2 reads it: ``on``, ``off``, ``yes``, ``NO`` and times are text, ``1e-3`` and ``012`` numbers.

So the variants of a boolean flag and the country of Oslo need no quotes. Source: YAML 1.2.2, section 10.3.2 (core
schema).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from yaml import SafeLoader, ScalarNode

__all__ = ["from_yaml"]

_OF_YAML_1_1 = {f"tag:yaml.org,2002:{name}" for name in ("bool", "timestamp", "int", "float")}
_BOOLEAN = re.compile(r"(?:true|false)\Z")
_WHOLE = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
_NUMBER = re.compile(
    r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
_MOST_DIGITS = 1000


def from_yaml(text: bytes | str) -> Any:
    """Return what the document holds.

    Raises:
        msgspec.DecodeError: it is no YAML; the place is told.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OF_YAML_1_1]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOLEAN, list("tf"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", _WHOLE, list("-+0123456789"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
    Loader.add_constructor("tag:yaml.org,2002:int", _whole)
    Loader.add_constructor("tag:yaml.org,2002:float", _number)
    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError, KeyError) as error:  # the latter where a tag, such as !!bool, is wrong
        raise msgspec.DecodeError(" ".join(str(error).split())) from None


def _whole(_: SafeLoader, node: ScalarNode) -> int:
    text: str = node.value
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a whole number has {len(text):,} digits, allowed are {_MOST_DIGITS:,}")
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _number(_: SafeLoader, node: ScalarNode) -> float:
    text: str = node.value
    return float(re.sub(r"\.(inf|nan)\Z", r"\1", text, flags=re.IGNORECASE))
