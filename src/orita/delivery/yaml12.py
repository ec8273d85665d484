"""YAML as its version 1.2 reads it: ``on``, ``off``, ``yes``, ``NO`` and times are text.

So the variants of a boolean flag and the country of Oslo need no quotes.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["from_yaml"]

_OF_YAML_1_1 = {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"}


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

    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise msgspec.DecodeError(" ".join(str(error).split())) from None
