"""The Python client of roomtone's session protocol.

    async with await connect("ws://127.0.0.1:9100/") as client:
        await client.call("session.create")
        await client.call("endpoint.create_tone", tone="ringback")
        async for event in client.events():
            print(event.name, event.data)

A refused request raises `RoomtoneError` with the server's code; a lost connection raises it with
``CONNECTION_LOST``.
"""

from .connection import Client, Event, RoomtoneError, connect

__all__ = ["Client", "Event", "RoomtoneError", "connect"]
