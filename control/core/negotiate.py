"""Offer and answer (RFC 3264) for plain RTP: what a peer's SDP and our policy agree on.

Directions are always the peer's, as everywhere in the protocol; only in SDP of ours they stand mirrored.
Codecs are those of `engine.codecs`; every other one in an offer is passed over like an unknown one.

Nothing here keeps SDP text: `Agreement` holds what an endpoint needs later.
"""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from roomtone.control.core import sdp
from roomtone.control.core.problems import ENDPOINT_ERROR, INVALID_PARAMS, Problem
from roomtone.control.core.sdp import MIRRORED, Attribute, Description, Direction, Origin, RtpMap, Section
from roomtone.engine.codecs import CLOCK_RATE_HZ, ENCODING_NAME, Codec
from roomtone.engine.messages import Media, PayloadType, Remote, RtpCreated

PTIME_MS = 20  # what we send; stated in every description of ours
EVENT_RANGE = "0-15"  # RFC 4733 section 3.2: the sixteen keys
PLAIN_PROFILES = ("RTP/AVP", "RTP/AVPF")
EVENT = "TELEPHONE-EVENT"
NOISE = RtpMap(13, "CN", 8000, 1)  # RFC 3389 section 4; sent beside a codec of that clock, never as one
Maps = tuple[RtpMap, ...]
REMEMBERED_LENGTH = 512  # characters of formats and rtpmap lines; longer ones are worked out each time

_CODECS: dict[tuple[str, int, int], Codec] = {
    (ENCODING_NAME[codec], CLOCK_RATE_HZ[codec], 1): codec for codec in Codec
}
_RANK = {Codec.L16_8K: 0, Codec.L16_16K: 0, Codec.PCMU: 1, Codec.PCMA: 1}  # what we send: lower is better
OFFER_PAYLOAD_TYPE = {Codec.PCMU: 0, Codec.PCMA: 8, Codec.L16_16K: 97, Codec.L16_8K: 98}
OFFER_EVENT_PAYLOAD_TYPE = {8000: 101, 16000: 102}
DEFAULT_OFFER = (Codec.PCMU, Codec.PCMA)
_OFFER_NAMES = {
    "pcmu": (Codec.PCMU,),
    "pcma": (Codec.PCMA,),
    "l16": (Codec.L16_16K, Codec.L16_8K),
    "l16/16000": (Codec.L16_16K,),
    "l16/8000": (Codec.L16_8K,),
}


class Agreement(Struct, kw_only=True):
    """What one audio section and we agree on.

    offered: the peer's direction as its SDP says.  direction: the same restricted by our policy.
    held: the peer gave no address to send to (c=0.0.0.0).
    """

    media: Media
    remote: Remote
    offered: Direction
    direction: Direction
    rtcp_mux: bool
    held: bool
    family: int  # 4 or 6


class Answerable(Struct, kw_only=True):
    """An offer with the section chosen; `write_answer` makes the answer once the port is known."""

    offer: Description
    index: int  # of the chosen section
    agreement: Agreement
    answer_direction: Direction  # as it stands in our answer
    maps: Maps  # payload types of the answer, in the offer's order


class Line(Struct, kw_only=True):
    """Our side of an endpoint's SDP."""

    session_id: int  # o= line; constant over an endpoint's life
    version: int  # o= line; one more with every description
    created: RtpCreated
    rtcp_mux: bool


def directions(direction: Direction) -> tuple[bool, bool]:
    """(the peer may send, the peer may receive)."""
    return direction in ("sendrecv", "sendonly"), direction in ("sendrecv", "recvonly")


def direction_of(sends: bool, receives: bool) -> Direction:
    if sends:
        return "sendrecv" if receives else "sendonly"
    return "recvonly" if receives else "inactive"


def restricted(direction: Direction, by: Direction) -> Direction:
    """What both allow."""
    sends, receives = directions(direction)
    may_send, may_receive = directions(by)
    return direction_of(sends and may_send, receives and may_receive)


# -- reading a peer's description ----------------------------------------------------------------------------


