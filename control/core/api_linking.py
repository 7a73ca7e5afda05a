"""Parameters and results of session.bridge and endpoint.transfer; the events stand in api.py."""

from __future__ import annotations

from msgspec import Struct

from roomtone.control.core.api import Direction, Id


class SessionBridge(Struct):
    target_session_id: Id
    direction: Direction = "sendrecv"


class SessionBridged(Struct):
    endpoint_id: str
    target_endpoint_id: str


class EndpointTransfer(Struct):
    endpoint_id: Id
    target_session_id: Id


class EndpointTransferred(Struct):
    endpoint_id: str
    target_session_id: str
