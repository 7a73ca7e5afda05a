"""WebSocket frames of a server (RFC 6455 section 5.2) to many sockets in one call.

For what goes to thousands of clients at once: beside the kernel's work for a send there is next to nothing.
The contract is websocket.pyi.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

cdef extern from "<sys/socket.h>" nogil:
    enum: MSG_DONTWAIT
    enum: MSG_NOSIGNAL
    ssize_t send(int fd, const void* data, size_t size, int flags)


cdef enum:
    FIN_TEXT = 0x81                 # first byte: final, text
    LENGTH_7_MAX = 125
    LENGTH_16 = 126                 # the length stands in the next two bytes
    HEADER_MAX = 4                  # bytes, up to LENGTH_16
    FRAME_MAX = 4096                # larger ones are not worth a copy and are left to the caller


cdef inline size_t frame_write(uint8_t* at, const char* text, size_t size) noexcept nogil:
    """The whole frame; returns its length.  size: up to FRAME_MAX - HEADER_MAX."""
    cdef size_t header = 2
    at[0] = FIN_TEXT
    if size <= LENGTH_7_MAX:
        at[1] = <uint8_t> size
    else:
        at[1] = LENGTH_16
        at[2] = <uint8_t> (size >> 8)
        at[3] = <uint8_t> (size & 0xFF)
        header = 4
    memcpy(at + header, text, size)
    return header + size


def send_texts(list fds not None, list texts not None):
    """See websocket.pyi."""
    cdef uint8_t frame[FRAME_MAX]
    cdef Py_ssize_t place, count = len(fds)
    cdef ssize_t sent
    cdef size_t size
    cdef bytes text
    short = []
    for place in range(count):
        text = texts[place]
        size = PyBytes_GET_SIZE(text)
        if size > FRAME_MAX - HEADER_MAX:
            short.append((place, 0))
            continue
        size = frame_write(frame, PyBytes_AS_STRING(text), size)
        sent = send(<int> fds[place], frame, size, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent != <ssize_t> size:
            short.append((place, sent if sent > 0 else 0))
    return short
