"""Session descriptions (RFC 8866): text to structs and back.

Tolerant of what telephones really send: any line ending, missing or misplaced lines, unknown types, bandwidth
and time lines (read over), attributes nobody knows (kept).  Strict where a guess would be a wrong address or
codec. `parse` raises nothing but `SdpError`; its work is bounded by the limits below.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from msgspec import Struct, field

MAX_LINES = 4096
MAX_SECTIONS = 64  # m-lines
MAX_FORMATS = 256  # formats of one m-line: there are only 128 payload types
MAX_NUMBER_DIGITS = 10  # of a port, payload type or clock rate; more is no number of ours
MAX_PORT = 65535
MAX_PAYLOAD_TYPE = 127
MAX_ADDRESS = 45  # characters: an IPv6 address that ends as an IPv4 one (RFC 4291 section 2.2)
REMEMBERED = 1024  # addresses, and kinds of telephone: those of a day's calls are few

Direction = Literal["sendrecv", "recvonly", "sendonly", "inactive"]
DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "recvonly", "sendonly", "inactive")
MIRRORED: dict[Direction, Direction] = {
    "sendrecv": "sendrecv",
    "recvonly": "sendonly",
    "sendonly": "recvonly",
    "inactive": "inactive",
}

Attribute = tuple[str, "str | None"]  # a=name or a=name:value


class SdpError(Exception):
    """The text is no session description, or one that cannot be used; the message says why."""


class Origin(Struct, frozen=True):
    """The o= line (RFC 8866 section 5.2), as text."""

    username: str
    session_id: str
    version: str
    address: str  # IPv4 or IPv6, or a host name


class Section(Struct):
    """One m= line with the lines that follow it (RFC 8866 section 5.14).

    connection: the address of its own c= line, without TTL; None: none, the session's applies.
    """

    kind: str  # audio, video, …
    port: int
    protocol: str
    formats: list[str]
    connection: str | None = None
    attributes: list[Attribute] = field(default_factory=list)

    def attribute(self, name: str) -> str | None:
        """The value of the first attribute of that name; "" for one without value; None: not there."""
        return _find(self.attributes, name)

    def values(self, name: str) -> tuple[str, ...]:
        """The values of all attributes of that name that have one."""
        return tuple(value for key, value in self.attributes if key == name and value is not None)

    def direction(self) -> Direction | None:
        return _direction(self.attributes)


class Description(Struct):
    """A whole session description."""

    origin: Origin | None = None
    name: str = "-"
    connection: str | None = None
    attributes: list[Attribute] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)

    def attribute(self, name: str) -> str | None:
        return _find(self.attributes, name)

    def address(self, section: Section) -> str | None:
        """Where a section's media goes: its own c= line beats the session's."""
        return section.connection if section.connection is not None else self.connection

    def direction(self, section: Section) -> Direction:
        """RFC 8866 section 6.7: the section's, else the session's, else sendrecv."""
        return section.direction() or _direction(self.attributes) or "sendrecv"


def _find(attributes: list[Attribute], name: str) -> str | None:
    for key, value in attributes:
        if key == name:
            return value or ""
    return None


def _direction(attributes: list[Attribute]) -> Direction | None:
    for key, _ in attributes:
        if key in DIRECTIONS:
            return key
    return None


# -- reading -------------------------------------------------------------------------------------------------


def parse(text: str) -> Description:
    """Read a session description.  Raises `SdpError`."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise SdpError(f"more than {MAX_LINES} lines")
    description = Description()
    section: Section | None = None
    seen_version = False
    for raw in lines:
        line = raw.strip()
        if not line:
            continue
        if len(line) < 2 or line[1] != "=":
            raise SdpError(f"not a line of SDP: {_shown(line)}")
        kind, value = line[0], line[2:].strip()
        if kind == "v":
            if value != "0":
                raise SdpError(f"unknown SDP version {_shown(value)}")
            seen_version = True
        elif kind == "m":
            if len(description.sections) == MAX_SECTIONS:
                raise SdpError(f"more than {MAX_SECTIONS} media sections")
            section = _parse_media(value)
            description.sections.append(section)
        elif kind == "c":
            address = _parse_connection(value)
            if section is None:
                description.connection = address
            elif section.connection is None:  # further c= lines of a section are layers of a multicast stream
                section.connection = address
        elif kind == "a":
            (description if section is None else section).attributes.append(_parse_attribute(value))
        elif kind == "o" and section is None:
            description.origin = _parse_origin(value)
        elif kind == "s" and section is None:
            description.name = value or "-"
    if not seen_version:
        raise SdpError("no v=0 line")
    return description


def _shown(text: str) -> str:
    """A text from outside, cut for a message."""
    limit = 40
    return repr(text if len(text) <= limit else text[:limit] + "…")


def number(text: str, highest: int) -> int | None:
    """A plain decimal number from 0 to `highest`, else None."""
    if not text.isascii() or not text.isdigit() or len(text) > MAX_NUMBER_DIGITS:
        return None
    value = int(text)
    return value if value <= highest else None


