"""How a server is, as one HTML page: no script, nothing loaded from anywhere; it asks for itself again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["POLICY", "Rollout", "Shown", "status_page"]

Mood = Literal["good", "warn", "bad", "quiet"]

_REFRESH_SECONDS = 10
_STALE_HOURS = 48
_QUANTILES = (0.5, 0.9, 0.99, 0.999)
_MOST = 20
_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, CanvasText 15%, Canvas); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
p { margin: .3rem 0; } small, .quiet { opacity: .7; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .8rem; margin: 1rem 0; }
dl div { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .8rem; }
dt { font-size: .8rem; opacity: .7; } dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; } .scroll { overflow-x: auto; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); }
.badge { border-radius: 99px; padding: .1rem .6rem; font-size: .85rem; border: 1px solid currentColor; }
.good { color: light-dark(#11652d, #6fd08c); } .bad { color: light-dark(#a3121f, #ff8b94); }
.warn { color: light-dark(#7a4b00, #f0b75e); }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The page's Content-Security-Policy: its own style, and nothing else."""
_MOODS: dict[str, Mood] = {
    "ok": "good",
    "answering": "good",
    "CLOSED": "good",
    "degraded": "warn",
    "HALF_OPEN": "warn",
    "starting": "warn",
    "stopping": "warn",
    "warning": "warn",
    "no_model": "bad",
    "OPEN": "bad",
    "critical": "bad",
}


