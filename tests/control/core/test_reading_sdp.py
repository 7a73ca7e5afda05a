"""The SDP reader and writer: real samples, an oracle, round trips, and texts that are no SDP."""

import pytest
import sdp_samples
import sdp_transform
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.control.core import sdp

tokens = st.text("abcdefgh0123456789-./", min_size=1, max_size=10).filter(lambda t: t.strip("/.") == t)
addresses = st.sampled_from(["192.0.2.1", "0.0.0.0", "2001:db8::1", "sip.example.org"])
values = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x17F, exclude_characters="\x7f\x85\xa0\xad"), max_size=20
)
attributes = st.lists(
    st.tuples(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), st.none() | values), max_size=6
)
sections = st.builds(
    sdp.Section,
    kind=st.sampled_from(["audio", "video", "application"]),
    port=st.integers(0, 65535),
    protocol=st.sampled_from(["RTP/AVP", "RTP/SAVP", "UDP/TLS/RTP/SAVPF"]),
    formats=st.lists(st.integers(0, 127).map(str) | st.just("webrtc-datachannel"), max_size=6),
    connection=st.none() | addresses,
    attributes=attributes,
)
descriptions = st.builds(
    sdp.Description,
    origin=st.none()
    | st.builds(sdp.Origin, username=tokens, session_id=tokens, version=tokens, address=addresses),
    name=tokens,
    connection=st.none() | addresses,
    attributes=attributes,
    sections=st.lists(sections, max_size=4),
)


@given(descriptions)
def test_what_is_written_is_read_back(description: sdp.Description) -> None:
    assert sdp.parse(sdp.write(description)) == description


@given(st.text() | st.text("vosctmab=0123456789 :/\r\nINIP4audRTPAV.-\x00²٣", max_size=400))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        description = sdp.parse(text)
    except sdp.SdpError as error:
        assert str(error)
    else:
        for section in description.sections:
            assert 0 <= section.port <= 65535
            assert all(
                0 <= m.payload_type <= 127 for m in sdp.rtp_maps(section.formats, section.values("rtpmap"))
            )
            assert description.direction(section) in sdp.DIRECTIONS
        assert sdp.parse(sdp.write(description)) == description


@settings(max_examples=300)
@given(st.sampled_from(sorted(sdp_samples.ALL)), st.data())
def test_damaged_descriptions_are_read_or_refused(name: str, data: st.DataObject) -> None:
    text = sdp_samples.ALL[name]
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        text = text[:start] + data.draw(st.text("0189 :/=\r\nam-\u0663", max_size=6)) + text[start + length :]
    try:
        description = sdp.parse(text)
    except sdp.SdpError:
        return
    for section in description.sections:
        sdp.rtp_maps(section.formats, section.values("rtpmap"))


@pytest.mark.parametrize("name", sorted(sdp_samples.ALL))
def test_samples_are_read_as_another_reader_reads_them(name: str) -> None:
    text = sdp_samples.ALL[name]
    ours, theirs = sdp.parse(text), sdp_transform.parse(text.replace("a=rtpmap: ", "a=rtpmap:"))
    assert ours.connection == theirs.get("connection", {}).get("ip")
    assert ours.origin is not None and ours.origin.address == theirs["origin"]["address"]
    assert len(ours.sections) == len(theirs["media"])
    for section, media in zip(ours.sections, theirs["media"], strict=True):
        assert (section.kind, section.port, section.protocol) == (
            media["type"],
            media["port"],
            media["protocol"],
        )
        assert section.formats == str(media["payloads"]).split()
        assert section.connection == media.get("connection", {}).get("ip")
        assert (section.attribute("rtcp-mux") is not None) == ("rtcpMux" in media)
        assert (section.attribute("fingerprint") is not None) == ("fingerprint" in media)
        if "direction" in media:
            assert section.direction() == media["direction"]
        if "rtcp" in media:
            assert section.attribute("rtcp").split()[0] == str(media["rtcp"]["port"])
        named = {
            m.payload_type: (m.encoding, m.clock_rate)
            for m in sdp.rtp_maps(section.formats, section.values("rtpmap"))
        }
        for rtp in media["rtp"]:
            assert named[rtp["payload"]] == (rtp["codec"].upper(), rtp["rate"])


def test_static_types_need_no_rtpmap_and_a_named_one_may_be_something_else() -> None:
    text = "v=0\nm=audio 4000 RTP/AVP 0 8 8 3 97 200 x\na=rtpmap:8 OTHER/8000\na=rtpmap:8 PCMA/8000\n"
    section = sdp.parse(text).sections[0]
    maps = sdp.rtp_maps(section.formats, section.values("rtpmap"))
    assert [(m.payload_type, m.encoding) for m in maps] == [(0, "PCMU"), (8, "OTHER")]


def test_the_section_beats_the_session() -> None:
    text = (
        "v=0\nc=IN IP4 192.0.2.1\na=recvonly\n"
        "m=audio 1 RTP/AVP 0\nm=audio 2/2 RTP/AVP 0\nc=IN IP4 192.0.2.2/127\nc=IN IP4 192.0.2.3\na=inactive\n"
    )
    description = sdp.parse(text)
    first, second = description.sections
    assert (description.address(first), description.direction(first)) == ("192.0.2.1", "recvonly")
    assert (description.address(second), description.direction(second)) == ("192.0.2.2", "inactive")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "v=1\n",
        "o=- 1 1 IN IP4 192.0.2.1\nm=audio 1 RTP/AVP 0\n",
        "v=0\nm=audio\n",
        "v=0\nm=audio 65536 RTP/AVP 0\n",
        "v=0\nm=audio -1 RTP/AVP 0\n",
        "v=0\nm=audio ٣ RTP/AVP 0\n",
        "v=0\nm=audio " + "9" * 5000 + " RTP/AVP 0\n",
        "v=0\nc=IN IP5 192.0.2.1\n",
        "v=0\nc=192.0.2.1\n",
        "v=0\nnot a line\n",
        "v=0\n" + "a=x\n" * 5000,
        "v=0\n" + "m=audio 1 RTP/AVP 0\n" * 65,
        "v=0\nm=audio 1 RTP/AVP " + "0 " * 300 + "\n",
    ],
)
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(sdp.SdpError):
        sdp.parse(text)


def test_line_ends_and_blanks_do_not_matter() -> None:
    text = sdp_samples.ASTERISK
    read = sdp.parse(text)
    for end in ("\n", "\r", "\r\n\r\n", " \r\n"):
        assert sdp.parse(text.replace("\r\n", end)) == read
