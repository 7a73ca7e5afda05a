"""Offers of ours, and the answers that peers give."""

import pytest
from desk import ANSWER, OFFER, Client, Desk, Refused
from offers import DIRECTIONS, MIRROR, audio, encodings, made, offer, refusal

from roomtone.control.core.negotiate import restricted
from roomtone.engine import messages as ms
from roomtone.engine.codecs import Codec


def test_our_offer_lists_g711_noise_and_telephone_event_and_offers_rtcp_mux(client: Client) -> None:
    endpoint_id, ours = made(client)
    offered = [(0, "PCMU/8000"), (8, "PCMA/8000"), (13, "CN/8000"), (101, "TELEPHONE-EVENT/8000")]
    assert encodings(ours) == offered
    (section,) = ours.sections
    assert (section.port, section.protocol, section.attribute("rtcp-mux")) == (30000, "RTP/AVP", "")
    assert section.attribute("rtcp") == "30001"
    (info,) = client.call("session.info")["endpoints"]
    assert info == {
        "endpoint_id": endpoint_id,
        "endpoint_type": "rtp",
        "direction": "sendrecv",
        "state": "connecting",
        "codec": None,
        "local_rtp_addr": "127.0.0.1:30000",
        "remote_rtp_addr": None,
        "local_rtcp_addr": "127.0.0.1:30001",
        "offer_generation": 1,
    }


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_our_offer_writes_the_mirror_of_the_direction(client: Client, direction: str) -> None:
    _, ours = made(client, "endpoint.rtp.create_offer", direction=direction)
    assert ours.sections[0].direction() == MIRROR[direction]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["PCMA"], ["PCMA/8000", "CN/8000", "TELEPHONE-EVENT/8000"]),
        (["opus", "pcma", "nonsense", "pcmu"], ["PCMA/8000", "PCMU/8000", "CN/8000", "TELEPHONE-EVENT/8000"]),
        (["l16/16000"], ["L16/16000", "TELEPHONE-EVENT/16000"]),
        (
            ["pcmu", "L16"],
            [
                "PCMU/8000",
                "L16/16000",
                "L16/8000",
                "CN/8000",
                "TELEPHONE-EVENT/8000",
                "TELEPHONE-EVENT/16000",
            ],
        ),
        ([], ["PCMU/8000", "PCMA/8000", "CN/8000", "TELEPHONE-EVENT/8000"]),
    ],
)
def test_named_codecs_are_offered_in_their_order(
    client: Client, names: list[str], expected: list[str]
) -> None:
    _, ours = made(client, codecs=names)
    assert [name for _, name in encodings(ours)] == expected


@pytest.mark.parametrize(
    "params",
    [{"type": "webrtc"}, {"type": "rtp", "srtp": True}, {"type": "rtp", "srtp_optional": True},
     {"type": "rtp", "codecs": ["opus"]}],
)  # fmt: skip
def test_offers_this_build_cannot_make_are_refused(client: Client, params: dict[str, object]) -> None:
    with pytest.raises(Refused, match=r"ENDPOINT_ERROR.*supported"):
        client.call("endpoint.create_offer", **params)


def test_the_answer_connects_and_says_so_behind_its_reply(desk: Desk, client: Client) -> None:
    endpoint_id, _ = made(client)
    assert not client.events()
    asked = client.send("endpoint.accept_answer", endpoint_id=endpoint_id, sdp=ANSWER)
    assert [client.log[-2].get("id"), client.log[-1]] == [
        asked,
        {
            "event": "endpoint.state_changed",
            "data": {"endpoint_id": endpoint_id, "old_state": "connecting", "new_state": "connected"},
        },
    ]
    (update,) = desk.workers[0].of(ms.UpdateRtp)
    assert update.remote == ms.Remote(ip="192.0.2.7", port=4000, rtcp_port=4001)
    assert (update.media.send_payload_type, update.media.send_codec) == (8, Codec.PCMA)
    assert (update.rtcp_mux, update.is_source, update.is_destination, update.relearn) == (
        None,
        True,
        True,
        False,
    )
    (info,) = client.call("session.info")["endpoints"]
    assert (info["state"], info["codec"], info["remote_rtp_addr"]) == ("connected", "PCMA", "192.0.2.7:4000")


def test_rtcp_mux_in_the_answer_gives_the_odd_port_back(desk: Desk, client: Client) -> None:
    endpoint_id, _ = made(client)
    client.call("endpoint.rtp.accept_answer", endpoint_id=endpoint_id, sdp=ANSWER + "a=rtcp-mux\n")
    (update,) = desk.workers[0].of(ms.UpdateRtp)
    assert update.rtcp_mux is True and update.remote.rtcp_port == 4000
    assert client.call("session.info")["endpoints"][0]["local_rtcp_addr"] == "127.0.0.1:30000"


