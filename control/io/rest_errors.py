"""A refusal as bytes: the envelope {success, error, …}, or RFC 9457 for those who accept it."""

from __future__ import annotations

from typing import Any

import msgspec

from roomtone.control.core.rest.codes import CODES
from roomtone.control.core.rest.refusal import Refusal

JSON = "application/json"
PROBLEM = "application/problem+json"
TYPES = "https://errors.invalid/"  # a name (RFC 2606), not an address: nobody is to fetch it
MS_PER_S = 1000


def wants_problem(accept: str) -> bool:
    """Whether the Accept header names problem+json."""
    return any(part.partition(";")[0].strip().lower() == PROBLEM for part in accept.split(","))


def envelope(refusal: Refusal, request_id: str) -> bytes:
    body: dict[str, Any] = {"success": False, "error": refusal.text, "code": refusal.code}
    if refusal.detail is not None:
        body["detail"] = refusal.detail
    return msgspec.json.encode(body | _more(refusal, request_id))


def problem(refusal: Refusal, request_id: str, path: str) -> bytes:
    """path: of the request, decoded.  What the envelope has in `detail` are members of their own here."""
    known = CODES.get(refusal.code)
    body: dict[str, Any] = {
        "type": TYPES + refusal.code,
        "title": known.title if known is not None else refusal.text,
        "status": refusal.status,
        "detail": refusal.text,
        "instance": path,
        "code": refusal.code,
    }
    return msgspec.json.encode((refusal.detail or {}) | body | _more(refusal, request_id))


def headers(refusal: Refusal) -> dict[str, str]:
    if refusal.retry_after_ms is None:
        return {}
    return {"Retry-After": str(-(-refusal.retry_after_ms // MS_PER_S))}


def _more(refusal: Refusal, request_id: str) -> dict[str, Any]:
    more: dict[str, Any] = {"request_id": request_id}
    if refusal.retry_after_ms is not None:
        more["retry_after_ms"] = refusal.retry_after_ms
    if refusal.faults:
        more["errors"] = refusal.faults
    return more
