"""An OpenAPI document as one HTML page: no script, nothing loaded from anywhere, so that it is there offline too.

What is described stands in it once: an operation names the schemas of what it takes and answers, and they stand below.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

from orita.serving.documents.openapi_document import operations

__all__ = ["document_page"]

_SCHEMAS = "#/components/schemas/"
_QUOTED_REFERENCE = re.compile(f"&quot;{_SCHEMAS}([^&]+)&quot;")
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .75rem; border-radius: 6px; background: color-mix(in srgb, CanvasText 7%, Canvas); }
details { border-bottom: 1px solid color-mix(in srgb, CanvasText 15%, Canvas); padding: .4rem 0; }
summary { cursor: pointer; } summary b { display: inline-block; min-width: 4.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; }
"""


def document_page(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI *document*."""
    info = document["info"]
    sections: dict[str, list[str]] = {}
    for path, method, operation in operations(document):
        common = document["paths"][path].get("parameters", [])
        sections.setdefault(_section(path), []).append(_operation(path, method, common, operation))
    told = "".join(f"<h2>{escape(title)}</h2>{''.join(parts)}" for title, parts in sections.items())
    schemas = "".join(_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    title = escape(f"{info['title']} {info['version']}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style></head><body>'
        f'<h1>{title}</h1><p>{escape(info["summary"])} The same for programs: <a href="openapi.json">openapi.json</a>.'
        f"</p>{told}<h2>Schemas</h2>{schemas}</body></html>"
    )


def _section(path: str) -> str:
    """Return the first part of a path that says what it is about."""
    parts = path.strip("/").split("/")
    return "/" + "/".join(parts[:3] if parts[0] == "api" else parts[:1])


def _operation(path: str, method: str, common: list[dict[str, Any]], operation: dict[str, Any]) -> str:
    parts = [_parameters([*common, *operation.get("parameters", [])])]
    asked = operation.get("requestBody")
    for kind, content in asked["content"].items() if asked else ():
        parts.append(f"<p>Takes <code>{escape(kind)}</code>: {_named(content)}</p>")
        parts += [_json(example) for example in _examples(content)]
    answers = "".join(_answer(status, answer) for status, answer in sorted(operation["responses"].items()))
    parts.append(f"<table><tr><th>Status</th><th>When</th><th>Body</th></tr>{answers}</table>")
    told = f"<code><b>{method.upper()}</b>{escape(path)}</code> {escape(operation['summary'])}"
    return f"<details><summary>{told}</summary>{''.join(parts)}</details>"


def _parameters(parameters: list[dict[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = [
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{one['in']}{', required' if one.get('required') else ''}"
        f"</td><td>{escape(one.get('description', ''))}</td></tr>"
        for one in parameters
    ]
    return f"<table><tr><th>Parameter</th><th>In</th><th></th></tr>{''.join(rows)}</table>"


def _examples(content: dict[str, Any]) -> list[Any]:
    """Return the examples of a body, in either form that OpenAPI has for them."""
    named = [example["value"] for example in content.get("examples", {}).values() if "value" in example]
    return [content["example"], *named] if "example" in content else named


def _answer(status: str, answer: dict[str, Any]) -> str:
    bodies = ", ".join(
        f"{_named(content)} <code>{escape(kind)}</code>" for kind, content in answer.get("content", {}).items()
    )
    return f"<tr><td>{status}</td><td>{escape(answer['description'])}</td><td>{bodies}</td></tr>"


def _named(content: dict[str, Any]) -> str:
    """Return the schemas of a body as links."""
    schema = content.get("schema", {})
    either = schema.get("anyOf") or schema.get("oneOf") or [schema]
    links = [_link(one["$ref"].removeprefix(_SCHEMAS)) for one in either if "$ref" in one]
    return " or ".join(links) or escape(schema.get("type", "bytes"))


def _link(name: str) -> str:
    return f'<a href="#{escape(name)}">{escape(name)}</a>'


def _schema(name: str, schema: dict[str, Any]) -> str:
    return f'<details open id="{escape(name)}"><summary><b>{escape(name)}</b></summary>{_json(schema)}</details>'


def _json(value: Any) -> str:
    """Return *value* as JSON to read, whose references are links."""
    text = escape(json.dumps(value, indent=2, ensure_ascii=False))
    return f"<pre>{_QUOTED_REFERENCE.sub(lambda found: _link(found[1]), text)}</pre>"