def read(text: str, max_kb: int) -> Description:
    """Parse a peer's SDP.  max_kb 0: of any size.  Raises `Problem`."""
    if max_kb and len(text.encode(errors="replace")) > max_kb * 1024:
        raise Problem(INVALID_PARAMS, f"The SDP exceeds {max_kb} KiB", "sdp")
    try:
        description = sdp.parse(text)
    except sdp.SdpError as error:
        raise Problem(ENDPOINT_ERROR, f"Invalid SDP: {error}", "sdp") from None
    if is_webrtc(description):
        raise Problem(ENDPOINT_ERROR, "WebRTC is not supported by this build", "sdp")
    return description


def is_webrtc(description: Description) -> bool:
    """Any fingerprint or ice-ufrag line makes it WebRTC."""
    parts: list[Description | Section] = [description, *description.sections]
    return any(part.attribute(name) is not None for part in parts for name in ("fingerprint", "ice-ufrag"))


def _mutual(section: Section) -> Maps:
    """Our audio codecs, telephone-events and comfort noise of their clocks, in the section's order."""
    formats, values = tuple(section.formats), section.values("rtpmap")
    brief = sum(map(len, (*formats, *values))) <= REMEMBERED_LENGTH
    return (_mutual_again if brief else _mutual_first)(formats, values)


def _mutual_first(formats: tuple[str, ...], values: tuple[str, ...]) -> Maps:
    maps = sdp.rtp_maps(formats, values)
    clocks = {rtp_map.clock_rate for rtp_map in maps if _codec(rtp_map)}
    noise = next((m for m in maps if _is_noise(m) and m.clock_rate in clocks), None)
    return tuple(
        m for m in maps if _codec(m) or (m.encoding == EVENT and m.clock_rate in clocks) or m is noise
    )


def _is_noise(rtp_map: RtpMap) -> bool:
    return (
        rtp_map.encoding == NOISE.encoding
        and rtp_map.clock_rate == NOISE.clock_rate
        and rtp_map.channels == 1
    )


_mutual_again = lru_cache(sdp.REMEMBERED)(_mutual_first)  # telephones of one kind say the same


def _codec(rtp_map: RtpMap) -> Codec | None:
    return _CODECS.get((rtp_map.encoding, rtp_map.clock_rate, rtp_map.channels))


def _choose_section(description: Description) -> int:
    """The first audio section we can answer.  Raises `Problem` that names the nearest miss."""
    audio = [(i, s) for i, s in enumerate(description.sections) if s.kind == "audio" and s.port]
    if not audio:
        raise Problem(ENDPOINT_ERROR, "The SDP has no active audio section", "sdp")
    plain = [(i, s) for i, s in audio if s.protocol in PLAIN_PROFILES]
    if not plain:
        if any("SAVP" in section.protocol for _, section in audio):
            raise Problem(ENDPOINT_ERROR, "SRTP is not supported by this build", "sdp")
        raise Problem(ENDPOINT_ERROR, f"Unsupported transport {audio[0][1].protocol[:40]!r}", "sdp")
    for index, section in plain:
        if any(_codec(m) for m in _mutual(section)):
            return index
    raise Problem(ENDPOINT_ERROR, "No common audio codec", "sdp")


@lru_cache(sdp.REMEMBERED)
def _media(maps: Maps, keep: Codec | None) -> Media:
    """Shared by all who agree on the same, never changed.

    keep: the codec we send already; it stays while the peer still has it.
    """
    audio = [PayloadType(m.payload_type, codec) for m in maps if (codec := _codec(m))]
    kept = [p for p in audio if p.codec == keep]
    best = kept[0] if kept else min(audio, key=lambda p: _RANK[p.codec])  # min takes the first of equals
    events = [(m.payload_type, m.clock_rate) for m in maps if m.encoding == EVENT]
    clock = CLOCK_RATE_HZ[best.codec]
    same_clock = [event for event in events if event[1] == clock]
    noise = next((m.payload_type for m in maps if _is_noise(m)), None)
    return Media(
        receive=audio,
        send_payload_type=best.payload_type,
        send_codec=best.codec,
        event_receive=events,
        event_send=next(iter(same_clock or events), None),
        noise_receive=noise,
        noise_send=noise if clock == NOISE.clock_rate else None,
        ptime_ms=PTIME_MS,
    )


