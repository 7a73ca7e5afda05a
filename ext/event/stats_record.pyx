"""A record of counters as JSON, in the protocol's words (`stats`, websocket.md section 6), and predicted quality.

Written by hand into a buffer on the stack: with 10,000 subscribers a second this is most of what control says.
Every text that goes in is a UUID, an address or a word of ours: nothing needs escaping.
"""

import ipaddress

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.math cimport fmax, fmin, lround
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset, strlen

cdef extern from "<arpa/inet.h>" nogil:
    int AF_INET6
    const char* inet_ntop(int family, const void* address, char* text, unsigned int size)


cdef enum:
    TEXT_MAX = 64                   # bytes of one text that is put in
    ELEMENT_MAX = 2048              # bytes of one element at most: 700 of words, 30 numbers of 20, 5 texts, and commas
    OUT_BYTES = 8192                # gathered on the stack; longer events are put together from pieces
    DIGITS_MAX = 20                 # of a 64-bit number
    ADDRESS_BYTES = 46              # INET6_ADDRSTRLEN
    US_PER_MS = 1000
    HUNDREDTHS = 100

# The E-model (ITU-T G.107) with its defaults, reduced to delay and loss as by Cole and Rosenbluth (2001).
cdef double R_DEFAULT = 93.2
cdef double R_MAX = 100.0
cdef double DELAY_SLOPE = 0.024         # per ms
cdef double DELAY_KNEE_MS = 177.3
cdef double DELAY_SLOPE_ABOVE = 0.11    # per ms beyond the knee
cdef double G711_BPL = 25.1             # ITU-T G.113 appendix I: loss robustness of G.711 with concealment
cdef double LOSS_SCALE = 95.0
cdef double PACKETISATION_MS = 20.0

RECORD_BYTES = sizeof(stats_record_t)

cdef stats_record_t NO_RECORD       # of an endpoint nobody has told of
memset(&NO_RECORD, 0, sizeof(stats_record_t))
NO_RECORD.rx_last_ms_ago = NO_RECORD.rtt_us = NO_RECORD.remote_jitter_us = NO_RECORD.playout_target_us = RECORD_NONE


cdef double opinion_score(double loss_ratio, double delay_ms) noexcept nogil:
    cdef double percent = 100.0 * loss_ratio
    cdef double r = R_DEFAULT - DELAY_SLOPE * delay_ms - LOSS_SCALE * percent / (percent + G711_BPL)
    if delay_ms > DELAY_KNEE_MS:
        r -= DELAY_SLOPE_ABOVE * (delay_ms - DELAY_KNEE_MS)
    r = fmin(fmax(r, 0.0), R_MAX)
    return fmax(1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6, 1.0)  # G.107 annex B


cdef double record_score(const stats_record_t* r) noexcept nogil:
    cdef double lost = fmax(<double> r.rx_lost, 0.0)
    cdef double delay_ms = r.playout_delay_us / 1000.0 + PACKETISATION_MS
    if r.rtt_us > 0:
        delay_ms += r.rtt_us / 2000.0
    return opinion_score(lost / (<double> r.rx_packets + lost), delay_ms)


# -- putting things into the buffer; each returns where the next one goes --------------------------------------------

cdef inline char* put(char* at, const char* text, size_t size) noexcept nogil:
    memcpy(at, text, size)
    return at + size


cdef inline char* put_word(char* at, const char* text) noexcept nogil:
    return put(at, text, strlen(text))


cdef char* put_uint(char* at, uint64_t value) noexcept nogil:
    cdef char digits[DIGITS_MAX]
    cdef int i = DIGITS_MAX
    while True:
        i -= 1
        digits[i] = <char> (c'0' + value % 10)
        value //= 10
        if value == 0:
            return put(at, digits + i, DIGITS_MAX - i)


cdef char* put_int(char* at, int64_t value) noexcept nogil:
    if value < 0:
        at[0] = c'-'
        return put_uint(at + 1, <uint64_t> -value)
    return put_uint(at, <uint64_t> value)


cdef char* put_count(char* at, const char* key, uint64_t value) noexcept nogil:
    return put_uint(put_word(at, key), value)


