"""What a served model of texts checks: the file that declares it, and what it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import ValidationError

from orita.core.config import Section
from orita.core.errors import UserError
from orita.models.package.files import shown
from orita.models.package.manifest import Contents

__all__ = ["check_texts", "read_declared"]

_SectionT = TypeVar("_SectionT", bound=Section)


def read_declared(section: type[_SectionT], contents: Contents, name: str) -> _SectionT:
    """Return the declaration in the file *name* of a package.

    Raises:
        UserError: it is missing, no strict JSON, or has another key or value than *section* allows.
    """
    try:
        return section.model_validate(contents.json(name))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UserError(
            f"{contents.where(name)} does not declare a model of texts: {shown(place)[:80]} has the value "
            f"{ascii(first['input'])[:80]}: {shown(first['msg'])[:200]}. Export it again."
        ) from None


def check_texts(texts: Sequence[str]) -> None:
    """Check that *texts* are texts.

    Raises:
        UserError: it is a single text, which would be taken for its letters, or one of them is none.
    """
    if isinstance(texts, str):
        raise UserError(f"texts is the one text {texts[:40]!r}, expected a list of texts: [{texts[:40]!r}].")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(
                f"texts[{number}] is {repr(text)[:40]}, a {type(text).__name__}, expected a text; give '' for none."
            )
