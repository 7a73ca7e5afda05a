"""Public ids: the node's hash before a UUID, so that a command finds the node that owns the media."""

from __future__ import annotations

import hashlib
import re

HASH_LENGTH = 5
UUID_LENGTH = 36
PUBLIC = re.compile(r"[0-9A-Za-z]{1,16}-(?:room-)?[0-9A-Za-z-]{1,64}")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def node_hash(node_id: str) -> str:
    """The first characters of base62(SHA-256(node id)), most significant digit first."""
    value = int.from_bytes(hashlib.sha256(node_id.encode()).digest(), "big")
    digits = []
    while value:
        value, digit = divmod(value, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))[:HASH_LENGTH]


def session_uuid(node: str, session_id: str) -> str:
    return f"{node}-{session_id}"


def room_id(node: str, uuid: str) -> str:
    return f"{node}-room-{uuid}"


def is_room(id: str) -> bool:
    return "-room-" in id


def session_id(node: str, session_uuid: str) -> str | None:
    """The session's id within this node, also when it comes bare; None: it is another node's, or no id."""
    if len(session_uuid) == UUID_LENGTH:
        return session_uuid.lower()
    prefix, _, rest = session_uuid.partition("-")
    return rest.lower() if prefix == node and PUBLIC.fullmatch(session_uuid) else None
