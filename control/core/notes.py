"""Notes on endpoints: what control must know again after it died, kept by their workers (recall.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from roomtone.control.core.api import Direction, EndpointState
from roomtone.control.core.session import Bus, End, Endpoint, Session
from roomtone.engine.codecs import Codec
from roomtone.engine.messages import Media, Remote

if TYPE_CHECKING:
    from roomtone.control.core.core import Core


class Note(msgspec.Struct, array_like=True, frozen=True):
    """Of the session first, then of the endpoint (fields as in `session.Endpoint`).

    kept: the session has a row in the store as long as it lives.
    """

    app_id: str
    caller_id: str
    created_epoch_us: int
    home: int
    phase: int
    number: int
    policy: Direction
    negotiated: Direction | None
    override: Direction | None
    held: bool
    media: Media | None
    remote: Remote | None
    rtcp_mux: bool
    offered: tuple[Codec, ...]
    sdp_version: int
    audio: tuple[int, int, EndpointState] | None = None  # a bot's: sample rate, flush_ms, state
    far: End | None = None
    kept: bool = False


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Note).decode


def note(core: Core, bus: Bus, endpoint: Endpoint) -> bytes:
    """The note of an endpoint as it will be when the command that carries it is done."""
    assert bus.home is not None
    audio = endpoint.audio
    return _encode(
        Note(
            bus.app_id,
            bus.caller_id if isinstance(bus, Session) else "",
            bus.created_us + core.epoch_offset_us,
            bus.home,
            bus.phase,
            endpoint.number,
            endpoint.policy,
            endpoint.negotiated,
            endpoint.override,
            endpoint.held,
            endpoint.media,
            endpoint.remote,
            endpoint.rtcp_mux,
            endpoint.offered,
            endpoint.sdp_version,
            (audio.sample_rate, audio.flush_ms, endpoint.state) if audio is not None else None,
            endpoint.far,
            isinstance(bus, Session) and (bus.leg.told or not bus.leg.leased),
        )
    )