cdef char* put_ms(char* at, int32_t us) noexcept nogil:
    """Microseconds as milliseconds; `null` when negative."""
    if us < 0:
        return put_word(at, b"null")
    at = put_uint(at, <uint64_t> (us // US_PER_MS))
    at[0] = c'.'
    at[1] = <char> (c'0' + us // 100 % 10)
    at[2] = <char> (c'0' + us // 10 % 10)
    at[3] = <char> (c'0' + us % 10)
    return at + 4


cdef char* put_score(char* at, double score) noexcept nogil:
    cdef long hundredths = lround(score * HUNDREDTHS)
    at = put_uint(at, <uint64_t> (hundredths // HUNDREDTHS))
    at[0] = c'.'
    at[1] = <char> (c'0' + hundredths // 10 % 10)
    at[2] = <char> (c'0' + hundredths % 10)
    return at + 3


cdef char* put_addr(char* at, const record_addr_t* a) noexcept nogil:
    cdef char text[ADDRESS_BYTES]
    cdef int i
    if a.family == 6:
        at[0] = c'['
        at = put_word(at + 1, inet_ntop(AF_INET6, a.ip, text, ADDRESS_BYTES))
        at[0] = c']'
        at += 1
    else:
        at = put_uint(at, a.ip[0])
        for i in range(1, 4):
            at[0] = c'.'
            at = put_uint(at + 1, a.ip[i])
    at[0] = c':'
    return put_uint(at + 1, a.port)


cdef char* put_str(char* at, str text) except NULL:
    """A text in quotation marks."""
    cdef Py_ssize_t size
    cdef const char* utf8 = PyUnicode_AsUTF8AndSize(text, &size)
    if size > TEXT_MAX:
        raise ValueError(f"over {TEXT_MAX} bytes: {text[:TEXT_MAX]!r}")
    at[0] = c'"'
    at = put(at + 1, utf8, size)
    at[0] = c'"'
    return at + 1


# -- the record ------------------------------------------------------------------------------------------------------

cdef char* put_inbound(char* at, const stats_record_t* r, bint diagnostics) noexcept nogil:
    at = put_count(at, b',"inbound":{"packets":', r.rx_packets)
    at = put_count(at, b',"bytes":', r.rx_bytes)
    at = put_int(put_word(at, b',"packets_lost":'), r.rx_lost)
    at = put_ms(put_word(at, b',"jitter_ms":'), r.rx_jitter_us)
    at = put_word(at, b',"last_received_ms_ago":')
    at = put_word(at, b"null") if r.rx_last_ms_ago < 0 else put_int(at, r.rx_last_ms_ago)
    at = put_count(at, b',"raw_packets":', r.rx_raw_packets)
    at = put_count(at, b',"raw_bytes":', r.rx_raw_bytes)
    if diagnostics:
        at = put_count(at, b',"dropped":', r.rx_dropped)
        at = put_count(at, b',"duplicate":', r.rx_duplicate)
        at = put_count(at, b',"reordered":', r.rx_reordered)
        at = put_count(at, b',"ssrc":', r.ssrc_rx)
    return at


cdef char* put_outbound(char* at, const stats_record_t* r, bint diagnostics) noexcept nogil:
    at = put_count(at, b'},"outbound":{"packets":', r.tx_packets)
    at = put_count(at, b',"bytes":', r.tx_bytes)
    if r.remote_jitter_us >= 0:
        at = put_int(put_word(at, b',"remote_packets_lost":'), r.remote_lost)
        at = put_ms(put_word(at, b',"remote_jitter_ms":'), r.remote_jitter_us)
    if diagnostics:
        at = put_count(at, b',"ssrc":', r.ssrc_tx)
    return at


cdef char* put_quality(char* at, const stats_record_t* r) noexcept nogil:
    at = put_ms(put_word(at, b'},"rtt_ms":'), r.rtt_us)
    if r.rtt_us >= 0:
        at = put_int(put_word(at, b',"rtt_observed_ms_ago":'), r.rtt_ms_ago)
    at = put_ms(put_word(at, b',"playout":{"delay_ms":'), r.playout_delay_us)
    at = put_ms(put_word(at, b',"target_ms":'), r.playout_target_us)
    at = put_int(put_word(at, b',"concealed_ms":'), r.concealed_ms)
    at = put_count(at, b',"late":', r.rx_late)
    at = put_word(at, b'},"mos":')
    return put_score(at, record_score(r)) if r.rx_packets else put_word(at, b"null")


cdef char* put_element(char* at, endpoint, str id, const stats_record_t* r, tuple codecs, bint diagnostics) except NULL:
    """One element of `endpoints[]`; at most ELEMENT_MAX bytes."""
    if r.codec >= <uint64_t> len(codecs):
        raise ValueError("no such codec")
    at = put_str(put_word(at, b'{"endpoint_id":'), id)
    at = put_inbound(at, r, diagnostics)
    at = put_outbound(at, r, diagnostics)
    at = put_quality(at, r)
    at = put_str(put_word(at, b',"codec":'), codecs[r.codec] if r.codec else endpoint.codec or "")
    at = put_str(put_word(at, b',"state":'), endpoint.state)
    if r.local.family:
        at = put_addr(put_word(at, b',"local_rtp_addr":"'), &r.local)
        at = put_word(at, b'"')
    if r.remote.family and r.remote.port:
        at = put_addr(put_word(at, b',"remote_rtp_addr":"'), &r.remote)
        at = put_word(at, b'"')
    else:
        known = endpoint.remote_rtp_addr
        if known is not None:
            at = put_str(put_word(at, b',"remote_rtp_addr":'), known)
    at[0] = c'}'
    return at + 1


def stats_event(dict endpoints not None, list counted not None, bytes records not None, Py_ssize_t place,
                tuple codecs not None, bint diagnostics):
    """See stats_record.pyi."""
    cdef char out[OUT_BYTES]
    cdef char* at = put_word(out, b'{"event":"stats","data":{"endpoints":[')
    cdef Py_ssize_t next = 0, found
    cdef const stats_record_t* first
    cdef stats_record_t r
    cdef dict places = None
    cdef list full = []
    cdef bint comma = False
    cdef str id
    if place < 0 or PyBytes_GET_SIZE(records) < (place + len(counted)) * <Py_ssize_t> sizeof(stats_record_t):
        raise ValueError("fewer records than endpoints")
    first = <const stats_record_t*> PyBytes_AS_STRING(records) + place
    for id, endpoint in endpoints.items():
        found = -1
        if next < len(counted) and <str> counted[next] == id:
            found = next
            next += 1
        elif counted:
            if places is None:
                places = {other: i for i, other in enumerate(counted)}
            found = places.get(id, -1)
        if found < 0:
            r = NO_RECORD
        else:
            memcpy(&r, first + found, sizeof(stats_record_t))
        if at - out > OUT_BYTES - ELEMENT_MAX:
            full.append(PyBytes_FromStringAndSize(out, at - out))
            at = out
        if comma:
            at[0] = c','
            at += 1
        comma = True
        at = put_element(at, endpoint, id, &r, codecs, diagnostics)
    at = put_word(at, b"]}}")
    last = PyBytes_FromStringAndSize(out, at - out)
    if not full:
        return last
    full.append(last)
    return b"".join(full)


def mos(double loss_ratio, double delay_ms):
    """See stats_record.pyi."""
    return round(opinion_score(loss_ratio, delay_ms), 2)


# -- for tests and tools ---------------------------------------------------------------------------------------------

cdef int32_t micro(value):
    return RECORD_NONE if value is None else <int32_t> round(value * US_PER_MS)


cdef int fill_addr(record_addr_t* a, str text) except -1:
    if text:
        ip, _, port = text.rpartition(":")
        packed = ipaddress.ip_address(ip.strip("[]")).packed
        memcpy(a.ip, <const uint8_t*> packed, len(packed))
        a.family = 4 if len(packed) == 4 else 6
        a.port = int(port)
    return 0


def record(*, codec=0, rx_packets=0, rx_bytes=0, rx_lost=0, rx_jitter_ms=0.0, rx_last_ms_ago=None, rx_raw_packets=0,
           rx_raw_bytes=0, rx_dropped=0, rx_late=0, rx_duplicate=0, rx_reordered=0, playout_delay_ms=0.0,
           playout_target_ms=None, concealed_ms=0, tx_packets=0, tx_bytes=0, rtt_ms=None, rtt_observed_ms_ago=None,
           remote_packets_lost=None, remote_jitter_ms=None, str local_rtp_addr="", str remote_rtp_addr="", ssrc_rx=0,
           ssrc_tx=0):
    """See stats_record.pyi."""
    cdef stats_record_t r
    memset(&r, 0, sizeof(stats_record_t))
    r.codec, r.rx_packets, r.rx_bytes, r.rx_lost = codec, rx_packets, rx_bytes, rx_lost
    r.rx_raw_packets, r.rx_raw_bytes = rx_raw_packets, rx_raw_bytes
    r.tx_packets, r.tx_bytes = tx_packets, tx_bytes
    r.rx_last_ms_ago = RECORD_NONE if rx_last_ms_ago is None else rx_last_ms_ago
    r.rtt_ms_ago = rtt_observed_ms_ago or 0
    r.remote_lost = remote_packets_lost or 0
    r.concealed_ms = concealed_ms
    r.rx_jitter_us, r.rtt_us, r.remote_jitter_us = micro(rx_jitter_ms), micro(rtt_ms), micro(remote_jitter_ms)
    r.playout_delay_us, r.playout_target_us = micro(playout_delay_ms), micro(playout_target_ms)
    r.rx_dropped, r.rx_late, r.rx_duplicate, r.rx_reordered = rx_dropped, rx_late, rx_duplicate, rx_reordered
    r.ssrc_rx, r.ssrc_tx = ssrc_rx, ssrc_tx
    fill_addr(&r.local, local_rtp_addr)
    fill_addr(&r.remote, remote_rtp_addr)
    return PyBytes_FromStringAndSize(<char*> &r, sizeof(stats_record_t))
