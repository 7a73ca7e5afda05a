"""REST and webhooks as a machine reads them: an OpenAPI 3.1 document, made from the server's own tables.

Paths are those of core/rest/operations.py, bodies and results its Structs, `webhooks` every event.
Extensions: x-rate-group, x-timing (immediate | deferred | event), x-emits, x-ordering-lane (what an event
keeps its order in).  https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from roomtone.control.core.api import EventData
from roomtone.control.core.rest.asked import Operation
from roomtone.control.core.rest.body import JustUid
from roomtone.control.core.rest.codes import CODES
from roomtone.control.core.rest.operations import OPERATIONS
from roomtone.control.core.rest.query import PARAMETERS
from roomtone.control.core.rest.webhook_events import EVENTS
from roomtone.control.spec_schemas import SCHEMAS, Json, named, reference, schemas

JSON, PROBLEM = "application/json", "application/problem+json"
RESPONSES = "#/components/responses/"
HEADERS = "#/components/headers/"
COMMAND_UID = "^[a-zA-Z0-9._-]{1,128}$"

DESCRIPTION = """\
Conference rooms, calls and webhooks. Every request names its app (`X-App-ID`) and its key (`X-API-Key`). \
Errors are `{success, error, code, detail, request_id}`, or RFC 9457 for those who accept \
`application/problem+json`. Members of a body that begin with `x_` are the client's own; others that are not \
told here are refused."""

TITLES = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed",
    409: "Conflict", 413: "BodyTooLarge", 415: "UnsupportedMediaType", 429: "TooManyRequests",
    500: "InternalError", 503: "Unavailable",
}  # fmt: skip
EVERYWHERE = (400, 401, 429, 500, 503)
PATH_PARAMETERS = {
    "app_id": "^[a-zA-Z0-9_-]{1,64}$",
    "room_id": "^[0-9A-Za-z]{1,16}-room-[0-9A-Za-z-]{1,64}$",
    "session_uuid": "^[0-9A-Za-z]{1,16}-[0-9A-Za-z-]{1,64}$",
}
OTHER_ROUTES = {
    "/health": "The process answers; exempt from limits",
    "/livez": "503 when the event loop stood still",
    "/readyz": "503 with reasons while no calls should come here",
    "/metrics": "Prometheus text",
    "/openapi.json": "This document",
    "/asyncapi.json": "The session protocol as an AsyncAPI document",
    "/docs": "This document, to be read by people",
}


class ErrorReply(Struct):
    """code: one of a closed list.  detail: what a client may act on.  errors: every fault of a body."""

    success: bool
    error: str
    code: str
    request_id: str
    detail: dict[str, Any] = {}
    retry_after_ms: int = 0
    errors: list[dict[str, str]] = []


def document(version: str) -> Json:
    """The whole document as plain JSON values."""
    paths: Json = {}
    for name, operation in OPERATIONS.items():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(name, operation)
    for path, summary in OTHER_ROUTES.items():
        paths[path] = {"get": {"summary": summary, "security": [], "responses": {"default": _plain(summary)}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "roomtone", "version": version, "description": DESCRIPTION},
        "servers": [{"url": "http://127.0.0.1:9100", "description": "The default of `listen`"}],
        "security": [{"AppId": [], "ApiKey": []}],
        "paths": paths,
        "webhooks": {name: {"post": _webhook(name, event)} for name, event in EVENTS.items()},
        "components": {
            "schemas": _schemas(),
            "responses": {TITLES[status]: _refusal(status) for status in TITLES},
            "headers": _headers(),
            "securitySchemes": {
                "AppId": {"type": "apiKey", "in": "header", "name": "X-App-ID"},
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "AdminKey": {"type": "apiKey", "in": "header", "name": "X-Admin-API-Key"},
            },
        },
    }


@cache
def encoded(version: str) -> bytes:
    """The document as JSON text."""
    return msgspec.json.format(msgspec.json.encode(document(version)), indent=2) + b"\n"


# -- operations ----------------------------------------------------------------------------------------------


def _operation(name: str, operation: Operation) -> Json:
    out: Json = {
        "operationId": name,
        "summary": operation.summary,
        "tags": [name.partition(".")[0]],
        "parameters": _parameters(operation),
        "x-timing": operation.timing,
        "x-emits": list(operation.emits),
    }
    if operation.group is not None:
        out["x-rate-group"] = operation.group
    if operation.admin:
        out["security"] = [{"AdminKey": []}]
    if _has_body(operation):
        kind = operation.body or JustUid
        required = any(field.required for field in msgspec.structs.fields(kind))
        out["requestBody"] = {"required": required, "content": {JSON: {"schema": reference(kind)}}}
    out["responses"] = _responses(operation)
    return out


def _has_body(operation: Operation) -> bool:
    return operation.method not in ("GET", "DELETE")


def _parameters(operation: Operation) -> list[Json]:
    parameters: list[Json] = []
    for name in re.findall(r"\{(\w+)\}", operation.path):
        schema: Json = {"type": "string", "minLength": 1}
        if name in PATH_PARAMETERS:
            schema["pattern"] = PATH_PARAMETERS[name]
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    for name in operation.query:
        schema = msgspec.json.schema(PARAMETERS[name])
        parameters.append({"name": name, "in": "query", "required": False, "schema": schema})
    if operation.method != "GET":
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "as `command_uid` in the body",
                "schema": {"type": "string", "pattern": COMMAND_UID},
            }
        )
    return parameters


