"""One record a packet.  A full ring loses the record; the endpoint's next one says how many were lost."""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy, memset

from roomtone.ext.codec.codec cimport codec_get
from roomtone.ext.flow.constants cimport FRAME_8K, FRAME_16K, PHASE_US, PHASES, RTP_HEADROOM
from roomtone.ext.flow.endpoint cimport EP_SENSITIVE, addr_t, endpoint_index, endpoint_t, is_hushed
from roomtone.ext.flow.graph cimport bus_t, endpoint_at, endpoint_private_t, media_t
from roomtone.ext.record.capture cimport (
    CAPTURE_FRAME,
    CAPTURE_RTCP_IN,
    CAPTURE_RTCP_OUT,
    CAPTURE_RTP_IN,
    CAPTURE_RTP_OUT,
    capture_push,
    capture_room,
    capture_t,
)
from roomtone.ext.wire.rtp cimport rtp_header_t, rtp_parse


cdef enum:
    RATE_16K = 2


cdef capture_t* fresh(media_t* m, endpoint_t* e, int kind, int codec, const uint8_t* data, int n,
                      int64_t at_us) noexcept nogil:
    """A record with its bytes, not yet visible; NULL: it is lost."""
    cdef capture_t* record = capture_room(m.capture, n)
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    if record == NULL:
        p.capture_lost += 1
        if kind == CAPTURE_FRAME or codec:
            p.capture_lost_heard += 1
        return NULL
    record.bytes = <unsigned short> n
    record.kind = <uint8_t> kind
    record.family = e.remote.family
    record.handle = e.handle
    record.at_us = at_us
    record.lost = p.capture_lost
    record.lost_heard = p.capture_lost_heard
    record.codec = <uint8_t> codec
    memcpy(<uint8_t*> record + sizeof(capture_t), data, n)
    return record


cdef void push(media_t* m, capture_t* record, const addr_t* local, int local_port, const addr_t* remote) noexcept nogil:
    record.local_port = <unsigned short> local_port
    record.remote_port = remote.port
    memcpy(record.local_ip, local.ip, sizeof(record.local_ip))
    memcpy(record.remote_ip, remote.ip, sizeof(record.remote_ip))
    capture_push(m.capture)


cdef void silence(capture_t* record, int codec, int offset) noexcept nogil:
    """In place of the sound behind the RTP header."""
    memset(<uint8_t*> record + sizeof(capture_t) + offset, codec_get(codec).silence, record.bytes - offset)


cdef bint brings_hushed(media_t* m, const endpoint_t* d) noexcept nogil:
    """What this destination is sent now has the sound of a hushed source in it."""
    cdef const endpoint_t* source
    if d.tx_source == 0:
        return m.buses[d.bus].hushed != 0
    source = endpoint_at(m, d.tx_source & 0xFFFFF)
    return source.handle == d.tx_source and is_hushed(source)


cdef inline bint is_muted(media_t* m, endpoint_t* e) noexcept nogil:
    """In a room: what nobody there hears is in no recording."""
    return m.privates[endpoint_index(e)].seat.muted


cdef void capture_received(media_t* m, endpoint_t* e, int codec, const uint8_t* data, int n,
                           int64_t at_us) noexcept nogil:
    cdef capture_t* record
    cdef rtp_header_t h
    if codec == 0 and e.flags & EP_SENSITIVE:
        return
    record = fresh(m, e, CAPTURE_RTP_IN, codec, data, n, at_us)
    if record == NULL:
        return
    if codec and (is_hushed(e) or is_muted(m, e)) and rtp_parse(data, n, &h) >= 0:
        silence(record, codec, h.payload_offset)
    push(m, record, &e.local, e.local.port, &e.remote)


cdef void capture_sent(media_t* m, endpoint_t* e, bint audio, const uint8_t* data, int n,
                       int64_t at_us) noexcept nogil:
    cdef capture_t* record = fresh(m, e, CAPTURE_RTP_OUT, 0, data, n, at_us)
    if record == NULL:
        return
    if audio and brings_hushed(m, e):
        silence(record, e.tx_codec, RTP_HEADROOM)
    push(m, record, &e.local, e.local.port, &e.remote)


cdef void capture_rtcp(media_t* m, endpoint_t* e, bint outgoing, const uint8_t* data, int n,
                       int64_t at_us) noexcept nogil:
    cdef capture_t* record = fresh(m, e, CAPTURE_RTCP_OUT if outgoing else CAPTURE_RTCP_IN, 0, data, n, at_us)
    if record == NULL:
        return
    if e.rtcp_fd < 0:
        push(m, record, &e.local, e.local.port, &e.remote)
    else:
        push(m, record, &e.local, e.local_rtcp_port, &e.remote_rtcp)


cdef void capture_own(media_t* m, const bus_t* b, endpoint_t* e, int64_t tick) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    cdef bint wide = (b.rates & RATE_16K) != 0
    cdef const uint8_t* pcm = <const uint8_t*> (&p.pcm16[0] if wide else &p.pcm8[0])
    cdef int64_t due_us = (tick * PHASES + b.phase) * PHASE_US
    if fresh(m, e, CAPTURE_FRAME, 0, pcm, 2 * (FRAME_16K if wide else FRAME_8K), due_us) != NULL:
        capture_push(m.capture)
