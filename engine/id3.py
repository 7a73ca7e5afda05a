"""Tags in front of MP3 files (ID3v2.4 section 3.1)."""

HEADER_BYTES = 10  # the last four are the size of what follows, seven bits each


def tag_bytes(head: bytes) -> int:
    """How long the tag is with which a file begins; 0: it has none."""
    if not head.startswith(b"ID3") or len(head) < HEADER_BYTES:
        return 0
    size = head[HEADER_BYTES - 4 : HEADER_BYTES]
    return HEADER_BYTES + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(size)))
