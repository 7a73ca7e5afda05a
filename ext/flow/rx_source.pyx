"""Sequence numbers, SSRC changes and interarrival jitter of one source."""

from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t

from roomtone.ext.base.types cimport RT_BAD_SEQ, RT_DUPLICATE, RT_LATE, RT_PROBATION, ts_diff
from roomtone.ext.flow.counters cimport (
    COUNT_FILLED,
    COUNT_GAPS,
    DROP_BAD_SEQ,
    DROP_DUPLICATE,
    DROP_LATE,
    DROP_PROBATION,
    DROP_UNKNOWN_SSRC,
)
from roomtone.ext.flow.endpoint cimport EP_CONNECTED, EP_HEARD, endpoint_t
from roomtone.ext.flow.graph cimport drop, media_t
from roomtone.ext.wire.rtp cimport rtp_header_t


cdef enum:
    WINDOW = 64                         # packets remembered to tell a duplicate from a reordered one
    NO_SEQ = RTP_SEQ_MOD + 1


cdef void init_seq(endpoint_t* s, uint16_t seq) noexcept nogil:
    s.base_seq = seq
    s.max_seq = seq
    s.bad_seq = NO_SEQ
    s.cycles = 0
    s.received = 0
    s.received_prior = 0
    s.expected_prior = 0
    s.seen = 0
    s.transit_known = 0


cdef void source_start(endpoint_t* e, uint32_t ssrc, uint16_t seq, bint waive) noexcept nogil:
    init_seq(e, seq)
    e.rx_ssrc = ssrc
    e.jitter = 0
    e.candidate_seq = NO_SEQ
    e.max_seq = <uint16_t> (seq - 1)
    if waive:
        e.probation = 0
        e.flags |= EP_HEARD
        if seq == 0:
            e.cycles = <uint32_t> -RTP_SEQ_MOD      # the step from 65535 to 0 that follows is no wrap
    else:
        e.probation = MIN_SEQUENTIAL
        e.flags &= ~<uint32_t> EP_HEARD


cdef void jitter_update(endpoint_t* s, const rtp_header_t* h, int64_t arrival_us, int clock_rate_hz) noexcept nogil:
    cdef uint32_t arrival = <uint32_t> (arrival_us * clock_rate_hz // 1000000)
    cdef uint32_t transit = arrival - h.timestamp
    cdef int32_t d
    if s.transit_known:
        d = <int32_t> (transit - s.transit)
        if d < 0:
            d = -d
        # A jump of over 10 s is a new timeline, not jitter.
        if d < 10 * clock_rate_hz:
            s.jitter += <uint32_t> d - ((s.jitter + 8) >> 4)
    s.transit = transit
    s.transit_known = 1


cdef int reject(media_t* m, endpoint_t* e, int reason, int error) noexcept nogil:
    drop(m, reason)
    e.rx_dropped += 1
    return error


cdef int other_ssrc(media_t* m, endpoint_t* e, const rtp_header_t* h) noexcept nogil:
    """Another SSRC from the pinned address: it counts from its second packet in sequence on.

    Not the first of a peer that was pinned without having been heard (edit REMOTE, send at once): nobody else can be
    behind that address.
    """
    cdef bint unheard = not e.flags & EP_HEARD and e.flags & EP_CONNECTED and e.probation == 0
    if not unheard and (e.candidate_seq == NO_SEQ or e.candidate_ssrc != h.ssrc or <uint16_t> e.candidate_seq != h.seq):
        e.candidate_ssrc = h.ssrc
        e.candidate_seq = <uint16_t> (h.seq + 1)
        return reject(m, e, DROP_UNKNOWN_SSRC, RT_PROBATION)
    source_start(e, h.ssrc, h.seq, True)
    return SOURCE_RESTARTED


cdef int source_update(media_t* m, endpoint_t* e, const rtp_header_t* h, int64_t arrival_us,
                       int clock_rate_hz) noexcept nogil:
    cdef:
        uint16_t udelta
        uint16_t behind
        int result = SOURCE_ACCEPTED
    if h.ssrc != e.rx_ssrc:
        result = other_ssrc(m, e, h)
        if result < 0:
            return result
    udelta = <uint16_t> (h.seq - e.max_seq)
    if e.probation:
        if udelta != 1:
            e.probation = MIN_SEQUENTIAL
        e.probation -= 1
        e.max_seq = h.seq
        if e.probation:
            return reject(m, e, DROP_PROBATION, RT_PROBATION)
        init_seq(e, h.seq)
        e.flags |= EP_HEARD
        e.seen = 1
        result = SOURCE_RESTARTED
    elif 0 < udelta < MAX_DROPOUT:
        if h.seq < e.max_seq:
            e.cycles += RTP_SEQ_MOD
        m.stats.counters[<int> COUNT_GAPS] += udelta - 1
        e.max_seq = h.seq
        e.seen = (e.seen << udelta if udelta < WINDOW else 0) | 1
    elif 0 < udelta <= RTP_SEQ_MOD - MAX_MISORDER:
        if h.seq != e.bad_seq:
            e.bad_seq = <uint16_t> (h.seq + 1)
            return reject(m, e, DROP_BAD_SEQ, RT_BAD_SEQ)
        init_seq(e, h.seq)      # two in sequence: the other side restarted
        e.seen = 1
        result = SOURCE_RESTARTED
    else:
        behind = <uint16_t> (e.max_seq - h.seq)
        if behind >= WINDOW:
            e.rx_late += 1
            return reject(m, e, DROP_LATE, RT_LATE)
        if e.seen >> behind & 1:
            e.received += 1     # RFC 3550 6.4.1: duplicates count as received
            e.rx_duplicate += 1
            return reject(m, e, DROP_DUPLICATE, RT_DUPLICATE)
        e.seen |= <uint64_t> 1 << behind
        e.rx_reordered += 1
        m.stats.counters[<int> COUNT_FILLED] += 1
        result = SOURCE_REORDERED
    e.received += 1
    if clock_rate_hz:
        if arrival_us:
            jitter_update(e, h, arrival_us, clock_rate_hz)
        else:
            e.transit_known = 0     # jitter is measured between packets whose arrivals are both known
        if result != SOURCE_REORDERED or ts_diff(h.timestamp, e.rx_ts) > 0:
            e.rx_ts = h.timestamp
    return result


cdef uint32_t source_extended(const endpoint_t* e) noexcept nogil:
    return e.cycles + e.max_seq


cdef int64_t source_lost(const endpoint_t* e) noexcept nogil:
    if not e.flags & EP_HEARD or e.received == 0:
        return 0
    return <int64_t> (source_extended(e) - e.base_seq + 1) - <int64_t> e.received
