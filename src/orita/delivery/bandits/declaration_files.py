"""Declarations of bandits as YAML and JSON: read strictly, written back."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from orita.core.errors import UserError
from orita.delivery.bandits.declarations import BanditFile, check_bandit
from orita.delivery.yaml12 import from_yaml

__all__ = ["read_bandits", "write_bandits"]


def read_bandits(text: bytes | str, form: Literal["json", "yaml"] = "yaml") -> BanditFile:
    """Return the bandits of a document, each checked by itself; a linear policy counts the features by itself.

    >>> read_bandits("bandits: [{key: title, policy: {type: ucb1}, arms: [short, long]}]").bandits[0].arms
    ('short', 'long')

    Args:
        text: ``{"bandits": [...]}`` in UTF-8.
        form: how it is written.

    Raises:
        UserError: it cannot be read, has a key that is not known, a value of another type, a key twice, or a
            declaration that contradicts itself.
    """
    try:
        document = msgspec.json.decode(text) if form == "json" else from_yaml(text)
        file = msgspec.convert(_counted(document), BanditFile)
    except RecursionError:
        raise UserError("the bandits are nested too deep: give a list of bandits.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        hint = " Put quotes around names that are numbers: '12'." if "Expected `str`" in said else ""
        raise UserError(f"the bandits cannot be read as {form.upper()}: {said}.{hint}") from None
    for number, bandit in enumerate(file.bandits):
        check_bandit(bandit)
        if bandit.key in [each.key for each in file.bandits[:number]]:
            raise UserError(f"bandit {bandit.key!r} is there twice: give each a key of its own.")
    return file


def write_bandits(file: BanditFile, form: Literal["json", "yaml"] = "yaml") -> bytes:
    """Return the document of *file*, without what is as by default; `read_bandits` gives it back equal."""
    return msgspec.yaml.encode(file) if form == "yaml" else msgspec.json.encode(file)


def _counted(document: Any) -> Any:
    """Return *document* where linear policies have the number of features that is named beside them."""
    bandits = document.get("bandits") if isinstance(document, dict) else None
    for bandit in bandits if isinstance(bandits, list) else ():
        policy = bandit.get("policy") if isinstance(bandit, dict) else None
        if isinstance(policy, dict) and policy.get("type") in ("lin_ucb", "linear_thompson"):
            named = bandit.get("features")
            policy.setdefault("features", len(named) if isinstance(named, list) and named else 1)
    return document
