"""Reports, their timer wheel, and what the peer's reports tell."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from roomtone.ext.base.clock cimport ntp_fraction, ntp_middle, ntp_seconds
from roomtone.ext.base.types cimport rt_unlikely
from roomtone.ext.flow.capture cimport capture_rtcp
from roomtone.ext.flow.constants cimport NONE, WHEEL_SLOT_US, WHEEL_SLOTS
from roomtone.ext.flow.counters cimport COUNT_RTCP_RX, COUNT_RTCP_TX, DROP_RTCP_BAD, DROP_RTCP_SOURCE
from roomtone.ext.flow.endpoint cimport EP_CAPTURED, EP_CONNECTED, EP_HEARD, addr_t, endpoint_index, endpoint_t
from roomtone.ext.flow.fact cimport fact_done, fact_new
from roomtone.ext.flow.graph cimport count, drop, endpoint_at, media_t
from roomtone.ext.flow.handover cimport FACT_BYE_, FACT_SSRCS, FACT_TEXT_BYTES, fact_t
from roomtone.ext.flow.rx_socket cimport addr_same_host, rx_kernel_drops
from roomtone.ext.flow.rx_source cimport source_extended, source_lost
from roomtone.ext.flow.tx_packetize cimport tx_timestamp_at
from roomtone.ext.flow.tx_socket cimport tx_send_rtcp
from roomtone.ext.wire.rtcp cimport (
    RTCP_BYE,
    RTCP_RR,
    RTCP_SR,
    rtcp_block,
    rtcp_block_t,
    rtcp_bye_reason,
    rtcp_bye_ssrc,
    rtcp_check,
    rtcp_next,
    rtcp_packet_t,
    rtcp_report_t,
    rtcp_write,
)


cdef enum:
    INTERVAL_US = 5000000           # RFC 3550 6.2: the recommended minimum
    REPORT_BYTES = 256
    LOST_MAX = 0x7FFFFF             # 24 bits signed
    LOST_MIN = -0x800000


cdef uint32_t random32(media_t* m) noexcept nogil:
    """xorshift64*: spreads report times; no secret depends on it."""
    m.random ^= m.random >> 12
    m.random ^= m.random << 25
    m.random ^= m.random >> 27
    return <uint32_t> (m.random * 2685821657736338717u >> 32)


# -- wheel -------------------------------------------------------------------------------------------------------------

cdef void report_schedule(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil:
    # 0.5 to 1.5 of the interval, divided by e - 3/2 = 1.21828 (RFC 3550 6.3.1)
    cdef int64_t wait = <int64_t> ((0.5 + random32(m) / 4294967296.0) * INTERVAL_US / 1.21828)
    cdef int64_t due = (now_us + wait) // WHEEL_SLOT_US
    report_cancel(m, e)
    if due < m.next_wheel:
        m.next_wheel = due
    e.wheel_slot = due % WHEEL_SLOTS
    e.prev_wheel = NONE
    e.next_wheel = m.wheel[e.wheel_slot]
    if e.next_wheel != NONE:
        endpoint_at(m, e.next_wheel).prev_wheel = endpoint_index(e)
    m.wheel[e.wheel_slot] = endpoint_index(e)
    m.wheel_members += 1


cdef void report_cancel(media_t* m, endpoint_t* e) noexcept nogil:
    if e.wheel_slot == NONE:
        return
    if e.prev_wheel != NONE:
        endpoint_at(m, e.prev_wheel).next_wheel = e.next_wheel
    else:
        m.wheel[e.wheel_slot] = e.next_wheel
    if e.next_wheel != NONE:
        endpoint_at(m, e.next_wheel).prev_wheel = e.prev_wheel
    e.wheel_slot = NONE
    m.wheel_members -= 1


cdef void report_turn(media_t* m, int64_t now_us) noexcept nogil:
    cdef int64_t due = now_us // WHEEL_SLOT_US
    cdef endpoint_t* e
    cdef uint32_t i
    if due - m.next_wheel > WHEEL_SLOTS:
        m.next_wheel = due - WHEEL_SLOTS
    while m.next_wheel <= due:
        i = m.wheel[m.next_wheel % WHEEL_SLOTS]
        while i != NONE:
            e = endpoint_at(m, i)
            i = e.next_wheel
            rx_kernel_drops(m, e)
            report_send(m, e, False, now_us)
            report_schedule(m, e, now_us)
        m.next_wheel += 1
    # Empty slots are passed over, so that nothing wakes up for them.
    while m.wheel_members and m.wheel[m.next_wheel % WHEEL_SLOTS] == NONE and m.next_wheel < due + WHEEL_SLOTS:
        m.next_wheel += 1


# -- sending -----------------------------------------------------------------------------------------------------------

cdef void fill_block(endpoint_t* e, rtcp_block_t* block, int64_t now_us) noexcept nogil:
    """RFC 3550 A.3 and section 6.4.1."""
    cdef uint32_t expected = source_extended(e) - e.base_seq + 1
    cdef uint32_t expected_interval = expected - e.expected_prior
    cdef uint32_t received_interval = e.received - e.received_prior
    cdef int64_t lost_interval = <int64_t> expected_interval - <int64_t> received_interval
    cdef int64_t lost = source_lost(e)
    e.expected_prior = expected
    e.received_prior = e.received
    block.ssrc = e.rx_ssrc
    block.fraction_lost = 0
    if expected_interval and lost_interval > 0:
        block.fraction_lost = <uint8_t> min((lost_interval << 8) // expected_interval, 255)
    block.cumulative_lost = <int> max(min(lost, LOST_MAX), LOST_MIN)
    block.extended_seq = source_extended(e)
    block.interarrival_jitter = e.jitter >> 4
    block.lsr = e.sr_middle
    block.dlsr = <uint32_t> ((now_us - e.sr_us) * 65536 // 1000000) if e.sr_middle else 0


cdef void report_send(media_t* m, endpoint_t* e, bint bye, int64_t now_us) noexcept nogil:
    cdef:
        uint8_t data[REPORT_BYTES]
        rtcp_report_t r
        int64_t wall_us = now_us + m.wall_offset_us
        int n
    if not e.flags & EP_CONNECTED or e.remote.port == 0:
        return
    memset(&r, 0, sizeof(r))
    r.ssrc = e.tx_ssrc
    r.is_sender = <uint32_t> e.tx_packets != e.tx_packets_reported
    e.tx_packets_reported = <uint32_t> e.tx_packets
    r.ntp_sec = ntp_seconds(wall_us)
    r.ntp_frac = ntp_fraction(wall_us)
    r.rtp_timestamp = tx_timestamp_at(e, now_us)
    r.sender_packets = <uint32_t> e.tx_packets
    r.sender_octets = <uint32_t> e.tx_bytes
    r.cname = e.cname
    r.cname_bytes = e.cname_bytes
    r.bye = bye
    if e.flags & EP_HEARD and e.received:
        r.block_count = 1
        fill_block(e, &r.block, now_us)
    n = rtcp_write(data, REPORT_BYTES, &r)
    if n > 0 and tx_send_rtcp(m, e, data, n):
        count(m, COUNT_RTCP_TX)
        if rt_unlikely(e.flags & EP_CAPTURED):
            capture_rtcp(m, e, True, data, n, now_us)


# -- receiving ---------------------------------------------------------------------------------------------------------

cdef void take_block(endpoint_t* e, const rtcp_block_t* block, uint32_t middle_now, int64_t now_us) noexcept nogil:
    cdef uint32_t rtt
    if block.ssrc != e.tx_ssrc:
        return
    e.remote_lost = <uint32_t> block.cumulative_lost
    e.remote_jitter = block.interarrival_jitter
    e.remote_reported = 1
    if block.lsr:
        rtt = middle_now - block.lsr - block.dlsr       # 1/65536 s, RFC 3550 6.4.1
        if rtt < 0x80000000u:                           # a clock step on their side may make it "negative"
            e.rtt_us = <uint32_t> (<uint64_t> rtt * 1000000 >> 16)
            e.rtt_at_us = now_us


cdef void take_bye(media_t* m, endpoint_t* e, const rtcp_packet_t* packet) noexcept nogil:
    cdef fact_t* fact = fact_new(m, FACT_BYE_, e.handle)
    cdef const uint8_t* text
    cdef int i
    cdef int n
    if fact == NULL:
        return
    for i in range(FACT_SSRCS):
        if rtcp_bye_ssrc(packet, i, &fact.ssrcs[i]) < 0:
            break
        fact.ssrc_count += 1
    n = rtcp_bye_reason(packet, &text)
    if n > 0:
        fact.text_bytes = min(n, FACT_TEXT_BYTES)
        memcpy(fact.text, text, fact.text_bytes)
    fact_done(m)


cdef void report_receive(media_t* m, endpoint_t* e, int n, const addr_t* source, int64_t now_us) noexcept nogil:
    cdef:
        rtcp_packet_t packet
        rtcp_block_t block
        int offset = 0
        int i
    if source != NULL:
        if e.remote.port == 0 or not addr_same_host(source, &e.remote):
            drop(m, DROP_RTCP_SOURCE)
            e.rx_dropped += 1
            return
        if e.rtcp_fd >= 0:
            e.remote_rtcp = source[0]       # symmetric RTCP: answers go where theirs come from
            e.rtcp_heard = 1
    if rtcp_check(m.packet, n) < 0:
        drop(m, DROP_RTCP_BAD)
        e.rx_dropped += 1
        return
    count(m, COUNT_RTCP_RX)
    m.privates[endpoint_index(e)].rtcp_us = now_us
    if rt_unlikely(e.flags & EP_CAPTURED):
        capture_rtcp(m, e, False, m.packet, n, now_us)
    while rtcp_next(m.packet, n, &offset, &packet) == 0:
        if packet.packet_type == RTCP_SR:
            e.sr_middle = (packet.ntp_sec << 16) | (packet.ntp_frac >> 16)
            e.sr_us = now_us
        if packet.packet_type == RTCP_SR or packet.packet_type == RTCP_RR:
            i = 0
            while rtcp_block(&packet, i, &block) == 0:
                take_block(e, &block, ntp_middle(now_us + m.wall_offset_us), now_us)
                i += 1
        elif packet.packet_type == RTCP_BYE:
            take_bye(m, e, &packet)