def _remote(description: Description, section: Section) -> tuple[Remote, bool, int, bool]:
    """Address, rtcp-mux, family, held.  Raises `Problem`."""
    text = description.address(section)
    if text is None:
        raise Problem(ENDPOINT_ERROR, "The SDP has no c= line for the audio section", "sdp")
    address = sdp.ip_address(text)
    if address is None:
        raise Problem(ENDPOINT_ERROR, f"The c= line must hold an IP address, not {text[:80]!r}", "sdp")
    if address.is_multicast:
        raise Problem(ENDPOINT_ERROR, "Multicast media is not supported", "sdp")
    mux = section.attribute("rtcp-mux") is not None
    rtcp = sdp.number((section.attribute("rtcp") or "").partition(" ")[0], sdp.MAX_PORT)
    if mux:
        rtcp_port = section.port
    else:
        rtcp_port = rtcp or min(section.port + 1, sdp.MAX_PORT)
    remote = Remote(ip=str(address), port=section.port, rtcp_port=rtcp_port)
    return remote, mux, address.version, address.is_unspecified


def _agree(
    description: Description,
    section: Section,
    maps: Maps,
    policy: Direction,
    keep: Codec | None,
) -> Agreement:
    remote, mux, version, held = _remote(description, section)
    sends, receives = directions(description.direction(section))
    offered = direction_of(sends, receives and not held)  # RFC 3264 section 8.4: the old way to hold
    return Agreement(
        media=_media(maps, keep),
        remote=remote,
        offered=offered,
        direction=restricted(offered, policy),
        rtcp_mux=mux,
        held=held,
        family=version,
    )


def read_offer(text: str, policy: Direction, max_kb: int, keep: Codec | None = None) -> Answerable:
    """Choose the section to answer and what to agree on.

    policy: what we allow the peer.  keep: the codec in use when this is a re-offer.  Raises `Problem`.
    """
    offer = read(text, max_kb)
    index = _choose_section(offer)
    section = offer.sections[index]
    maps = _mutual(section)
    agreement = _agree(offer, section, maps, policy, keep)
    return Answerable(
        offer=offer,
        index=index,
        agreement=agreement,
        answer_direction=MIRRORED[agreement.direction],
        maps=maps,
    )


def read_answer(text: str, codecs: tuple[Codec, ...], policy: Direction, max_kb: int) -> Agreement:
    """What a peer's answer to our single-section offer of `codecs` means.  Raises `Problem`."""
    answer = read(text, max_kb)
    if len(answer.sections) != 1:
        raise Problem(ENDPOINT_ERROR, "The answer must have exactly the one section of our offer", "sdp")
    section = answer.sections[_choose_section(answer)]
    offered_clocks = {CLOCK_RATE_HZ[codec] for codec in codecs}
    maps = tuple(
        m
        for m in _mutual(section)
        if _codec(m) in codecs or (not _codec(m) and m.clock_rate in offered_clocks)
    )
    if not any(_codec(m) for m in maps):
        raise Problem(ENDPOINT_ERROR, "No common audio codec", "sdp")
    agreement = _agree(answer, section, maps, policy, None)
    agreement.media = _with_offered(agreement.media)
    return agreement


def _with_offered(media: Media) -> Media:
    """RFC 3264 section 7: a peer sends with our offer's payload types, however its answer numbers them.

    Audio and keys are taken with the answer's numbers as well, as many peers send them.
    """
    receive = list(media.receive)
    noise = media.noise_receive
    for codec in dict.fromkeys(p.codec for p in media.receive):
        offered = OFFER_PAYLOAD_TYPE[codec]
        taken = [p.payload_type for p in receive] + [event[0] for event in media.event_receive]
        if offered not in taken:
            receive.append(PayloadType(offered, codec))
    events = list(media.event_receive)
    for clock in dict.fromkeys(clock for _, clock in media.event_receive):
        offered = OFFER_EVENT_PAYLOAD_TYPE[clock]
        if all(offered != other for other in [p.payload_type for p in receive] + [e[0] for e in events]):
            events.append((offered, clock))
    if noise is not None and NOISE.payload_type not in [p.payload_type for p in receive]:
        noise = NOISE.payload_type
    return Media(
        receive=receive,
        send_payload_type=media.send_payload_type,
        send_codec=media.send_codec,
        event_receive=events,
        event_send=media.event_send,
        noise_receive=noise,
        noise_send=media.noise_send,
        ptime_ms=media.ptime_ms,
    )


