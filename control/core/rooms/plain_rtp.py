"""RTP without SDP, as applications describe it: the peer's address, codec and payload types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from roomtone.control.core import sdp
from roomtone.control.core.endpoint_requests import media_ip_of
from roomtone.control.core.rest.refusal import Fault, Refusal
from roomtone.control.core.session import Endpoint
from roomtone.engine.codecs import Codec
from roomtone.engine.messages import Media, PayloadType, Remote

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

CODECS: dict[str, tuple[Codec, int]] = {  # by name, with the payload type when none is named (RFC 3551)
    "PCMU": (Codec.PCMU, 0),
    "PCMA": (Codec.PCMA, 8),
    "L16/8000": (Codec.L16_8K, 96),
    "L16/16000": (Codec.L16_16K, 97),
}
EVENT_CLOCK_HZ = 8000  # of telephone-event

Port = Annotated[int, Meta(ge=1, le=65535)]
PayloadNumber = Annotated[int, Meta(ge=0, le=127)]
Name = Literal["PCMU", "PCMA", "L16/8000", "L16/16000"]


class Address(Struct, forbid_unknown_fields=True, kw_only=True):
    """rtcp_port: None: the port behind `port`; the same: both share it."""

    ip: Annotated[str, Meta(max_length=45)]
    port: Port
    rtcp_port: Port | None = None


class Format(Struct, kw_only=True):
    """payload_type: both ways; None: the static one, or 96.  event_payload_type: of telephone-event.

    ptime_ms: of what we send.
    """

    codec: Name = "PCMU"
    payload_type: PayloadNumber | None = None
    event_payload_type: PayloadNumber | None = None
    ptime_ms: Literal[10, 20, 30, 40, 60] = 20


class Local(Struct):
    """Where we receive, and how our stream is called."""

    ip: str
    rtp_port: int
    rtcp_port: int
    ssrc: int


def remote(core: Core, address: Address) -> tuple[Remote, str]:
    """The peer's address, and ours of its family.  Raises `Refusal`."""
    parsed = sdp.ip_address(address.ip)
    if parsed is None or parsed.is_unspecified or parsed.is_multicast:
        raise _wrong("/remote/ip", "not an IP address that can be sent to")
    rtcp_port = address.port + 1 if address.rtcp_port is None else address.rtcp_port
    if rtcp_port > 65535:
        raise _wrong("/remote/port", "there is no port behind it for RTCP")
    ours = media_ip_of(core, parsed.version)
    return Remote(ip=str(parsed), port=address.port, rtcp_port=rtcp_port), ours


def media(wish: Format) -> Media:
    """Raises `Refusal`."""
    codec, static = CODECS[wish.codec]
    number = static if wish.payload_type is None else wish.payload_type
    if wish.event_payload_type == number:
        raise _wrong("/event_payload_type", "it is the codec's")
    events = wish.event_payload_type
    return Media(
        receive=[PayloadType(number, codec)],
        send_payload_type=number,
        send_codec=codec,
        event_receive=[] if events is None else [(events, EVENT_CLOCK_HZ)],
        event_send=None if events is None else (events, EVENT_CLOCK_HZ),
        ptime_ms=wish.ptime_ms,
    )


def check_family(endpoint: Endpoint, remote: Remote) -> None:
    """It cannot go from one family of addresses to the other.  Raises `Refusal`."""
    created = endpoint.created
    if created is None or (":" in created.local_ip) != (":" in remote.ip):
        raise _wrong("/remote/ip", "it is of another family than ours")


def _wrong(pointer: str, detail: str) -> Refusal:
    return Refusal(400, "validation_error", f"{pointer}: {detail}", faults=(Fault(pointer, detail),))


def local(endpoint: Endpoint) -> Local:
    created = endpoint.created
    assert created is not None
    return Local(created.local_ip, created.rtp_port, created.rtcp_port, created.ssrc)


def name_of(codec: Codec) -> str:
    return next(name for name, (known, _) in CODECS.items() if known == codec)
