"""The Python client of roomtone's session protocol.

    async with connect("ws://127.0.0.1:9100/", reconnect=True) as client:
        await client.session_create()
        await client.endpoint_create_tone("ringback", duration_ms=2000)
        async for event in client:
            match event:
                case events.ToneFinished():
                    break

Every method of the protocol is a method of the client, a dot written as an underscore (methods.py);
parameters, results and events are the Structs of `api`.  `Client.call` and `Client.events` do the same with
names and plain JSON.  A refused request raises `RoomtoneError` with the server's code, one whose connection
was lost `ConnectionLost`.

Reading order: methods, events, link (one WebSocket), client, audio.
"""

from roomtone.control.core import api

from .audio import Audio, Flushed, Mark
from .client import Backoff, Client, connect
from .events import Disconnected, Event, Reconnected
from .problem import ConnectionLost, RoomtoneError

__all__ = [
    "Audio", "Backoff", "Client", "ConnectionLost", "Disconnected", "Event", "Flushed", "Mark", "Reconnected",
    "RoomtoneError", "api", "connect",
]  # fmt: skip
