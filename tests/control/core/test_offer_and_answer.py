"""RFC 3264 as websocket.md section 5 has it: what is agreed on, what is answered, what the worker is told."""

import pytest
import sdp_samples
from desk import OFFER, Client, Desk, Refused
from offers import DIRECTIONS, MIRROR, audio, encodings, made, offer, refusal

from roomtone.control.core import sdp
from roomtone.control.core.negotiate import restricted
from roomtone.engine import messages as ms
from roomtone.engine.codecs import Codec

# -- codecs --------------------------------------------------------------------------------------------------


def test_the_answer_lists_the_mutual_codecs_in_the_offers_order(client: Client) -> None:
    answer, command = offer(client, sdp_samples.ASTERISK)
    assert encodings(answer) == [(8, "PCMA/8000"), (0, "PCMU/8000"), (101, "TELEPHONE-EVENT/8000")]
    assert answer.sections[0].attribute("ptime") == "20"
    assert answer.sections[0].attribute("fmtp") == "101 0-15"
    media = command.media
    assert [(p.payload_type, p.codec) for p in media.receive] == [(8, Codec.PCMA), (0, Codec.PCMU)]
    assert (media.send_payload_type, media.send_codec, media.ptime_ms) == (8, Codec.PCMA, 20)
    assert media.event_receive == [(101, 8000)] and media.event_send == (101, 8000)


def test_linear_audio_is_sent_when_offered_whatever_its_place(client: Client) -> None:
    lines = ("rtpmap:96 L16/16000/1", "rtpmap:97 L16/8000", "rtpmap:98 L16/8000/2")
    _, command = offer(client, audio("0 98 96 97 8", *lines))
    assert (command.media.send_payload_type, command.media.send_codec) == (96, Codec.L16_16K)
    assert [p.payload_type for p in command.media.receive] == [0, 96, 97, 8]


def test_dynamic_payload_types_are_the_offers(client: Client) -> None:
    answer, command = offer(
        client, audio("112 120", "rtpmap:112 pcma/8000", "rtpmap:120 telephone-event/8000")
    )
    assert encodings(answer) == [(112, "PCMA/8000"), (120, "TELEPHONE-EVENT/8000")]
    assert command.media.send_payload_type == 112
    assert command.media.event_send == (120, 8000)


def test_telephone_events_are_taken_in_the_clocks_of_the_codecs(client: Client) -> None:
    answer, command = offer(client, sdp_samples.LINPHONE)
    assert [name for _, name in encodings(answer)] == ["PCMU/8000", "PCMA/8000", "TELEPHONE-EVENT/8000"]
    assert command.media.event_receive == [(100, 8000)]
    lines = ("rtpmap:96 L16/16000", "rtpmap:101 telephone-event/8000", "rtpmap:102 telephone-event/16000")
    _, command = offer(client, audio("96 0 101 102", *lines))
    assert command.media.event_receive == [(101, 8000), (102, 16000)]
    assert command.media.event_send == (102, 16000)


def test_without_telephone_event_none_is_answered_and_none_injected(desk: Desk, client: Client) -> None:
    answer, command = offer(client, audio("0"))
    assert encodings(answer) == [(0, "PCMU/8000")]
    assert command.media.event_send is None and command.media.event_receive == []
    with pytest.raises(Refused, match="telephone-event"):
        client.call("endpoint.dtmf.inject", endpoint_id=command.endpoint, digit="1")


@pytest.mark.parametrize(
    ("formats", "line", "agreed"),
    [
        ("0 13", "ptime:20", 13),
        ("13 0", "rtpmap:13 CN/8000", 13),
        ("0 99", "rtpmap:99 cn/8000/1", 99),
        ("0 99 13", "rtpmap:99 CN/8000", 99),  # one is enough
        ("0 99", "rtpmap:99 CN/16000", None),
        ("0 99", "rtpmap:99 CN/8000/2", None),
        ("96 13", "rtpmap:96 L16/16000", None),
    ],
)
def test_comfort_noise_is_answered_beside_a_codec_of_its_clock(
    client: Client, formats: str, line: str, agreed: int | None
) -> None:
    answer, command = offer(client, audio(formats, line))
    media = command.media
    assert media.noise_receive == media.noise_send == agreed
    assert [number for number, name in encodings(answer) if name == "CN/8000"] == ([agreed] if agreed else [])
    assert agreed not in [p.payload_type for p in media.receive] and media.send_payload_type != agreed
    (info,) = client.call("session.info")["endpoints"]
    assert info["codec"] in ("PCMU", "L16")


