"""The rest of a path, whatever it is: Starlette's ``path`` knows no end of line, which a caller may write as %0A.

It is made to know them, under its own name: names of routes are labels of metrics and names of spans.
"""

from __future__ import annotations

from starlette.convertors import PathConvertor, register_url_convertor

__all__ = ["ANY"]

ANY = "path"
"""As in ``f"/flags/{{key:{ANY}}}"``."""


class _AnyText(PathConvertor):
    regex = "(?s:.*)"


register_url_convertor(ANY, _AnyText())