def test_an_answer_may_number_dynamic_types_otherwise(desk: Desk, client: Client) -> None:
    endpoint_id, _ = made(client, codecs=["l16/8000"])
    answer = audio("110 111", "rtpmap:110 L16/8000", "rtpmap:111 telephone-event/8000")
    client.call("endpoint.accept_answer", endpoint_id=endpoint_id, sdp=answer)
    media = desk.workers[0].of(ms.UpdateRtp)[0].media
    assert media.send_payload_type == 110 and media.event_send == (111, 8000)
    assert {p.payload_type for p in media.receive} == {98, 110}
    assert set(media.event_receive) == {(111, 8000), (101, 8000)}


@pytest.mark.parametrize(
    ("answer", "receive", "send"),
    [
        (audio("0 13"), 13, 13),
        (audio("0"), None, None),
        (
            audio("0 99", "rtpmap:99 CN/8000"),
            13,
            99,
        ),  # RFC 3264 section 7: each sends with the other's number
        (audio("13 99", "rtpmap:13 PCMU/8000", "rtpmap:99 CN/8000"), 99, 99),
    ],
)
def test_noise_is_as_the_answer_says(
    desk: Desk, client: Client, answer: str, receive: int | None, send: int | None
) -> None:
    endpoint_id, _ = made(client)
    client.call("endpoint.accept_answer", endpoint_id=endpoint_id, sdp=answer)
    media = desk.workers[0].of(ms.UpdateRtp)[0].media
    assert (media.noise_receive, media.noise_send) == (receive, send)


def test_no_payload_type_means_two_things_after_an_odd_answer(desk: Desk, client: Client) -> None:
    endpoint_id, _ = made(client, codecs=["pcmu", "l16/8000"])
    answer = audio("101 98 0", "rtpmap:101 L16/8000", "rtpmap:98 telephone-event/8000")
    client.call("endpoint.accept_answer", endpoint_id=endpoint_id, sdp=answer)
    media = desk.workers[0].of(ms.UpdateRtp)[0].media
    types = [p.payload_type for p in media.receive] + [event[0] for event in media.event_receive]
    assert sorted(types) == [0, 98, 101]


@pytest.mark.parametrize("answered", DIRECTIONS)
@pytest.mark.parametrize("allowed", DIRECTIONS)
def test_the_answer_restricts_the_direction(desk: Desk, client: Client, answered: str, allowed: str) -> None:
    endpoint_id, _ = made(client, direction=allowed)
    client.call("endpoint.accept_answer", endpoint_id=endpoint_id, sdp=audio("0", answered))
    (update,) = desk.workers[0].of(ms.UpdateRtp)
    agreed = restricted(answered, allowed)
    assert (update.is_source, update.is_destination) == (
        agreed in ("sendrecv", "sendonly"),
        agreed in ("sendrecv", "recvonly"),
    )
    assert client.call("session.info")["endpoints"][0]["direction"] == agreed


@pytest.mark.parametrize(
    "text",
    [
        audio("0", port=0),
        audio("0") + "m=audio 5000 RTP/AVP 0\n",
        audio("9"),
        audio("0", address="IN IP6 2001:db8::1"),
        audio("96", "rtpmap:96 L16/8000"),
        "",
    ],
)
def test_a_bad_answer_leaves_the_offer_open(desk: Desk, client: Client, text: str) -> None:
    endpoint_id, _ = made(client)
    refusal(client, text, "endpoint.accept_answer", endpoint_id=endpoint_id)
    assert not desk.workers[0].of(ms.UpdateRtp)
    assert client.call("endpoint.accept_answer", endpoint_id=endpoint_id, sdp=ANSWER) == {}


def test_an_answer_to_another_offer_or_to_none_is_refused(client: Client) -> None:
    endpoint_id, _ = made(client)
    refusal(client, ANSWER, "endpoint.accept_answer", endpoint_id=endpoint_id, offer_generation=2)
    client.call("endpoint.accept_answer", endpoint_id=endpoint_id, sdp=ANSWER, offer_generation=1)
    refusal(client, ANSWER, "endpoint.accept_answer", endpoint_id=endpoint_id)
    _, command = offer(client, OFFER)
    refusal(client, ANSWER, "endpoint.accept_answer", endpoint_id=command.endpoint)