def test_noise_is_not_sent_beside_a_codec_of_another_clock(client: Client) -> None:
    _, command = offer(client, audio("0 96 13", "rtpmap:96 L16/16000"))
    assert command.media.send_codec == Codec.L16_16K
    assert (command.media.noise_receive, command.media.noise_send) == (13, None)


def test_a_re_offer_adds_noise_and_takes_it_away(desk: Desk, client: Client) -> None:
    _, command = offer(client, audio("0"))
    for formats, agreed in (("0 13", 13), ("0", None)):
        text = client.call("endpoint.rtp.reinvite", endpoint_id=command.endpoint, sdp=audio(formats))
        assert ("a=rtpmap:13 CN/8000" in text["sdp_answer"]) == bool(agreed)
        media = desk.workers[0].of(ms.UpdateRtp)[-1].media
        assert media.noise_receive == media.noise_send == agreed


@pytest.mark.parametrize("formats", ["9", "111 18", "101", "97", "13", "13 101"])
def test_without_a_common_codec_there_is_no_endpoint(client: Client, formats: str) -> None:
    lines = ("rtpmap:111 opus/48000/2", "rtpmap:101 telephone-event/8000", "rtpmap:97 L16/44100/2")
    assert refusal(client, audio(formats, *lines)) == "No common audio codec"


# -- sections ------------------------------------------------------------------------------------------------


def test_every_section_is_answered_in_order_and_the_unused_with_port_0(client: Client) -> None:
    text = audio("0") + (
        "m=video 5000 RTP/AVP 96 97\na=rtpmap:96 VP8/90000\n"
        "m=audio 6000 RTP/AVP 8\nm=application 7000 UDP/DTLS/SCTP webrtc-datachannel\n"
    )
    answer, _ = offer(client, text)
    assert [(s.kind, s.port > 0, s.protocol) for s in answer.sections] == [
        ("audio", True, "RTP/AVP"),
        ("video", False, "RTP/AVP"),
        ("audio", False, "RTP/AVP"),
        ("application", False, "UDP/DTLS/SCTP"),
    ]
    assert all(section.formats for section in answer.sections)


def test_the_first_usable_audio_section_is_taken(client: Client) -> None:
    answer, command = offer(
        client, sdp_samples.GSTREAMER.replace("IP6", "IP4").replace("2001:db8::1", "192.0.2.1")
    )
    assert [section.port for section in answer.sections] == [0, 30000]
    assert command.remote == ms.Remote(ip="192.0.2.11", port=6000, rtcp_port=6001)
    secure = audio("0").replace("RTP/AVP", "RTP/SAVP") + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\n"
    answer, _ = offer(client, secure + "m=audio 6000 RTP/AVPF 8\na=mid:b\n")
    assert [(s.port > 0, s.protocol) for s in answer.sections] == [(False, "RTP/SAVP"), (True, "RTP/AVPF")]
    assert answer.sections[1].attribute("mid") == "b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (sdp_samples.CHROMIUM, "WebRTC is not supported by this build"),
        (audio("0", "ice-ufrag:abcd"), "WebRTC is not supported by this build"),
        (
            audio("0").replace("t=0 0", "t=0 0\na=fingerprint:sha-256 00"),
            "WebRTC is not supported by this build",
        ),
        (audio("0").replace("RTP/AVP", "RTP/SAVP"), "SRTP is not supported by this build"),
        (audio("0").replace("RTP/AVP", "TCP"), "Unsupported transport"),
        (audio("0", port=0), "no active audio"),
        ("v=0\nc=IN IP4 192.0.2.1\nm=video 4000 RTP/AVP 96\n", "no active audio"),
        ("v=0\nc=IN IP4 192.0.2.1\n", "no active audio"),
        ("v=0\nm=audio 4000 RTP/AVP 0\n", "no c= line"),
        (audio("0", address="IN IP4 phone.example.org"), "must hold an IP address"),
        (audio("0", address="IN IP6 fe80::1%eth0"), "must hold an IP address"),
        (audio("0", address="IN IP4 224.2.1.1/127"), "Multicast"),
        (audio("0", address="IN IP6 2001:db8::1"), "IPv6"),
        ("hello", "Invalid SDP"),
    ],
)
def test_offers_that_cannot_be_answered_say_why(client: Client, text: str, message: str) -> None:
    assert message in refusal(client, text)