@dataclass(frozen=True, slots=True)
class Rollout:
    """What is tried beside the champion.

    Attributes:
        strategy: how.
        shares: percent of users by version.
        state: ``running`` or ``paused``.
        verdict: what was said of it last.
    """

    strategy: str
    shares: dict[str, float]
    state: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows.

    Attributes:
        system: whose server it is.
        at: when it was asked.
        health: the answer of ``GET /health``.
        figures: the JSON answer of ``GET /metrics``, of all workers.
        latencies_ms: of the last answers of all workers.
        pending_rows: rows of the prediction log that are not durable yet.
        rollout: None where none is under way.
        report: the newest monitoring report, None before the first.
    """

    system: str
    at: datetime
    health: dict[str, Any]
    figures: dict[str, Any]
    latencies_ms: npt.NDArray[np.floating]
    pending_rows: int
    rollout: Rollout | None
    report: dict[str, Any] | None


def status_page(shown: Shown) -> str:
    """Return the page."""
    title = escape(f"{shown.system}: {shown.health['status']}")
    parts = (_head(shown), _tiles(shown), _models(shown), _workers(shown), _dependencies(shown), _watch(shown))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="refresh" content="{_REFRESH_SECONDS}">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>"
    )


def _head(shown: Shown) -> str:
    detail = f"<p>{escape(shown.health['detail'])}</p>" if shown.health.get("detail") else ""
    return (
        f"<header><h1>{escape(shown.system)} {_badge(shown.health['status'])}</h1>{detail}"
        f"<p><small>{shown.at:%Y-%m-%d %H:%M:%S} UTC, asked again every {_REFRESH_SECONDS} s; up for "
        f"{_long(shown.health['uptime_seconds'])}. For programs: <a href=health>health</a>, "
        "<a href=metrics>metrics</a>, <a href=docs>docs</a>.</small></p></header>"
    )


def _tiles(shown: Shown) -> str:
    figures, level = shown.figures, shown.health.get("level")
    tiles = [
        ("requests a second", f"{figures['requests_per_second']:,.1f}"),
        ("failed or shed, last minute", f"{figures['error_rate']:.2%}"),
        ("requests", f"{figures['requests_total']:,}"),
        ("items scored", f"{figures['predictions_total']:,}"),
        ("level of answers", "—" if level is None else str(level)),
        ("rows to be logged", f"{shown.pending_rows:,}"),
    ]
    if len(shown.latencies_ms):
        values = np.quantile(shown.latencies_ms, _QUANTILES).tolist()
        tiles += [(f"latency, {q * 100:g} %", f"{v:.1f} ms") for q, v in zip(_QUANTILES, values, strict=True)]
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in tiles)
    return f"<dl>{cells}</dl>"


def _models(shown: Shown) -> str:
    version, since = shown.health.get("model_version"), shown.health.get("model_loaded_at")
    champion = f"{escape(version)}, loaded {escape(_time(since))}" if version else "No model is loaded."
    if shown.rollout is None:
        return f"<h2>Model</h2><p>Champion: {champion}</p><p class=quiet>No rollout is under way.</p>"
    rollout = shown.rollout
    shares = _table(("version", "users"), [(v, f"{share:g} %") for v, share in rollout.shares.items()])
    told = f"{rollout.strategy}, {rollout.state}: {rollout.verdict}".replace("_", " ")
    return f"<h2>Model</h2><p>Champion: {champion}</p><p>Rollout: {escape(told)}</p>{shares}"


def _workers(shown: Shown) -> str:
    workers = shown.health.get("workers")
    if not workers:
        return ""
    rows = [(w["worker"], w["pid"], _Badge(w["status"]), w["model_version"] or "—", w["starts"]) for w in workers]
    return f"<h2>Workers</h2>{_table(('worker', 'process', 'status', 'model', 'starts'), rows)}"


def _dependencies(shown: Shown) -> str:
    found = shown.health.get("dependencies") or {}
    if not found:
        return ""
    rows = [(name, _Badge(state)) for name, state in found.items()]
    return f"<h2>Dependencies</h2>{_table(('what', 'breaker'), rows)}"


def _watch(shown: Shown) -> str:
    """Return what the newest monitoring report says: how old it is, what drifted, which alerts fire."""
    report = shown.report
    if report is None:
        return "<h2>Drift and alerts</h2><p class=quiet>Nothing was looked at yet: run <code>orita monitor</code>.</p>"
    age = (shown.at - datetime.fromisoformat(report["at"])).total_seconds()
    stale = f" {_badge('warning', 'old')}" if age > _STALE_HOURS * 3600 else ""
    alerts = report.get("alerts") or []
    parts = [f"<h2>Drift and alerts{stale}</h2><p>Looked at {_long(max(age, 0.0))} ago.</p>"]
    if alerts:
        rows: list[tuple[object, ...]] = [
            (_Badge(a["severity"]), a["name"], a["subject"], a["summary"]) for a in alerts[:_MOST]
        ]
        parts.append(_table(("severity", "alert", "what", "why"), rows))
        parts.append(_more(alerts))
    else:
        parts.append("<p>No alert fires.</p>")
    for about in ("features", "predictions"):
        drifted = [f for f in (report.get(about) or {}).get("findings") or () if f.get("drifted")]
        if drifted:
            rows = [(finding["name"], finding["sentence"]) for finding in drifted[:_MOST]]
            parts += [f"<h3>Drift of {about}</h3>", _table(("what", "finding"), rows), _more(drifted)]
    sentences = [v["sentence"] for v in (report.get("performance") or {}).get("versions") or () if v.get("sentence")]
    return "".join([*parts, *(f"<p>{escape(sentence)}</p>" for sentence in sentences[:_MOST])])


@dataclass(frozen=True, slots=True)
class _Badge:
    """A cell that is drawn as a badge."""

    text: str


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(cell: object) -> str:
    return _badge(cell.text) if isinstance(cell, _Badge) else escape(str(cell))


def _badge(state: str, text: str | None = None) -> str:
    return f'<span class="badge {_MOODS.get(state, "quiet")}">{escape(text or state.replace("_", " ").lower())}</span>'


def _more(rows: Sequence[object]) -> str:
    return f"<p class=quiet>{len(rows) - _MOST:,} more are in the report.</p>" if len(rows) > _MOST else ""


def _time(value: object) -> str:
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _long(seconds: float) -> str:
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} seconds"
