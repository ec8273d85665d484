"""From a drawing to SVG text inside a page: small, the same every time, in the page's colours, read aloud by name.

A drawing uses the colours of `INK`, …, which stand for the page's own and change with light and dark. Texts stay texts
in the page's font, so that they can be searched and a page stays small.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from html import escape
from types import MappingProxyType
from typing import Any

from orita.core.extras import require

__all__ = ["BEFORE", "CARD", "INK", "LINE", "NOW", "SECOND", "SOFT", "draw_svg"]

# Colours that nothing else uses: each is replaced by a variable of the page's style.
INK, SOFT, LINE, NOW, SECOND, BEFORE, CARD = (f"#0102{number:02x}" for number in range(3, 10))
_VARIABLES = MappingProxyType(
    {INK: "ink", SOFT: "soft", LINE: "line", NOW: "now", SECOND: "second", BEFORE: "before", CARD: "card"}
)
_SETTINGS = MappingProxyType(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "orita",
        "text.parse_math": False,  # a name may hold a $
        "font.size": 9.0,
        "axes.linewidth": 0.8,
        "axes.edgecolor": LINE,
        "axes.labelcolor": SOFT,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": LINE,
        "grid.linewidth": 0.6,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": SOFT,
        "ytick.labelcolor": SOFT,
        "text.color": SOFT,
        "legend.frameon": False,
        "legend.labelcolor": INK,
        "lines.linewidth": 1.6,
        "axes.unicode_minus": True,
    }
)
_LEFT_OUT = re.compile(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", re.DOTALL)
_FONT = re.compile(r"font:\s*(?:[\w.]+ )*?([\d.]+px) [^;\"]*")


def draw_svg(
    draw: Callable[[Any], None], *, title: str, description: str, width: float = 4.2, height: float = 2.9
) -> str:
    """Return what *draw* draws on a Matplotlib ``Axes`` as an ``<svg>`` element.

    Args:
        draw: draws on the axes that it is given.
        title: what the drawing is called.
        description: what it shows, for those who do not see it.
        width, height: in inches; on a page only their ratio and the size of texts to them matter.

    Raises:
        MissingExtra: Matplotlib is not installed.
    """
    matplotlib = require("matplotlib", extra="train")
    figures = require("matplotlib.figure", extra="train")
    canvases = require("matplotlib.backends.backend_svg", extra="train")
    with matplotlib.rc_context(dict(_SETTINGS)):
        figure = figures.Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_alpha(0.0)
        canvas = canvases.FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        written = io.StringIO()
        canvas.print_svg(written, metadata={"Date": None})
    return _inline(written.getvalue(), title, description)


def _inline(document: str, title: str, description: str) -> str:
    """Return the element without its document's head, with ids that no other drawing on a page has."""
    body = _LEFT_OUT.sub("", document[document.index("<svg") :])
    head, body = body.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None  # Matplotlib always writes one
    key = "p" + hashlib.sha256(f"{title}{description}{document}".encode()).hexdigest()[:8]
    body = re.sub(r'\bid="', f'id="{key}-', body)
    body = re.sub(r'href="#', f'href="#{key}-', body)
    body = body.replace("url(#", f"url(#{key}-")
    body = _FONT.sub(r"font-size: \1", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    names = f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    opening = f'<svg {view.group()} role="img" aria-labelledby="{key}-title {key}-desc">'
    return re.sub(r"\n\s*", "\n", f"{opening}{names}{body}").strip()