def test_the_offers_family_chooses_the_media_address() -> None:
    client = Desk(config='media_ip = ["192.0.2.200", "2001:db8::200"]').connect()
    client.call("session.create")
    answer, command = offer(client, audio("0", address="IN IP6 2001:db8::9"))
    assert command.media_ip == "2001:db8::200"
    assert answer.connection == "2001:db8::200" and answer.origin.address == "2001:db8::200"
    answer, command = offer(client, audio("0"))
    assert command.media_ip == "192.0.2.200"
    six, four = client.call("session.info")["endpoints"]
    assert (six["local_rtp_addr"], six["remote_rtp_addr"]) == ("[2001:db8::200]:30000", "[2001:db8::9]:4000")
    assert (four["local_rtcp_addr"], four["remote_rtcp_addr"]) == ("192.0.2.200:30003", "192.0.2.7:4001")


# -- RTCP ----------------------------------------------------------------------------------------------------


def test_rtcp_is_multiplexed_only_when_the_peer_has_it(client: Client) -> None:
    answer, command = offer(client, audio("0", "rtcp-mux"))
    assert command.rtcp_mux and command.remote.rtcp_port == 4000
    assert answer.sections[0].attribute("rtcp-mux") == ""
    assert answer.sections[0].attribute("rtcp") is None
    answer, command = offer(client, audio("0"))
    assert not command.rtcp_mux and command.remote.rtcp_port == 4001
    assert answer.sections[0].attribute("rtcp-mux") is None
    assert answer.sections[0].attribute("rtcp") == str(answer.sections[0].port + 1)


def test_a_named_rtcp_port_is_used(client: Client) -> None:
    _, command = offer(client, audio("0", "rtcp:5555 IN IP4 192.0.2.7"))
    assert command.remote.rtcp_port == 5555
    _, command = offer(client, audio("0", "rtcp:nonsense"))
    assert command.remote.rtcp_port == 4001


# -- directions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offered", DIRECTIONS)
@pytest.mark.parametrize("allowed", DIRECTIONS)
def test_the_answers_direction_is_the_offers_mirrored_and_restricted(
    client: Client, offered: str, allowed: str
) -> None:
    answer, command = offer(client, audio("0", offered), direction=allowed)
    peer_sends = offered in ("sendrecv", "sendonly") and allowed in ("sendrecv", "sendonly")
    peer_hears = offered in ("sendrecv", "recvonly") and allowed in ("sendrecv", "recvonly")
    agreed = {(1, 1): "sendrecv", (1, 0): "sendonly", (0, 1): "recvonly", (0, 0): "inactive"}[
        peer_sends, peer_hears
    ]
    assert answer.sections[0].direction() == MIRROR[agreed]
    assert (command.is_source, command.is_destination) == (peer_sends, peer_hears)
    assert command.send_at_once == (peer_hears and not peer_sends)
    assert client.call("session.info")["endpoints"][0]["direction"] == agreed


def test_what_both_allow_does_not_depend_on_the_order() -> None:
    for a in DIRECTIONS:
        assert restricted(a, a) == a
        for b in DIRECTIONS:
            assert restricted(a, b) == restricted(b, a)


def test_a_zero_address_is_hold(client: Client) -> None:
    answer, command = offer(client, sdp_samples.OLD_PHONE)
    assert command.is_source and not command.is_destination and not command.send_at_once
    assert answer.sections[0].direction() == "recvonly"
    endpoint = command.endpoint
    client.call("endpoint.update_direction", endpoint_id=endpoint, direction="recvonly")
    last = client.desk.workers[0].of(ms.UpdateRtp)[-1]
    assert (last.is_source, last.is_destination, last.send_at_once) == (False, False, False)


# -- re-offers -----------------------------------------------------------------------------------------------


def test_a_reoffer_moves_the_address_and_opens_learning_again(desk: Desk, client: Client) -> None:
    first, command = offer(client, OFFER)
    session, endpoint = command.session, command.endpoint
    desk.event(0, ms.PeerLearned(session=session, endpoint=endpoint, remote_rtp_addr="198.51.100.1:9"))
    assert client.call("session.info")["endpoints"][0]["remote_rtp_addr"] == "198.51.100.1:9"
    moved = OFFER.replace("192.0.2.7", "192.0.2.8").replace("4000", "4444")
    result = client.call("endpoint.rtp.reinvite", endpoint_id=endpoint, sdp=moved)
    answer = sdp.parse(result["sdp_answer"])
    assert answer.origin.session_id == first.origin.session_id
    assert int(answer.origin.version) == int(first.origin.version) + 1
    assert answer.sections == first.sections
    (update,) = desk.workers[0].of(ms.UpdateRtp)
    assert update.relearn and update.remote == ms.Remote(ip="192.0.2.8", port=4444, rtcp_port=4445)
    assert update.media == command.media
    assert client.call("session.info")["endpoints"][0]["remote_rtp_addr"] == "192.0.2.8:4444"


