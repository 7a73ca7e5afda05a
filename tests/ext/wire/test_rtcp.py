"""RTCP, RFC 3550 section 6 and appendix A.2; reduced size, RFC 5506."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.ext.wire import rtcp

OK, SHORT, VERSION, LENGTH, TYPE, FULL, RANGE = 0, -1, -2, -3, -4, -7, -11
SR, RR, SDES, BYE, APP, RTPFB, PSFB, XR = range(200, 208)
SENDER = (0xE1000000, 0x80000000, 160, 50, 8000)
BLOCK = (0xCAFE, 64, -3, 0x10005, 17, 0xAABBCCDD, 0x8000)
WORD = st.integers(0, 2**32 - 1)


def packet(kind: int, body: bytes = b"", count: int = 0, *, padding: bytes = b"", version: int = 2) -> bytes:
    """One RTCP packet, built apart from the code under test."""
    first = version << 6 | (0x20 if padding else 0) | count
    return struct.pack(">BBH", first, kind, len(body + padding) // 4) + body + padding


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def block_bytes(ssrc, fraction, lost, *rest) -> bytes:
    return words(ssrc, fraction << 24 | (lost & 0xFFFFFF), *rest)


RECEIVER_REPORT = packet(RR, words(1) + block_bytes(*BLOCK), 1)
CNAME = packet(SDES, words(1) + b"\1\3a@b\0\0\0", 1)
GOODBYE = packet(BYE, words(1, 2) + b"\7leaving", 2)


# -- reading -------------------------------------------------------------------------------------------------


def test_a_sender_report_is_read():
    data = packet(SR, words(7, *SENDER) + block_bytes(*BLOCK) + block_bytes(9, 1, 2, 3, 4, 5, 6), 2)
    (report,) = rtcp.parse(data)
    assert (report["type"], report["ssrc"], report["ntp_sec"], report["ntp_frac"]) == (SR, 7, *SENDER[:2])
    assert (report["rtp_timestamp"], report["sender_packets"], report["sender_octets"]) == SENDER[2:]
    assert report["blocks"] == [BLOCK, (9, 1, 2, 3, 4, 5, 6)]


def test_a_compound_is_walked_in_order():
    assert rtcp.check(RECEIVER_REPORT + CNAME + GOODBYE) == OK
    report, sdes, bye = rtcp.parse(RECEIVER_REPORT + CNAME + GOODBYE)
    assert (report["type"], report["ssrc"], report["blocks"]) == (RR, 1, [BLOCK])
    assert (sdes["type"], sdes["ssrc"], sdes["body"][4:9]) == (SDES, 1, b"\1\3a@b")
    assert (bye["type"], bye["ssrc"], bye["ssrcs"], bye["reason"]) == (BYE, 1, [1, 2], b"leaving")


@pytest.mark.parametrize("lost", [0, 1, -1, 0x7FFFFF, -0x800000])
def test_cumulative_loss_is_signed(lost):
    (report,) = rtcp.parse(packet(RR, words(1) + block_bytes(2, 0, lost, 0, 0, 0, 0), 1))
    assert report["blocks"][0][2] == lost


def test_a_profile_extension_behind_the_blocks_is_no_block():
    (report,) = rtcp.parse(packet(RR, words(1) + block_bytes(*BLOCK) + bytes(48), 1))
    assert report["blocks"] == [BLOCK]


def test_an_empty_receiver_report_is_fine():
    (report,) = rtcp.parse(packet(RR, words(5)))
    assert (report["ssrc"], report["blocks"]) == (5, [])


@pytest.mark.parametrize(
    ("body", "count", "ssrcs", "reason"),
    [
        (b"", 0, [], b""),
        (words(4), 1, [4], b""),
        (words(4) + b"\0\0\0\0", 1, [4], b""),
        (words(4) + b"\3bye", 1, [4], b"bye"),
        (words(4) + b"\4bye", 1, [4], b""),
        (words(4) + b"\xffbye", 1, [4], b""),
        (words(*range(31)) + b"\2ok\0", 31, list(range(31)), b"ok"),
    ],
    ids=["nobody", "no_reason", "empty_reason", "reason", "reason_cut_by_one", "reason_cut", "thirty_one"],
)
def test_goodbyes(body, count, ssrcs, reason):
    (bye,) = rtcp.parse(packet(BYE, body, count))
    assert (bye["ssrcs"], bye["reason"]) == (ssrcs, reason)


def test_a_goodbye_to_nobody_has_no_ssrc_even_with_a_reason():
    (bye,) = rtcp.parse(packet(BYE, b"\3bye", 0))
    assert (bye["ssrc"], bye["ssrcs"], bye["reason"]) == (0, [], b"bye")


@pytest.mark.parametrize("kind", [RTPFB, PSFB, XR, 199, 255])
def test_other_types_are_handed_out_whole(kind):
    (other,) = rtcp.parse(packet(kind, words(6, 7, 8), 15))
    assert (other["type"], other["count"], other["ssrc"], other["body"]) == (kind, 15, 6, words(7, 8))


def test_an_app_packet_keeps_its_name_in_the_body():
    (app,) = rtcp.parse(packet(APP, words(6) + b"nameDATA", 3))
    assert (app["ssrc"], app["body"]) == (6, b"nameDATA")


def test_padding_in_the_last_packet_is_not_body():
    data = RECEIVER_REPORT + packet(BYE, words(1), 1, padding=b"\0\0\0\4")
    assert rtcp.check(data) == OK
    assert rtcp.parse(data)[1]["body"] == words(1)


# -- judging -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", range(200, 208))
def test_reduced_size_packets_are_accepted(kind):
    assert rtcp.check(packet(kind, words(1, 2, 3))) == OK


@pytest.mark.parametrize("kind", [0, 72, 199, 208, 255])
def test_a_datagram_that_begins_with_another_type_is_not_rtcp(kind):
    assert rtcp.check(packet(kind, words(1, 2, 3))) == TYPE


def test_an_unknown_type_later_on_is_stepped_over():
    data = RECEIVER_REPORT + packet(222, words(1)) + CNAME
    assert rtcp.check(data) == OK
    assert [p["type"] for p in rtcp.parse(data)] == [RR, 222, SDES]


@pytest.mark.parametrize("version", [0, 1, 3])
def test_every_packet_is_version_two(version):
    assert rtcp.check(packet(RR, words(1), version=version)) == VERSION
    assert rtcp.check(RECEIVER_REPORT + packet(BYE, words(1), 1, version=version)) == VERSION


@pytest.mark.parametrize("size", range(4))
def test_less_than_a_word_is_short(size):
    assert rtcp.check(RECEIVER_REPORT[:size]) == SHORT


def test_lengths_have_to_add_up_exactly():
    data = RECEIVER_REPORT + CNAME
    for size in range(4, len(data)):
        assert rtcp.check(data[:size]) == (OK if size == len(RECEIVER_REPORT) else LENGTH)
    assert rtcp.check(data + b"\0\0\0") == LENGTH


def test_padding_is_for_the_last_packet_only():
    padded = packet(RR, words(1), padding=b"\0\0\0\4")
    assert rtcp.check(padded) == OK
    assert rtcp.check(padded + CNAME) == LENGTH


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 12, 255])
def test_a_padding_count_that_cannot_be_is_a_length_error(count):
    data = packet(RR, words(1), padding=bytes([0, 0, 0, count]))
    assert rtcp.check(data) == LENGTH
    assert rtcp.parse(data) == [LENGTH]


# -- walking what nobody judged ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    [
        packet(SR, words(1, *SENDER[:4])),
        packet(SR, words(1, *SENDER), 1),
        packet(RR),
        packet(RR, words(1) + bytes(20), 1),
        packet(BYE, words(1), 2),
        packet(SDES, words(1), 1),
        packet(APP, words(1)),
    ],
    ids=["sr_cut", "sr_without_block", "rr_cut", "rr_block_cut", "bye_cut", "sdes_cut", "app_without_name"],
)
def test_a_packet_too_short_for_its_counts_is_skipped(broken):
    assert rtcp.parse(broken) == [LENGTH]
    first, second = rtcp.parse(broken + CNAME)
    assert (first, second["type"]) == (LENGTH, SDES)


def test_a_header_that_leads_outside_ends_the_walk():
    assert rtcp.parse(b"\x80\xc9\xff\xff" + CNAME) == [LENGTH]
    assert rtcp.parse(packet(RR, words(1)) + b"\0" * 8)[1:] == [VERSION]
    assert rtcp.parse(b"") == []


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_a_walk_over_any_bytes_ends(data):
    assert len(rtcp.parse(data)) <= len(data) // 4 + 1
    if rtcp.check(data) == OK:
        assert all(p == LENGTH or isinstance(p, dict) for p in rtcp.parse(data))


# -- writing -------------------------------------------------------------------------------------------------


def test_a_sender_report_with_everything_is_as_the_rfc_draws_it():
    cname = b"rt@host"
    expected = packet(SR, words(9, *SENDER) + block_bytes(*BLOCK), 1)
    expected += packet(SDES, words(9) + bytes([1, 7]) + cname + b"\0\0\0", 1)
    expected += packet(BYE, words(9), 1)
    assert rtcp.report(9, cname, sender=SENDER, block=BLOCK, bye=True) == expected


def test_a_receiver_with_nothing_to_say_still_names_itself():
    data = rtcp.report(9, b"abc")
    report, sdes = rtcp.parse(data)
    assert (report["type"], report["blocks"], sdes["body"]) == (RR, [], words(9) + b"\1\3abc\0\0\0")


@pytest.mark.parametrize("size", range(1, 65))
def test_the_name_list_ends_with_a_zero_at_a_word(size):
    data = rtcp.report(9, b"x" * size)
    body = rtcp.parse(data)[1]["body"]
    tail = body[6 + size :]
    assert rtcp.check(data) == OK
    assert len(body) % 4 == 0 and 1 <= len(tail) <= 4 and not any(tail)


@pytest.mark.parametrize("cname", [b"", b"x" * 65])
def test_a_name_that_does_not_fit_is_refused(cname):
    assert rtcp.report(9, cname) == RANGE


def test_it_never_writes_past_its_capacity():
    whole = rtcp.report(9, b"abc", sender=SENDER, block=BLOCK, bye=True)
    for capacity in range(len(whole)):
        assert rtcp.report(9, b"abc", sender=SENDER, block=BLOCK, bye=True, capacity=capacity) == FULL
    assert rtcp.report(9, b"abc", sender=SENDER, block=BLOCK, bye=True, capacity=len(whole)) == whole


@pytest.mark.parametrize(
    ("lost", "told"), [(0x800000, 0x7FFFFF), (-0x800001, -0x800000), (2**31 - 1, 0x7FFFFF)]
)
def test_loss_stops_at_what_24_bits_can_say(lost, told):
    block = (*BLOCK[:2], lost, *BLOCK[3:])
    assert rtcp.parse(rtcp.report(1, b"a", block=block))[0]["blocks"][0][2] == told


@settings(deadline=None)
@given(
    WORD,
    st.binary(min_size=1, max_size=64),
    st.none() | st.tuples(WORD, WORD, WORD, WORD, WORD),
    st.none()
    | st.tuples(WORD, st.integers(0, 255), st.integers(-(2**23), 2**23 - 1), WORD, WORD, WORD, WORD),
    st.booleans(),
)
def test_what_is_written_is_read(ssrc, cname, sender, block, bye):
    data = rtcp.report(ssrc, cname, sender=sender, block=block, bye=bye)
    assert rtcp.check(data) == OK
    report, sdes, *rest = rtcp.parse(data)
    assert report["type"] == (RR if sender is None else SR)
    assert {p["ssrc"] for p in (report, sdes, *rest)} == {ssrc}
    assert report["blocks"] == ([] if block is None else [block])
    if sender is not None:
        names = ("ntp_sec", "ntp_frac", "rtp_timestamp", "sender_packets", "sender_octets")
        assert tuple(report[name] for name in names) == sender
    assert sdes["body"][4 : 6 + len(cname)] == bytes([1, len(cname)]) + cname
    assert [p["ssrcs"] for p in rest] == ([[ssrc]] if bye else [])
