"""RTP fixed header, RFC 3550 sections 5.1 and 5.3.1."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.ext.wire import rtp

SHORT, VERSION, LENGTH = -1, -2, -3
HEADER_BYTES = 12
FIXED = (8, True, 0xFFFE, 0xFEDCBA98, 0x01020304)


def packet(
    payload: bytes = b"",
    *,
    csrcs: int = 0,
    extension: bytes | None = None,
    padding: bytes = b"",
    first: int = 0,
):
    """A datagram with the fields of FIXED, built apart from the code under test."""
    bits = 0x80 | first | csrcs | (0x10 if extension is not None else 0) | (0x20 if padding else 0)
    out = struct.pack(">BBHII", bits, 0x80 | FIXED[0], *FIXED[2:]) + bytes(4 * csrcs)
    if extension is not None:
        out += struct.pack(">HH", 0xBEDE, len(extension) // 4) + extension
    return out + payload + padding


def test_fixed_header_is_read_in_network_order():
    assert rtp.parse(packet(b"voice")) == (*FIXED, HEADER_BYTES, 5)


def test_a_header_alone_is_a_packet_without_payload():
    assert rtp.parse(packet()) == (*FIXED, HEADER_BYTES, 0)


def test_marker_and_payload_type_share_a_byte():
    for payload_type in (0, 8, 101, 127):
        for marker in (False, True):
            assert rtp.parse(rtp.write(payload_type, marker, 1, 2, 3))[:2] == (payload_type, marker)


@pytest.mark.parametrize("csrcs", [1, 15])
def test_contributing_sources_are_stepped_over(csrcs):
    assert rtp.parse(packet(b"voice", csrcs=csrcs)) == (*FIXED, HEADER_BYTES + 4 * csrcs, 5)


@pytest.mark.parametrize("words", [0, 1, 9])
def test_the_header_extension_is_stepped_over(words):
    data = packet(b"voice", csrcs=2, extension=bytes(4 * words))
    assert rtp.parse(data) == (*FIXED, HEADER_BYTES + 8 + 4 + 4 * words, 5)


def test_padding_is_not_payload():
    assert rtp.parse(packet(b"voice", padding=b"\0\0\3")) == (*FIXED, HEADER_BYTES, 5)


def test_a_packet_may_be_all_padding():
    assert rtp.parse(packet(padding=b"\0\0\0\4")) == (*FIXED, HEADER_BYTES, 0)


def test_everything_at_once():
    data = packet(b"voice", csrcs=3, extension=bytes(8), padding=b"\0\2")
    assert rtp.parse(data) == (*FIXED, HEADER_BYTES + 12 + 4 + 8, 5)


@pytest.mark.parametrize("size", range(HEADER_BYTES))
def test_under_twelve_bytes_is_short(size):
    assert rtp.parse(packet(b"voice")[:size]) == SHORT


def test_every_cut_before_the_payload_is_short():
    whole = packet(b"voice", csrcs=2, extension=bytes(8))
    payload_offset = len(whole) - 5
    assert {rtp.parse(whole[:size]) for size in range(payload_offset)} == {SHORT}
    assert rtp.parse(whole[:payload_offset]) == (*FIXED, payload_offset, 0)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_only_version_two_is_read(version):
    assert rtp.parse(bytes([version << 6]) + packet(b"voice")[1:]) == VERSION


def test_a_stun_request_is_not_rtp():
    assert rtp.parse(bytes.fromhex("000100002112a442") + bytes(12)) == VERSION


@pytest.mark.parametrize("tail", [b"\0", b"\6", b"\xff"], ids=["zero", "one_too_many", "far_too_many"])
def test_a_padding_count_that_cannot_be_is_a_length_error(tail):
    assert rtp.parse(packet(b"void", padding=tail)) == LENGTH


def test_padding_never_eats_the_header():
    assert rtp.parse(packet(first=0x20)) == LENGTH
    assert rtp.parse(packet(csrcs=1, first=0x20)[:-1] + b"\4") == LENGTH


def test_more_than_a_datagram_is_a_length_error():
    assert rtp.parse(packet(bytes(0xFFFF - HEADER_BYTES))) == (*FIXED, HEADER_BYTES, 0xFFFF - HEADER_BYTES)
    assert rtp.parse(packet(bytes(0x10000 - HEADER_BYTES))) == LENGTH


@settings(deadline=None)
@given(
    st.integers(0, 127),
    st.booleans(),
    st.integers(0, 0xFFFF),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_what_is_written_is_read(payload_type, marker, seq, timestamp, ssrc):
    fields = (payload_type, marker, seq, timestamp, ssrc)
    written = rtp.write(*fields)
    assert written == struct.pack(">BBHII", 0x80, marker << 7 | payload_type, seq, timestamp, ssrc)
    assert rtp.parse(written) == (*fields, HEADER_BYTES, 0)


@settings(deadline=None)
@given(st.binary(max_size=120), st.integers(0, 0x3F))
def test_any_bytes_give_a_payload_inside_the_datagram_or_an_error(data, low_bits):
    for candidate in (data, bytes([0x80 | low_bits]) + data):
        parsed = rtp.parse(candidate)
        if isinstance(parsed, int):
            assert parsed in (SHORT, VERSION, LENGTH)
        else:
            offset, size = parsed[5:]
            assert HEADER_BYTES <= offset <= offset + size <= len(candidate)


def test_the_parsed_header_stays_a_quarter_of_a_cache_line():
    assert rtp.sizeof_header() == 16
