"""Offers as text, and what comes of them."""

import pytest
from desk import Client, Refused

from roomtone.control.core import sdp
from roomtone.engine import messages as ms

DIRECTIONS = ("sendrecv", "recvonly", "sendonly", "inactive")
MIRROR = {"sendrecv": "sendrecv", "recvonly": "sendonly", "sendonly": "recvonly", "inactive": "inactive"}


def offer(client: Client, text: str, **params: object) -> tuple[sdp.Description, ms.CreateRtp]:
    """Offer; returns the answer and what the worker was told."""
    result = client.call("endpoint.create_from_offer", sdp=text, **params)
    command = client.desk.workers[0].of(ms.CreateRtp)[-1]
    assert command.endpoint == result["endpoint_id"]
    return sdp.parse(result["sdp_answer"]), command


def refusal(client: Client, text: str, method: str = "endpoint.create_from_offer", **params: object) -> str:
    with pytest.raises(Refused) as refused:
        client.call(method, sdp=text, **params)
    assert refused.value.code == "ENDPOINT_ERROR"
    assert client.desk.workers[0].of(ms.CreateRtp) == [] or method != "endpoint.create_from_offer"
    return refused.value.message


def audio(formats: str, *lines: str, address: str = "IN IP4 192.0.2.7", port: int = 4000) -> str:
    text = f"v=0\no=- 1 1 {address}\ns=-\nc={address}\nt=0 0\nm=audio {port} RTP/AVP {formats}\n"
    return text + "".join(f"a={line}\n" for line in lines)


def encodings(description: sdp.Description, section: int = 0) -> list[tuple[int, str]]:
    chosen = description.sections[section]
    maps = sdp.rtp_maps(chosen.formats, chosen.values("rtpmap"))
    return [(m.payload_type, f"{m.encoding}/{m.clock_rate}") for m in maps]


def made(
    client: Client, method: str = "endpoint.create_offer", **params: object
) -> tuple[str, sdp.Description]:
    result = client.call(method, **({"type": "rtp"} if method == "endpoint.create_offer" else {}), **params)
    return result["endpoint_id"], sdp.parse(result["sdp_offer"])
