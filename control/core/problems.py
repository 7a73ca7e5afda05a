"""The ways to say no: one exception, and the closed list of codes of the session protocol."""

from __future__ import annotations

PARSE_ERROR = "PARSE_ERROR"
INVALID_REQUEST = "INVALID_REQUEST"
UNKNOWN_METHOD = "UNKNOWN_METHOD"
INVALID_PARAMS = "INVALID_PARAMS"
NO_SESSION = "NO_SESSION"
SESSION_ALREADY_BOUND = "SESSION_ALREADY_BOUND"
SESSION_NOT_FOUND = "SESSION_NOT_FOUND"
SESSION_NOT_ORPHANED = "SESSION_NOT_ORPHANED"
SESSION_GONE = "SESSION_GONE"
SESSION_UNRESPONSIVE = "SESSION_UNRESPONSIVE"
SESSION_BUSY = "SESSION_BUSY"
SHUTTING_DOWN = "SHUTTING_DOWN"
MAX_SESSIONS_REACHED = "MAX_SESSIONS_REACHED"
ENDPOINT_ERROR = "ENDPOINT_ERROR"
RECORDING_ERROR = "RECORDING_ERROR"
VAD_ERROR = "VAD_ERROR"
FAX_DETECT_ERROR = "FAX_DETECT_ERROR"
STATS_ERROR = "STATS_ERROR"
TRANSFER_FAILED = "TRANSFER_FAILED"
INTERNAL_ERROR = "INTERNAL_ERROR"

CODES = frozenset({
    PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, NO_SESSION, SESSION_ALREADY_BOUND,
    SESSION_NOT_FOUND, SESSION_NOT_ORPHANED, SESSION_GONE, SESSION_UNRESPONSIVE, SESSION_BUSY, SHUTTING_DOWN,
    MAX_SESSIONS_REACHED, ENDPOINT_ERROR, RECORDING_ERROR, VAD_ERROR, FAX_DETECT_ERROR, STATS_ERROR,
    TRANSFER_FAILED, INTERNAL_ERROR,
})  # fmt: skip


class Problem(Exception):
    """A request that cannot be done, told to the caller.

    code: one of `CODES`.  message: one sentence for a person.  field: the parameter at fault, where there is
    one.  cause: a finer code, where a worker gave one.
    """

    def __init__(self, code: str, message: str, field: str | None = None, *, cause: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.field = field
        self.cause = cause


def session_not_found(session_id: str, field: str) -> Problem:
    return Problem(SESSION_NOT_FOUND, f"No session with that id: {session_id}", field)


def endpoint_not_found(endpoint_id: str) -> Problem:
    return Problem(ENDPOINT_ERROR, f"Endpoint not found: {endpoint_id}", "endpoint_id")