def _parse_media(value: str) -> Section:
    # m=<media> <port>[/<number of ports>] <proto> <fmt> ...
    parts = value.split()
    minimum = 3  # a rejected section may come without formats
    if len(parts) < minimum:
        raise SdpError(f"short m= line: {_shown(value)}")
    if len(parts) - minimum > MAX_FORMATS:
        raise SdpError(f"more than {MAX_FORMATS} formats in an m= line")
    port = number(parts[1].partition("/")[0], MAX_PORT)
    if port is None:
        raise SdpError(f"bad port in m= line: {_shown(parts[1])}")
    return Section(kind=parts[0].lower(), port=port, protocol=parts[2].upper(), formats=parts[minimum:])


def _parse_connection(value: str) -> str:
    # c=<nettype> <addrtype> <address>[/<ttl>][/<number of addresses>]
    parts = value.split()
    fields = 3
    if len(parts) < fields or parts[0].upper() != "IN" or parts[1].upper() not in ("IP4", "IP6"):
        raise SdpError(f"bad c= line: {_shown(value)}")
    return parts[2].partition("/")[0]


def _parse_origin(value: str) -> Origin | None:
    # o=<username> <sess-id> <sess-version> <nettype> <addrtype> <unicast-address>; nothing depends on it
    parts = value.split()
    fields = 6
    return Origin(parts[0], parts[1], parts[2], parts[5]) if len(parts) == fields else None


def _parse_attribute(value: str) -> Attribute:
    name, colon, text = value.partition(":")
    return name.strip().lower(), text.strip() if colon else None


class RtpMap(Struct, frozen=True):
    """One payload type of a section (RFC 8866 section 6.6)."""

    payload_type: int
    encoding: str  # upper case
    clock_rate: int
    channels: int


STATIC = {
    0: RtpMap(0, "PCMU", 8000, 1),
    8: RtpMap(8, "PCMA", 8000, 1),
    9: RtpMap(9, "G722", 8000, 1),
    13: RtpMap(13, "CN", 8000, 1),
    18: RtpMap(18, "G729", 8000, 1),
}  # RFC 3551 table 4, those still met


def rtp_maps(formats: Sequence[str], values: Sequence[str]) -> list[RtpMap]:
    """The payload types of an m= line in its order; those without a known meaning are left out.

    values: of the section's rtpmap attributes.
    """
    named: dict[int, RtpMap] = {}
    for value in values:
        rtp_map = _parse_rtp_map(value)
        if rtp_map is not None:
            named.setdefault(rtp_map.payload_type, rtp_map)
    found: dict[int, RtpMap] = {}
    for text in formats:
        payload_type = number(text, MAX_PAYLOAD_TYPE)
        if payload_type is not None and payload_type not in found:
            rtp_map = named.get(payload_type) or STATIC.get(payload_type)
            if rtp_map is not None:
                found[payload_type] = rtp_map
    return list(found.values())


def _parse_rtp_map(value: str) -> RtpMap | None:
    # a=rtpmap:<payload type> <encoding name>/<clock rate>[/<channels>]
    first, _, rest = value.partition(" ")
    encoding, _, numbers = rest.strip().partition("/")
    rate, _, channels = numbers.partition("/")
    payload_type = number(first, MAX_PAYLOAD_TYPE)
    clock_rate = number(rate.strip(), 10**MAX_NUMBER_DIGITS)
    count = number(channels.strip() or "1", 255)
    if payload_type is None or clock_rate is None or count is None or not encoding:
        return None
    return RtpMap(payload_type, encoding.strip().upper(), clock_rate, count)


# -- writing -------------------------------------------------------------------------------------------------


def write(description: Description) -> str:
    """The text of a session description, lines ending in CR LF."""
    lines = ["v=0"]
    origin = description.origin
    if origin is not None:
        numbers = f"{origin.session_id} {origin.version}"
        lines.append(f"o={origin.username} {numbers} IN {family(origin.address)} {origin.address}")
    lines.append(f"s={description.name}")
    if description.connection is not None:
        lines.append(f"c=IN {family(description.connection)} {description.connection}")
    lines.append("t=0 0")
    lines.extend(_written(attribute) for attribute in description.attributes)
    for section in description.sections:
        lines.append(" ".join([f"m={section.kind}", str(section.port), section.protocol, *section.formats]))
        if section.connection is not None:
            lines.append(f"c=IN {family(section.connection)} {section.connection}")
        lines.extend(_written(attribute) for attribute in section.attributes)
    return "\r\n".join(lines) + "\r\n"


def _written(attribute: Attribute) -> str:
    name, value = attribute
    return f"a={name}" if value is None else f"a={name}:{value}"


def family(address: str) -> str:
    """IP4 or IP6; a host name counts as IP4."""
    return "IP6" if ":" in address else "IP4"


@lru_cache(REMEMBERED)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, or None for a host name.  Scoped IPv6 addresses mean nothing to the other side: None."""
    return _address(text) if len(text) <= MAX_ADDRESS and "%" not in text else None
