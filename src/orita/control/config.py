"""The ``control`` section of ``orita.yaml``: where control state is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from orita.core.config import Section

__all__ = ["ControlConfig"]


def _address(url: str) -> str:
    if url and not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("expected postgresql://USER@HOST:PORT/DATABASE, or nothing for a file in the home")
    return url


class ControlConfig(Section):
    """Where control state is kept.

    Attributes:
        url: a PostgreSQL database, which servers of several machines share: ``postgresql://USER@HOST:PORT/DATABASE``
            (extra ``postgres``; a password may be in ``PGPASSWORD``); "" for ``control.db`` in the home.
    """

    url: Annotated[str, AfterValidator(_address)] = ""
