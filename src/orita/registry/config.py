"""Where the catalogue of models lies, and whose packages it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from orita.core.config import Section

__all__ = ["RegistryConfig"]

_KINDS = ("sqlite", "postgresql", "postgresql+psycopg", "http", "https")


def _address(text: str) -> str:
    kind = urlsplit(text).scheme
    if kind not in _KINDS:
        raise ValueError(
            "expected the address of a database or an MLflow server, such as postgresql://user@host/mlflow or "
            "https://mlflow.example.com"
        )
    return text


class RegistryConfig(Section):
    """The ``registry`` section of ``orita.yaml``.

    Attributes:
        tracking_uri: MLflow's store: ``sqlite:///…``, ``postgresql://…`` (extra ``postgres``) or the ``http(s)://``
            address of an MLflow server; None: SQLite in the home.
        trusted_keys: folder of the public keys of those whose packages are loaded; None: that of the home.
        require_signature: refuse packages that none of them signed.
        sign_with: name of the key that signs what is registered here (``orita models keys create``); None: nothing is.
    """

    tracking_uri: Annotated[str, AfterValidator(_address)] | None = None
    trusted_keys: Path | None = None
    require_signature: bool = False
    sign_with: str | None = None
