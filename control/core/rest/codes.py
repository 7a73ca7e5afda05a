"""Every code a REST request is refused with: the one list, with its status and what it means in general."""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """status: HTTP.  title: the same for every occurrence (RFC 9457 section 3.1.3)."""

    status: int
    title: str


CODES: dict[str, Code] = {
    "missing_app_id": Code(400, "Missing X-App-ID header"),
    "invalid_app_id": Code(400, "Invalid X-App-ID"),
    "invalid_body": Code(400, "Invalid request body"),
    "invalid_command": Code(400, "Invalid command"),
    "validation_error": Code(400, "Invalid value"),
    "urls_required": Code(400, "urls is required"),
    "invalid_command_uid": Code(400, "Invalid command_uid format"),
    "missing_api_key": Code(401, "Missing X-API-Key header"),
    "invalid_api_key": Code(401, "Invalid API key"),
    "missing_admin_key": Code(401, "Missing admin API key"),
    "invalid_admin_key": Code(401, "Invalid admin API key"),
    "not_owner": Code(403, "Not yours"),
    "not_found": Code(404, "No such path"),
    "session_not_found": Code(404, "No such session"),
    "room_not_found": Code(404, "No such room"),
    "member_not_found": Code(404, "No such member"),
    "operation_not_found": Code(404, "No such operation"),
    "app_not_found": Code(404, "No such app"),
    "endpoint_not_found": Code(404, "No such endpoint"),
    "delivery_not_found": Code(404, "No such delivery"),
    "forwarder_not_found": Code(404, "No such forwarder"),
    "method_not_allowed": Code(405, "Method not allowed"),
    "name_taken": Code(409, "A room of that name exists"),
    "playback_active": Code(409, "Playback already active"),
    "no_active_playback": Code(409, "No active playback"),
    "room_destroying": Code(409, "The room is being destroyed"),
    "command_uid_conflict": Code(409, "command_uid was used for another request"),
    "not_answered": Code(409, "The session is not answered"),
    "no_open_offer": Code(409, "No offer of the session waits for an answer"),
    "recording_active": Code(409, "The call is being recorded"),
    "not_recording": Code(409, "The call is not being recorded"),
    "recording_error": Code(409, "Not recorded"),
    "not_in_conference": Code(409, "The session is in no room"),
    "already_in_room": Code(409, "The session is in another room"),
    "room_empty": Code(409, "Nobody is in the room"),
    "room_full": Code(409, "The room is full"),
    "room_locked": Code(409, "The room is locked"),
    "node_mismatch": Code(409, "The room is on another node"),
    "too_many_endpoints": Code(409, "The app has its maximum of webhook endpoints"),
    "endpoint_disabled": Code(409, "The endpoint delivers nothing"),
    "app_in_use": Code(409, "The app has rooms or calls"),
    "body_too_large": Code(413, "Request body too large"),
    "unsupported_media_type": Code(415, "Unsupported media type"),
    "rate_limited": Code(429, "Too many requests"),
    "cooldown": Code(429, "Too soon after the last command"),
    "internal_error": Code(500, "Internal error"),
    "shutting_down": Code(503, "The server is shutting down"),
    "admin_disabled": Code(503, "Administration is not configured"),
    "node_unavailable": Code(503, "The media node does not answer"),
    "overloaded": Code(503, "Overloaded"),
    "store_unavailable": Code(503, "The store cannot write"),
}