# -- writing ours --------------------------------------------------------------------------------------------


def offered_codecs(names: list[str] | None) -> tuple[Codec, ...]:
    """The codecs of an offer in the order of their names; unknown names are ignored.  Raises `Problem`."""
    if not names:
        return DEFAULT_OFFER
    found = dict.fromkeys(codec for name in names for codec in _OFFER_NAMES.get(name.lower(), ()))
    if not found:
        raise Problem(ENDPOINT_ERROR, "None of the named codecs is supported", "codecs")
    return tuple(found)


def write_offer(codecs: tuple[Codec, ...], direction: Direction, line: Line) -> str:
    """direction: what we allow the peer; the offer states its mirror."""
    maps = [
        RtpMap(OFFER_PAYLOAD_TYPE[codec], ENCODING_NAME[codec], CLOCK_RATE_HZ[codec], 1) for codec in codecs
    ]
    clocks = {CLOCK_RATE_HZ[codec] for codec in codecs}
    if NOISE.clock_rate in clocks:
        maps.append(NOISE)
    for clock in sorted(clocks):
        maps.append(RtpMap(OFFER_EVENT_PAYLOAD_TYPE[clock], EVENT, clock, 1))
    section = _section("RTP/AVP", tuple(maps), MIRRORED[direction], line, rtcp_mux=True)
    return _description(line, [section])


def write_answer(answerable: Answerable, line: Line) -> str:
    """The answer: the offer's sections in order, every unused one with port 0."""
    sections = []
    for index, offered in enumerate(answerable.offer.sections):
        if index == answerable.index:
            section = _section(
                offered.protocol, answerable.maps, answerable.answer_direction, line, rtcp_mux=line.rtcp_mux
            )
            mid = offered.attribute("mid")
            if mid:
                section.attributes.insert(0, ("mid", mid))
            sections.append(section)
        else:
            formats = offered.formats[:1] or ["0"]
            sections.append(Section(kind=offered.kind, port=0, protocol=offered.protocol, formats=formats))
    return _description(line, sections)


def _description(line: Line, sections: list[Section]) -> str:
    ip = line.created.local_ip
    origin = Origin("-", str(line.session_id), str(line.version), ip)
    return sdp.write(Description(origin=origin, name="roomtone", connection=ip, sections=sections))


@lru_cache(sdp.REMEMBERED)
def _described(maps: Maps) -> tuple[Attribute, ...]:
    out: list[Attribute] = []
    for m in maps:
        name = EVENT.lower() if m.encoding == EVENT else m.encoding
        out.append(("rtpmap", f"{m.payload_type} {name}/{m.clock_rate}"))
        if m.encoding == EVENT:
            out.append(("fmtp", f"{m.payload_type} {EVENT_RANGE}"))
    return tuple(out)


def _section(protocol: str, maps: Maps, direction: Direction, line: Line, rtcp_mux: bool) -> Section:
    created = line.created
    attributes = [*_described(maps), ("ptime", str(PTIME_MS)), (direction, None)]
    if rtcp_mux:
        attributes.append(("rtcp-mux", None))
    if not rtcp_mux or created.rtcp_port != created.rtp_port:
        attributes.append(("rtcp", str(created.rtcp_port)))
    attributes.append(("ssrc", f"{created.ssrc} cname:{created.cname}"))
    return Section(
        kind="audio",
        port=created.rtp_port,
        protocol=protocol,
        formats=[str(m.payload_type) for m in maps],
        attributes=attributes,
    )
