"""SDP reader, writer and negotiation: any text is read or refused, and what is answered can be read again."""

import sys

import atheris

with atheris.instrument_imports(include=["roomtone.control.core"]):
    from roomtone.control.core import negotiate, sdp
    from roomtone.control.core.problems import Problem

from roomtone.engine.messages import RtpCreated

MAX_KB = 64
LINES = (
    "v=0",
    "o=- 1 1 IN IP4 192.0.2.1",
    "s=-",
    "t=0 0",
    "c=IN IP4 192.0.2.1",
    "c=IN IP4 0.0.0.0",
    "c=IN IP6 2001:db8::1",
    "c=IN IP4 host.example.org",
    "m=audio 4000 RTP/AVP 0 8 13 96 97 99 101 102",
    "m=audio 0 RTP/AVP 0",
    "m=audio 4002 RTP/SAVP 0",
    "m=video 4004 RTP/AVP 98",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "a=rtpmap:0 PCMU/8000",
    "a=rtpmap:96 L16/16000/1",
    "a=rtpmap:97 L16/8000",
    "a=rtpmap:97 opus/48000/2",
    "a=rtpmap:101 telephone-event/8000",
    "a=rtpmap:102 telephone-event/16000",
    "a=rtpmap:13 CN/8000",
    "a=rtpmap:99 CN/8000",
    "a=fmtp:101 0-15",
    "a=sendonly",
    "a=inactive",
    "a=rtcp-mux",
    "a=rtcp:4001",
    "a=mid:0",
    "a=ptime:30",
    "a=fingerprint:sha-256 00",
)
CREATED = RtpCreated(local_ip="192.0.2.200", rtp_port=30000, rtcp_port=30001, ssrc=1, cname="c", handle=1)
LINE = negotiate.Line(session_id=1, version=1, created=CREATED, rtcp_mux=False)


@atheris.instrument_func
def composed(data: bytes) -> str:
    """A description of known lines, some of them damaged."""
    source = atheris.FuzzedDataProvider(data)
    lines = ["v=0", "c=IN IP4 192.0.2.1"]
    while source.remaining_bytes() > 1 and len(lines) < 40:
        line = LINES[source.ConsumeIntInRange(0, len(LINES) - 1)]
        if source.ConsumeIntInRange(0, 7) == 0:
            place = source.ConsumeIntInRange(0, len(line))
            line = line[:place] + source.ConsumeUnicode(4) + line[place + 1 :]
        lines.append(line)
    return "\r\n".join(lines)


@atheris.instrument_func
def read(text: str) -> None:
    try:
        description = sdp.parse(text)
    except sdp.SdpError:
        return
    for section in description.sections:
        assert 0 <= section.port <= sdp.MAX_PORT
        assert description.direction(section) in sdp.DIRECTIONS
        assert all(
            m.payload_type <= sdp.MAX_PAYLOAD_TYPE
            for m in sdp.rtp_maps(section.formats, section.values("rtpmap"))
        )
    assert sdp.parse(sdp.write(description)) == description


@atheris.instrument_func
def answer(text: str) -> None:
    try:
        answerable = negotiate.read_offer(text, "sendrecv", MAX_KB)
    except Problem:
        return
    agreement = answerable.agreement
    sent = agreement.media.send_payload_type, agreement.media.send_codec
    assert sent in [(p.payload_type, p.codec) for p in agreement.media.receive]
    assert agreement.media.event_send is None or agreement.media.event_send in agreement.media.event_receive
    noise = agreement.media.noise_receive
    assert agreement.media.noise_send in (None, noise)
    assert noise is None or noise not in [p.payload_type for p in agreement.media.receive]
    assert sdp.ip_address(agreement.remote.ip) is not None and 0 < agreement.remote.port <= sdp.MAX_PORT
    ours = sdp.parse(negotiate.write_answer(answerable, LINE))
    assert len(ours.sections) == len(answerable.offer.sections)
    assert [i for i, section in enumerate(ours.sections) if section.port] == [answerable.index]
    # What we answer, a peer of our kind takes.
    ours.sections = [ours.sections[answerable.index]]
    codecs = tuple(p.codec for p in agreement.media.receive)
    taken = negotiate.read_answer(sdp.write(ours), codecs, "sendrecv", MAX_KB).media
    assert taken.noise_receive is None or taken.noise_receive not in [p.payload_type for p in taken.receive]


@atheris.instrument_func
def test_one_input(data: bytes) -> None:
    for text in (data.decode(errors="surrogateescape"), composed(data)):
        read(text)
        answer(text)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
