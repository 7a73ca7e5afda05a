"""From the socket to the source, the keys, RTCP or a named drop."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from roomtone.ext.base.types cimport RT_SHORT, RT_VERSION, rt_likely, rt_unlikely, ts_diff
from roomtone.ext.codec.codec cimport codec_get, codec_t
from roomtone.ext.flow.capture cimport capture_received
from roomtone.ext.flow.constants cimport EVENT_TYPES, NONE, READ_AGE_US, TICK_US
from roomtone.ext.flow.counters cimport (
    COUNT_NOISE_RX,
    COUNT_RX_BYTES,
    COUNT_RX_PACKETS,
    COUNT_RX_RAW,
    DROP_DIRECTION,
    DROP_EMPTY,
    DROP_FOREIGN_NETWORK,
    DROP_LENGTH,
    DROP_NO_BUS,
    DROP_PAYLOAD_TYPE,
    DROP_SHORT,
    DROP_UNHEARD,
    DROP_UNKNOWN_PROTOCOL,
    DROP_VERSION,
    DROP_WRONG_SOURCE,
)
from roomtone.ext.flow.endpoint cimport (
    EP_CAPTURED,
    EP_LEARNING,
    EP_MAY_RECEIVE,
    EP_ODD_PTIME,
    EP_POLLED,
    EP_PROBE,
    EP_SILENT,
    EP_SOURCE,
    EP_TICKED,
    EP_WATCHED,
    addr_t,
    endpoint_index,
    endpoint_t,
)
from roomtone.ext.flow.fact cimport fact_done, fact_new, fact_put
from roomtone.ext.flow.graph cimport bus_t, count, drop, media_t, network_t
from roomtone.ext.flow.handover cimport FACT_PINNED_, FACT_PROBE_, fact_t
from roomtone.ext.flow.key cimport key_packet, key_restarted
from roomtone.ext.flow.noise cimport noise_heard
from roomtone.ext.flow.relay cimport relay_packet, relay_restarted
from roomtone.ext.flow.report cimport report_receive, report_schedule
from roomtone.ext.flow.route cimport bus_plan, source_tick_on
from roomtone.ext.flow.rx_flood cimport flood_of, flood_pause, flood_pay
from roomtone.ext.flow.rx_playout cimport PLAYOUT_EMPTY, playout_noise, playout_prefetch, playout_put, playout_reset
from roomtone.ext.flow.rx_socket cimport (
    POLL_RTCP,
    POLL_RTP,
    addr_equal,
    rx_arrival_us,
    rx_connect,
    rx_read,
    rx_read_from,
)
from roomtone.ext.flow.rx_source cimport SOURCE_RESTARTED, source_start, source_update
from roomtone.ext.wire.rtp cimport rtp_header_t, rtp_parse


cdef enum:
    RTP_FIRST = 128             # RFC 7983: first byte 128..191 is RTP or RTCP
    RTP_LAST = 191
    RTCP_TYPE_FIRST = 192       # RFC 5761 section 4: second byte 192..223 is RTCP
    RTCP_TYPE_LAST = 223
    ODD_RUN = 3                 # packets of another packet time before the route of a running source changes
    TICK_READS_MAX = 4          # a peer that sends more costs itself, not the bus
    STAMP_EVERY = 32            # ticks; in the first STAMP_RUN of them arrival times are read
    STAMP_RUN = 3
    FRAMES_IN_STEP = 3          # in the line after a packet came and before the tick took its frame (rx_playout)
    LEARN_DRAIN = 64
    NOT_AUDIO = -1
    NOISE_SLOT = EVENT_TYPES    # slots of payload types beside audio: comfort noise; those below are keys
    NOISE_CLOCK_HZ = 8000       # RFC 3389 section 4: the static type's; it lies on the time line of the audio


cdef int drop_of(int error) noexcept nogil:
    if error == RT_SHORT:
        return DROP_SHORT
    return DROP_VERSION if error == RT_VERSION else DROP_LENGTH


cdef inline void arrived(media_t* m, endpoint_t* e, int n) noexcept nogil:
    """Every datagram that came to the port ends as an accepted packet, as RTCP, or in one named drop."""
    count(m, COUNT_RX_RAW)
    e.rx_raw_packets += 1
    e.rx_raw_bytes += n


cdef void dropped(media_t* m, endpoint_t* e, int reason) noexcept nogil:
    drop(m, reason)
    e.rx_dropped += 1


cdef int codec_of(const endpoint_t* e, uint8_t payload_type) noexcept nogil:
    """Negotiated codec of a payload type; 0: none."""
    cdef int i
    for i in range(e.receive_count):
        if e.receive_type[i] == payload_type:
            return e.receive_codec[i]
    return 0


cdef int event_slot(const endpoint_t* e, uint8_t payload_type) noexcept nogil:
    cdef int i
    for i in range(EVENT_TYPES):
        if e.event_type[i] == payload_type:
            return i
    return NOT_AUDIO


cdef int slot_of(const endpoint_t* e, uint8_t payload_type) noexcept nogil:
    """Of a payload type beside audio; NOT_AUDIO: it is none of these either."""
    cdef const codec_t* codec = codec_get(e.rx_codec)
    if payload_type == e.noise_type and codec != NULL and codec.clock_rate_hz == NOISE_CLOCK_HZ:
        return NOISE_SLOT
    return event_slot(e, payload_type)


cdef inline int clock_beside(int slot) noexcept nogil:
    """Of packets that are no audio; 0: timestamps of keys stand still."""
    return NOISE_CLOCK_HZ if slot == NOISE_SLOT else 0


cdef void codec_changed(media_t* m, endpoint_t* e, int codec, uint8_t payload_type) noexcept nogil:
    e.rx_payload_type = payload_type
    if e.rx_codec != codec:
        e.rx_codec = <uint8_t> codec
        e.transit_known = 0
        playout_reset(e)
        if e.flags & EP_SOURCE:
            bus_plan(m, e.bus)


cdef void ptime_watch(media_t* m, endpoint_t* e, const codec_t* codec, int payload_bytes) noexcept nogil:
    """A peer that does not send 20 ms packets is decoded, not relayed.  Its first packet is believed at once."""
    cdef bint odd = payload_bytes * 50 != codec.sample_rate_hz * codec.bytes_per_sample
    if rt_likely(odd == ((e.flags & EP_ODD_PTIME) != 0)):
        e.odd_ptime_run = 0
        return
    e.odd_ptime_run += 1
    if e.odd_ptime_run >= ODD_RUN or e.rx_packets == 1:
        e.odd_ptime_run = 0
        e.flags ^= EP_ODD_PTIME
        if e.flags & EP_SOURCE:
            bus_plan(m, e.bus)


cdef inline void alive(media_t* m, endpoint_t* e, const rtp_header_t* h, int64_t now_us) noexcept nogil:
    e.rx_last_us = now_us
    e.flags &= ~<uint32_t> EP_SILENT
    e.rx_packets += 1
    e.rx_bytes += h.payload_bytes
    count(m, COUNT_RX_PACKETS)
    m.stats.counters[<int> COUNT_RX_BYTES] += h.payload_bytes


cdef void audio(media_t* m, endpoint_t* e, const rtp_header_t* h, uint8_t* data, int64_t now_us) noexcept nogil:
    """An accepted audio packet: to those who get it on arrival, and into the line for who hears a mix, and the tap."""
    cdef bus_t* b
    cdef bint relayed
    if e.bus == NONE or not e.flags & EP_SOURCE:
        dropped(m, e, DROP_NO_BUS)
        return
    b = &m.buses[e.bus]
    relayed = b.relay_codec != 0
    if relayed:
        relay_packet(m, b, e, h, data, now_us)
    if b.linked and (not relayed or b.mixes or e.flags & EP_WATCHED):
        playout_put(m, e, codec_get(e.rx_codec), h.timestamp, data + h.payload_offset, h.payload_bytes, now_us)
        if not relayed and not e.flags & EP_TICKED:
            source_tick_on(m, b, e)
    elif not relayed:
        dropped(m, e, DROP_UNHEARD)


cdef void noise(media_t* m, endpoint_t* e, const rtp_header_t* h, uint8_t* data, int64_t now_us) noexcept nogil:
    """Comfort noise goes where audio goes; its source needs no ticks unless it is heard."""
    cdef bus_t* b
    count(m, COUNT_NOISE_RX)
    if e.bus == NONE or not e.flags & EP_SOURCE:
        dropped(m, e, DROP_NO_BUS)
        return
    b = &m.buses[e.bus]
    if b.relay_codec:
        relay_packet(m, b, e, h, data, now_us)
    if b.linked and (not b.relay_codec or b.mixes or e.flags & EP_WATCHED):
        playout_noise(m, e, h.timestamp, data[h.payload_offset])
        if not b.relay_codec and not e.flags & EP_TICKED and noise_heard(m, b, e, now_us):
            source_tick_on(m, b, e)
    elif not b.relay_codec:
        dropped(m, e, DROP_UNHEARD)


cdef void beside_audio(media_t* m, endpoint_t* e, const rtp_header_t* h, int slot, int64_t now_us) noexcept nogil:
    if slot == NOISE_SLOT:
        noise(m, e, h, m.packet, now_us)
    else:
        key_packet(m, e, h, slot, m.packet + h.payload_offset, now_us)


cdef void restarted(media_t* m, endpoint_t* e, bint another_source, int64_t now_us) noexcept nogil:
    """Timestamps begin anew: nothing that was measured against the old ones is continued."""
    playout_reset(e)
    relay_restarted(m, e)
    key_restarted(m, e, another_source, now_us)


cdef void rtp(media_t* m, endpoint_t* e, int n, int64_t arrival_us, int64_t now_us) noexcept nogil:
    cdef rtp_header_t h
    cdef int result = rtp_parse(m.packet, n, &h)
    cdef uint32_t ssrc = e.rx_ssrc
    cdef int codec
    cdef int slot = NOT_AUDIO
    if rt_unlikely(result < 0):
        dropped(m, e, drop_of(result))
        return
    if rt_likely(h.payload_type == e.rx_payload_type and e.rx_codec != 0):
        codec = e.rx_codec
    else:
        codec = codec_of(e, h.payload_type)
        if codec == 0:
            slot = slot_of(e, h.payload_type)
            if slot < 0:
                dropped(m, e, DROP_PAYLOAD_TYPE)
                return
    if not e.flags & EP_MAY_RECEIVE:
        dropped(m, e, DROP_DIRECTION)
        return
    result = source_update(m, e, &h, arrival_us, codec_get(codec).clock_rate_hz if slot < 0 else clock_beside(slot))
    if result < 0:
        return
    alive(m, e, &h, now_us)
    if rt_unlikely(e.flags & EP_CAPTURED):
        capture_received(m, e, codec, m.packet, n, arrival_us if arrival_us else now_us)
    if rt_unlikely(result == SOURCE_RESTARTED):
        restarted(m, e, e.rx_ssrc != ssrc, now_us)
    if h.payload_bytes == 0:
        dropped(m, e, DROP_EMPTY)
        return
    if slot >= 0:
        beside_audio(m, e, &h, slot, now_us)
        return
    if h.payload_type != e.rx_payload_type or codec != e.rx_codec:
        codec_changed(m, e, codec, h.payload_type)
    ptime_watch(m, e, codec_get(codec), h.payload_bytes)
    audio(m, e, &h, m.packet, now_us)


cdef void rx_datagram(media_t* m, endpoint_t* e, int n, int64_t arrival_us, int64_t now_us) noexcept nogil:
    arrived(m, e, n)
    if rt_unlikely(m.packet[0] < RTP_FIRST or m.packet[0] > RTP_LAST):
        dropped(m, e, DROP_UNKNOWN_PROTOCOL)
        return
    if rt_unlikely(n >= 2 and m.packet[1] >= RTCP_TYPE_FIRST and m.packet[1] <= RTCP_TYPE_LAST):
        report_receive(m, e, n, NULL, now_us)
        return
    rtp(m, e, n, arrival_us, now_us)


# -- source learning: the first valid packet pins its exact source address (websocket.md section 5) -------------------

cdef bint inside(const network_t* network, const addr_t* a) noexcept nogil:
    cdef int whole = network.prefix // 8
    cdef int rest = network.prefix % 8
    cdef int i
    if network.family != a.family:
        return False
    for i in range(whole):
        if network.ip[i] != a.ip[i]:
            return False
    return rest == 0 or (network.ip[whole] ^ a.ip[whole]) >> (8 - rest) == 0


cdef bint network_allowed(media_t* m, const addr_t* a) noexcept nogil:
    cdef uint32_t i
    if m.network_count == 0:
        return True
    for i in range(m.network_count):
        if inside(&m.networks[i], a):
            return True
    return False


cdef void pin(media_t* m, endpoint_t* e, const rtp_header_t* h, const addr_t* source, int64_t now_us) noexcept nogil:
    cdef fact_t* fact
    cdef bint as_told = addr_equal(source, &e.remote)
    e.flags &= ~<uint32_t> EP_LEARNING
    if not as_told and not e.rtcp_heard:
        e.remote_rtcp = source[0]
        e.remote_rtcp.port = source.port if e.rtcp_fd < 0 else source.port + 1
    e.remote = source[0]
    if e.rx_packets:
        restarted(m, e, h.ssrc != e.rx_ssrc, now_us)
    source_start(e, h.ssrc, h.seq, as_told)
    rx_connect(e)
    report_schedule(m, e, now_us)
    fact = fact_new(m, FACT_PINNED_, e.handle)
    if fact != NULL:
        fact.addr = source[0]
        fact_done(m)


cdef void rx_learn(media_t* m, endpoint_t* e, int n, const addr_t* source, int64_t now_us) noexcept nogil:
    cdef rtp_header_t h
    cdef int result
    if e.flags & EP_PROBE:
        fact_put(m, FACT_PROBE_, e.handle, 0, 0)
        return
    if not e.flags & EP_LEARNING:
        if addr_equal(source, &e.remote):       # connected meanwhile; queued before
            rx_datagram(m, e, n, now_us, now_us)
            return
        arrived(m, e, n)
        dropped(m, e, DROP_WRONG_SOURCE)
        return
    if n >= 2 and RTP_FIRST <= m.packet[0] <= RTP_LAST and RTCP_TYPE_FIRST <= m.packet[1] <= RTCP_TYPE_LAST:
        arrived(m, e, n)
        report_receive(m, e, n, source, now_us)
        return
    result = rtp_parse(m.packet, n, &h) if RTP_FIRST <= m.packet[0] <= RTP_LAST else RT_VERSION
    if result == 0 and e.flags & EP_MAY_RECEIVE and h.payload_bytes > 0 and (
            codec_of(e, h.payload_type) or slot_of(e, h.payload_type) >= 0):
        if not network_allowed(m, source):
            arrived(m, e, n)
            dropped(m, e, DROP_FOREIGN_NETWORK)
            return
        pin(m, e, &h, source, now_us)
    rx_datagram(m, e, n, now_us, now_us)


cdef void rx_readable(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil:
    cdef addr_t source
    cdef int n
    cdef int reads = 0
    cdef int _n
    if rt_likely(not e.flags & (EP_LEARNING | EP_PROBE)):
        reads = 1
        if rt_unlikely(e.flags & EP_WATCHED):
            playout_prefetch(m, e)
        n = rx_read(m, e)
        if rt_likely(n > 0):
            rx_datagram(m, e, n, now_us, now_us)
    else:
        # Until the queue is empty, so that what came before the connect is judged by its address.
        for _n in range(LEARN_DRAIN):
            reads += 1
            n = rx_read_from(m, e, e.rtp_fd, &source)
            if n == 0:
                break
            if n > 0:
                rx_learn(m, e, n, &source, now_us)
    if rt_unlikely(flood_pay(flood_of(m, e, POLL_RTP), reads, now_us)) and e.flags & EP_POLLED:
        flood_pause(m, e, POLL_RTP, now_us)


cdef void rx_rtcp_readable(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil:
    cdef addr_t source
    cdef int n = rx_read_from(m, e, e.rtcp_fd, &source)
    if rt_unlikely(flood_pay(flood_of(m, e, POLL_RTCP), 1, now_us)):
        flood_pause(m, e, POLL_RTCP, now_us)
    if n <= 0:
        return
    if e.flags & EP_PROBE:
        fact_put(m, FACT_PROBE_, e.handle, 1, 0)
        return
    arrived(m, e, n)
    report_receive(m, e, n, &source, now_us)


cdef bint behind(const endpoint_t* e) noexcept nogil:
    """The line holds less than a source in step has in it: another packet is likely to wait."""
    cdef const codec_t* codec = codec_get(e.rx_codec)
    if codec == NULL or e.playing == PLAYOUT_EMPTY:
        return False
    return ts_diff(e.play_end_ts, e.play_ts) < FRAMES_IN_STEP * (codec.sample_rate_hz // 50)


cdef void rx_tick(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil:
    cdef int64_t arrival_us = 0
    # An arrival time costs another call.  A few packets in a row tell jitter, and whether the queue is old; a recording
    # tells every packet's.
    cdef bint stamped = (now_us // TICK_US + endpoint_index(e)) % STAMP_EVERY < STAMP_RUN or e.flags & EP_CAPTURED
    cdef int n
    cdef int i
    playout_prefetch(m, e)
    for i in range(TICK_READS_MAX):
        n = rx_read(m, e)
        if n == 0:
            if i == 0:
                e.idle_reads += 1
            return
        e.idle_reads = 0
        if stamped:
            arrival_us = rx_arrival_us(m, e)
            e.read_age = <uint8_t> max(<int64_t> 0, min((now_us - arrival_us) // READ_AGE_US, <int64_t> 255))
        if arrival_us > now_us:
            arrival_us = now_us
        if n > 0:
            rx_datagram(m, e, n, arrival_us, now_us)
        if not e.flags & EP_TICKED:
            return
        # In step, and (when it is known) arrived within this tick: nothing behind it is worth another call.
        if not behind(e) and not (arrival_us and now_us - arrival_us >= TICK_US):
            return
