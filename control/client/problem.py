"""How a request can fail."""

from __future__ import annotations

CONNECTION_LOST = "CONNECTION_LOST"


class RoomtoneError(Exception):
    """The server refused a request.  code: as in the protocol; message: a sentence for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ConnectionLost(RoomtoneError):
    """There is no connection, or it ended before the reply: whether the request was carried out is unknown.

    The client never sends a request twice.
    """

    def __init__(self, message: str) -> None:
        super().__init__(CONNECTION_LOST, message)
