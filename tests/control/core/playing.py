"""What tests of files have in common."""

from typing import Any

from desk import Client

URL = "https://media.example/hold.ogg?token=secret"


def play(client: Client, source: str = "hold.wav", **params: Any) -> str:
    return str(client.call("endpoint.create_with_file", source=source, **params)["endpoint_id"])


def states(client: Client) -> dict[str, str]:
    return {e["endpoint_id"]: e["state"] for e in client.call("session.info")["endpoints"]}
