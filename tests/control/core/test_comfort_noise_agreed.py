"""Comfort noise in offers and answers, whatever else they list; and that control remembers it."""

from __future__ import annotations

from desk import Client, Desk
from hypothesis import given
from hypothesis import strategies as st

from roomtone.control.core import effects as fx
from roomtone.control.core import negotiate, sdp
from roomtone.control.core.problems import Problem
from roomtone.engine import messages as ms

HEAD = "v=0\no=- 1 1 IN IP4 192.0.2.7\ns=-\nc=IN IP4 192.0.2.7\nt=0 0\n"
NAMES = ("PCMU/8000", "PCMA/8000", "L16/8000", "L16/16000", "G722/8000", "telephone-event/8000",
         "CN/8000", "cn/8000/1", "CN/16000", "CN/8000/2", "CN")  # fmt: skip
AT_8_KHZ = ("PCMU/8000", "PCMA/8000", "L16/8000")
NOISE = ("CN/8000", "cn/8000/1")
LINE = negotiate.Line(
    session_id=1,
    version=1,
    created=ms.RtpCreated(
        local_ip="192.0.2.200", rtp_port=30000, rtcp_port=30001, ssrc=1, cname="c", handle=1
    ),
    rtcp_mux=False,
)
# Numbers that mean nothing by themselves, as 0 and 8 do where the line that names them is none.
named = st.dictionaries(st.integers(96, 127), st.sampled_from(NAMES), min_size=1, max_size=8)


def section(maps: dict[int, str]) -> str:
    """An audio section with these payload types in this order."""
    lines = "".join(f"a=rtpmap:{number} {name}\n" for number, name in maps.items())
    return f"{HEAD}m=audio 4000 RTP/AVP {' '.join(map(str, maps))}\n{lines}"


@given(named)
def test_noise_is_agreed_on_when_it_is_listed_beside_a_codec_of_its_clock(maps: dict[int, str]) -> None:
    listed = [number for number, name in maps.items() if name in NOISE]
    expected = listed[0] if listed and any(name in AT_8_KHZ for name in maps.values()) else None
    try:
        answerable = negotiate.read_offer(section(maps), "sendrecv", 64)
    except Problem as problem:
        assert problem.message == "No common audio codec"
        assert not any(name in (*AT_8_KHZ, "L16/16000") for name in maps.values())
        return
    media = answerable.agreement.media
    assert media.noise_receive == expected
    assert media.noise_send == (expected if maps[media.send_payload_type] in AT_8_KHZ else None)
    assert expected not in [p.payload_type for p in media.receive]
    # Both sides of a call mean the same.
    text = negotiate.write_answer(answerable, LINE)
    theirs = negotiate.read_answer(text, tuple(p.codec for p in media.receive), "sendrecv", 64).media
    assert (theirs.noise_receive is None) == (expected is None)
    assert theirs.noise_send == media.noise_send
    assert theirs.noise_receive not in [p.payload_type for p in theirs.receive]


@given(st.lists(st.sampled_from(["pcmu", "pcma", "l16/8000", "l16/16000"]), min_size=1))
def test_our_offer_lists_noise_behind_codecs_of_its_clock(names: list[str]) -> None:
    codecs = negotiate.offered_codecs(names)
    (ours,) = sdp.parse(negotiate.write_offer(codecs, "sendrecv", LINE)).sections
    assert ("13" in ours.formats) == (set(names) != {"l16/16000"})
    assert ours.formats[0] != "13"


def test_control_knows_after_a_restart_what_was_agreed(desk: Desk, client: Client) -> None:
    session = client.call("session.info")["session_id"]
    made = client.call("endpoint.create_from_offer", sdp=section({0: "PCMU/8000", 99: "CN/8000"}))
    (command,) = desk.workers[0].of(ms.CreateRtp)
    held = ms.SnapshotEndpoint(session=session, endpoint=made["endpoint_id"], kind="rtp", note=command.note)
    fresh = Desk()
    fresh.give(fx.WorkerHolds(0, [held]))
    media = fresh.core.sessions[session].endpoints[made["endpoint_id"]].media
    assert media == command.media and (media.noise_receive, media.noise_send) == (99, 99)