def _responses(operation: Operation) -> Json:
    told = {
        name: {"$ref": HEADERS + name} for name in ("X-Request-Id", "RateLimit-Limit", "RateLimit-Remaining")
    }
    statuses = {operation.status}
    if operation.status == 202 or operation.status == 201:
        told["Location"] = {"$ref": HEADERS + "Location"}
    if operation.creates:
        statuses.add(201)
    out: Json = {}
    for status in sorted(statuses):
        schema = reference(operation.result) if operation.result is not None else {"type": "object"}
        out[str(status)] = {
            "description": operation.summary,
            "headers": told,
            "content": {JSON: {"schema": schema}},
        }
    refused = [*EVERYWHERE]
    if "{" in operation.path:
        refused += [403, 404]
    if operation.method != "GET":
        refused.append(409)
    if _has_body(operation):
        refused += [413, 415]
    out |= {str(status): {"$ref": RESPONSES + TITLES[status]} for status in sorted(refused)}
    return out


def _refusal(status: int) -> Json:
    codes = sorted(code for code, known in CODES.items() if known.status == status)
    headers = {"X-Request-Id": {"$ref": HEADERS + "X-Request-Id"}}
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": HEADERS + "Retry-After"}
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        "headers": headers,
        "content": {
            JSON: {"schema": _with_codes(named(ErrorReply), codes)},
            PROBLEM: {"schema": _with_codes("Problem", codes)},
        },
    }


def _with_codes(name: str, codes: list[str]) -> Json:
    return {"allOf": [{"$ref": SCHEMAS + name}, {"properties": {"code": {"enum": codes}}}]}


def _plain(description: str) -> Json:
    return {"description": description}


def _headers() -> Json:
    whole: Json = {"schema": {"type": "integer", "minimum": 0}}
    return {
        "X-Request-Id": {"description": "the request's, or a fresh one", "schema": {"type": "string"}},
        "Location": {"description": "what was made, or the operation", "schema": {"type": "string"}},
        "Retry-After": {"description": "seconds, rounded up", **whole},
        "RateLimit-Limit": {"description": "requests a second", **whole},
        "RateLimit-Remaining": {"description": "of this second", **whole},
    }


# -- events --------------------------------------------------------------------------------------------------


def _webhook(name: str, event: type[EventData]) -> Json:
    return {
        "operationId": f"webhook {name}",
        "summary": name,
        "tags": ["events"],
        "security": [],
        "parameters": [
            {"name": header, "in": "header", "required": True, "schema": {"type": "string"}}
            for header in ("webhook-id", "webhook-timestamp", "webhook-signature")
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": reference(event)}}},
        "responses": {"2XX": {"description": "delivered"}},
        "x-timing": "event",
        "x-ordering-lane": lanes(event),
    }


def lanes(event: type[EventData]) -> list[str]:
    members = {field.encode_name for field in msgspec.structs.fields(event)}
    return [lane for lane, member in (("room", "room_id"), ("session", "session_uuid")) if member in members]


def _flat(name: str, schema: Json, of: list[str]) -> Json:
    """An event as a webhook gets it: its name, the documented keys, and what all have."""
    more = {
        "id": {"type": "string", "description": "the same in every attempt"},
        "timestamp": {"type": "string", "format": "date-time", "description": "when it happened"},
        "sequence": {"type": "integer", "minimum": 1, "description": "without a gap for this endpoint"},
        "source_sequence": {
            "type": "integer",
            "minimum": 1,
            "description": "what GET /api/v1/events counts by",
        },
        **{f"{lane}_sequence": {"type": "integer", "minimum": 1} for lane in of},
        "app_id": {"type": "string"},
        "node": {"type": "string"},
        "request_id": {"type": "string", "description": "of the request that caused it"},
    }
    members = schema.get("properties", {})
    required = ["event", *schema.get("required", [])]
    return {
        **schema,
        "properties": {
            "event": {"const": name},
            **members,
            **{k: v for k, v in more.items() if k not in members},
        },
        "required": list(dict.fromkeys([*required, "id", "timestamp", "app_id", "node"])),
        "additionalProperties": True,
    }


# -- schemas -------------------------------------------------------------------------------------------------


def _schemas() -> Json:
    bodies = [operation.body or JustUid for operation in OPERATIONS.values() if _has_body(operation)]
    results = [operation.result for operation in OPERATIONS.values() if operation.result is not None]
    out = schemas([ErrorReply, *bodies, *results, *EVENTS.values()])
    for kind in bodies:
        schema = out[named(kind)]
        schema |= {"additionalProperties": False, "patternProperties": {"^x_": True}}
        schema["properties"]["command_uid"] = {
            "anyOf": [{"type": "string", "pattern": COMMAND_UID}, {"type": "null"}],
            "default": None,
        }
    for name, event in EVENTS.items():
        out[named(event)] = _flat(name, out[named(event)], lanes(event))
    out["Problem"] = _problem()
    return dict(sorted(out.items()))


def _problem() -> Json:
    text = {"type": "string"}
    return {
        "title": "Problem",
        "description": "RFC 9457; what the envelope has in `detail` are members of their own.",
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "instance": text,
            "code": text,
            "request_id": text,
            "errors": {
                "type": "array",
                "items": {"type": "object", "properties": {"pointer": text, "detail": text}},
            },
        },
        "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    }
