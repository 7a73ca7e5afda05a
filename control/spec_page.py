"""The OpenAPI document as one page to read: plain HTML, no scripts, nothing fetched from elsewhere."""

from __future__ import annotations

from functools import cache
from html import escape
from typing import Any

from roomtone.control.spec_rest import document
from roomtone.control.spec_schemas import SCHEMAS, Json

POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # Content-Security-Policy of the page

STYLE = """\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
code,pre{font:14px/1.4 ui-monospace,monospace}
details{border:1px solid #ddd;border-radius:6px;margin:.4rem 0;padding:.3rem .8rem}
summary{cursor:pointer}
.m{display:inline-block;min-width:4.5rem;font-weight:700}
table{border-collapse:collapse;margin:.5rem 0}
td,th{border-bottom:1px solid #eee;padding:.2rem .8rem .2rem 0;text-align:left;vertical-align:top}
small{color:#666}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}td,th,details{border-color:#333}}
"""


@cache
def page(version: str) -> bytes:
    whole = document(version)
    tags: dict[str, list[str]] = {}
    for path, methods in whole["paths"].items():
        for method, operation in methods.items():
            tag = operation.get("tags", ["server"])[0]
            tags.setdefault(tag, []).append(_operation(whole, method, path, operation))
    for name, hook in whole["webhooks"].items():
        tags.setdefault("events", []).append(_event(whole, name, hook["post"]))
    parts = [f"<h2 id='{escape(tag)}'>{escape(tag)}</h2>{''.join(items)}" for tag, items in tags.items()]
    links = " · ".join(f"<a href='#{escape(tag)}'>{escape(tag)}</a>" for tag in tags)
    info = whole["info"]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        f"<p><a href='/openapi.json'>openapi.json</a> · <a href='/asyncapi.json'>asyncapi.json</a></p>"
        f"<p>{links}</p>{''.join(parts)}</html>\n"
    ).encode()


def _operation(whole: Json, method: str, path: str, operation: Json) -> str:
    notes = []
    if "x-rate-group" in operation:
        notes.append(f"cooldown group {operation['x-rate-group']}")
    if operation.get("x-emits"):
        notes.append("emits " + ", ".join(operation["x-emits"]))
    body = operation.get("requestBody")
    schema = body["content"]["application/json"]["schema"] if body is not None else None
    return _details(
        f"<span class=m>{method.upper()}</span> <code>{escape(path)}</code> {escape(operation['summary'])}",
        f"<small>{escape(' · '.join(notes))}</small>",
        _parameters(operation.get("parameters", [])),
        _members(whole, "body", schema),
        *(_answer(whole, status, reply) for status, reply in operation["responses"].items()),
    )


def _event(whole: Json, name: str, hook: Json) -> str:
    schema = hook["requestBody"]["content"]["application/json"]["schema"]
    lanes = f"<small>in order within its {' and its '.join(hook['x-ordering-lane'])}</small>"
    return _details(
        f"<code>{escape(name)}</code>", lanes if hook["x-ordering-lane"] else "", _members(whole, "", schema)
    )


def _answer(whole: Json, status: str, reply: Json) -> str:
    if "$ref" in reply:
        reply = whole["components"]["responses"][reply["$ref"].rpartition("/")[2]]
        return f"<div><b>{status}</b> {escape(reply['description']).replace('`', '')}</div>"
    schema = reply.get("content", {}).get("application/json", {}).get("schema")
    return _members(whole, status, schema) or f"<div><b>{status}</b></div>"


def _parameters(parameters: list[Json]) -> str:
    rows = [_row(f"{each['name']} ({each['in']})", each["schema"], each["required"]) for each in parameters]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _members(whole: Json, title: str, schema: Json | None) -> str:
    """A table of an object's members, as far as a reference leads to one."""
    if schema is None or "$ref" not in schema:
        return ""
    known = whole["components"]["schemas"][schema["$ref"].removeprefix(SCHEMAS)]
    rows = [
        _row(name, member, name in known.get("required", ()))
        for name, member in known.get("properties", {}).items()
    ]
    text = escape(known.get("description", ""))
    return f"<div><b>{escape(title)}</b> {text}<table>{''.join(rows)}</table></div>"


def _row(name: str, schema: Json, required: bool) -> str:
    mark = " *" if required else ""
    text = escape(str(schema.get("description", "")))
    return f"<tr><td><code>{escape(name)}</code>{mark}<td>{escape(_kind(schema))}<td>{text}</tr>"


def _kind(schema: Json) -> str:
    """In a few words: integer -50..7, one of a, b."""
    if "$ref" in schema:
        return str(schema["$ref"].removeprefix(SCHEMAS))
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return f"always {schema['const']}"
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        kind = f"list of {_kind(schema.get('items') or {})}"
    low, high = (
        _first(schema, "minimum", "minLength", "minItems"),
        _first(schema, "maximum", "maxLength", "maxItems"),
    )
    if low is not None or high is not None:
        kind += f" {'' if low is None else low}..{'' if high is None else high}"
    return kind + (f" = {schema['default']!r}" if "default" in schema else "")


def _first(schema: Json, *names: str) -> Any:
    return next((schema[name] for name in names if name in schema), None)


def _details(summary: str, *parts: str) -> str:
    return f"<details><summary>{summary}</summary>{''.join(parts)}</details>"