@pytest.mark.parametrize(
    ("mux", "learned", "rtcp"),
    [
        ("", "192.0.2.7:4000", "192.0.2.7:4001"),
        ("", "198.51.100.1:9", "198.51.100.1:10"),
        ("a=rtcp:4005\n", "192.0.2.7:4000", "192.0.2.7:4005"),
        ("a=rtcp:4005\n", "[2001:db8::1]:9", "[2001:db8::1]:10"),
        ("a=rtcp-mux\n", "192.0.2.7:4000", "192.0.2.7:4000"),
        ("a=rtcp-mux\n", "198.51.100.1:9", "198.51.100.1:9"),
    ],
)
def test_the_peers_rtcp_address_follows_the_one_it_is_heard_from(
    desk: Desk, client: Client, mux: str, learned: str, rtcp: str
) -> None:
    _, command = offer(client, OFFER + mux)
    told = "192.0.2.7:4000" if "mux" in mux else "192.0.2.7:4005" if mux else "192.0.2.7:4001"
    assert client.call("session.info")["endpoints"][0]["remote_rtcp_addr"] == told
    heard = ms.PeerLearned(session=command.session, endpoint=command.endpoint, remote_rtp_addr=learned)
    desk.event(0, heard)
    assert client.call("session.info")["endpoints"][0]["remote_rtcp_addr"] == rtcp


def test_hold_and_resume_by_reoffer(desk: Desk, client: Client) -> None:
    _, command = offer(client, OFFER)
    for line, shown, answered in (
        ("sendonly", "sendonly", "recvonly"),
        ("inactive", "inactive", "inactive"),
        ("sendrecv", "sendrecv", "sendrecv"),
    ):
        text = OFFER.replace("a=sendrecv", f"a={line}")
        result = client.call("endpoint.update_remote_sdp", endpoint_id=command.endpoint, sdp=text)
        assert sdp.parse(result["sdp_answer"]).sections[0].direction() == answered
        assert client.call("session.info")["endpoints"][0]["direction"] == shown
    last = desk.workers[0].of(ms.UpdateRtp)[-1]
    assert (last.is_source, last.is_destination) == (True, True)


def test_the_codec_in_use_stays_while_the_peer_has_it(desk: Desk, client: Client) -> None:
    _, command = offer(client, OFFER)
    client.call(
        "endpoint.rtp.reinvite", endpoint_id=command.endpoint, sdp=OFFER.replace("AVP 0 8", "AVP 8 0")
    )
    assert desk.workers[0].of(ms.UpdateRtp)[-1].media.send_codec == Codec.PCMU
    client.call("endpoint.rtp.reinvite", endpoint_id=command.endpoint, sdp=OFFER.replace("AVP 0 8", "AVP 8"))
    assert desk.workers[0].of(ms.UpdateRtp)[-1].media.send_codec == Codec.PCMA
    assert client.call("session.info")["endpoints"][0]["codec"] == "PCMA"


@pytest.mark.parametrize("text", [audio("9"), audio("0", port=0), audio("0", address="IN IP6 2001:db8::1")])
def test_a_bad_reoffer_changes_nothing(desk: Desk, client: Client, text: str) -> None:
    _, command = offer(client, OFFER)
    before = client.call("session.info")
    refusal(client, text, "endpoint.rtp.reinvite", endpoint_id=command.endpoint)
    assert client.call("session.info") == before
    assert not desk.workers[0].of(ms.UpdateRtp)


def test_a_reoffer_before_the_answer_is_refused(client: Client) -> None:
    endpoint_id, _ = made(client)
    refusal(client, OFFER, "endpoint.rtp.reinvite", endpoint_id=endpoint_id)


def test_a_reoffer_may_take_rtcp_mux_up_and_down(client: Client) -> None:
    first, command = offer(client, OFFER)
    port = first.sections[0].port
    for mux, rtcp in (("a=rtcp-mux\n", None), ("", str(port))):
        text = client.call("endpoint.rtp.reinvite", endpoint_id=command.endpoint, sdp=OFFER + mux)[
            "sdp_answer"
        ]
        (section,) = sdp.parse(text).sections
        assert (section.port, section.attribute("rtcp")) == (port, rtcp)
        assert (section.attribute("rtcp-mux") is not None) == bool(mux)


def test_policy_of_creation_holds_through_reoffers(desk: Desk, client: Client) -> None:
    _, command = offer(client, OFFER, direction="recvonly")
    result = client.call("endpoint.rtp.reinvite", endpoint_id=command.endpoint, sdp=OFFER)
    assert sdp.parse(result["sdp_answer"]).sections[0].direction() == "sendonly"
    assert client.call("session.info")["endpoints"][0]["direction"] == "recvonly"
