"""Keys on their way: receive machine, relay to the other members, injection."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from roomtone.ext.base.types cimport RT_EMPTY, rt_unlikely, ts_diff
from roomtone.ext.codec.codec cimport CODEC_COUNT
from roomtone.ext.flow.capture cimport capture_sent
from roomtone.ext.flow.constants cimport NONE, RTP_HEADROOM
from roomtone.ext.flow.counters cimport (
    COUNT_KEYS,
    COUNT_TX_BYTES,
    COUNT_TX_PACKETS,
    DROP_DIRECTION,
    DROP_KEY_BAD,
    DROP_KEY_COLLISION,
    DROP_KEY_IN_ROOM,
    DROP_KEY_LARGE_BUS,
    DROP_KEY_NO_TYPE,
    DROP_NOT_LEARNED,
)
from roomtone.ext.flow.endpoint cimport (
    EP_CAPTURED,
    EP_CONNECTED,
    EP_INJECT,
    EP_KEY_ENDED,
    EP_KEY_RX,
    EP_KEY_TX,
    EP_MAY_SEND,
    EP_SENSITIVE,
    EP_SOURCE,
    NO_TYPE,
    endpoint_index,
    endpoint_t,
)
from roomtone.ext.flow.fact cimport fact_put
from roomtone.ext.flow.graph cimport (
    bus_private_t,
    bus_t,
    count,
    drop,
    endpoint_at,
    endpoint_private_t,
    key_event_t,
    media_t,
)
from roomtone.ext.flow.handover cimport FACT_INJECT_DONE_, FACT_KEY_
from roomtone.ext.flow.key_ring cimport key_members, key_next, key_publish
from roomtone.ext.flow.tx_packetize cimport tx_timestamp_at
from roomtone.ext.flow.tx_socket cimport tx_send
from roomtone.ext.wire.rtp cimport rtp_header_t, rtp_write
from roomtone.ext.wire.telephone_event cimport (
    EVENT_BYTES,
    EVENT_DIGIT_MAX,
    EVENT_RX_END,
    EVENT_RX_NONE,
    EVENT_RX_SWITCH,
    event_packet_t,
    event_parse,
    event_rx_poll,
    event_rx_put,
    event_rx_t,
    event_t,
    event_tx_poll,
    event_tx_start,
    event_write,
)


cdef enum:
    RELAY_GIVE_UP_US = 150000       # a relayed press without update for this long is over (websocket.md section 5)
    PRESS_OVER_US = 3600000000      # an hour on, every press has timed out
    PLACE_NONE = 0
    PLACE_GOES_ON = 1
    PLACE_BEGINS = 2
    LATE_S_MAX = 10                 # an older timestamp is a late packet up to here, beyond it a new time line
    KEY_NAME_STEP = 0x9E3779B9      # odd: no name comes twice before all have been used


cdef void report(media_t* m, endpoint_t* e) noexcept nogil:
    cdef event_rx_t* rx = &m.privates[endpoint_index(e)].event_rx
    cdef uint32_t rate = m.privates[endpoint_index(e)].key_rate
    count(m, COUNT_KEYS)
    fact_put(m, FACT_KEY_, e.handle, rx.digit, <int64_t> rx.digit_ticks * 1000 // rate)


cdef void key_list_add(media_t* m, endpoint_t* e) noexcept nogil:
    if e.flags & EP_KEY_RX:
        return
    e.flags |= EP_KEY_RX
    e.prev_key = NONE
    e.next_key = m.key_first
    if m.key_first != NONE:
        endpoint_at(m, m.key_first).prev_key = endpoint_index(e)
    m.key_first = endpoint_index(e)


cdef void key_list_remove(media_t* m, endpoint_t* e) noexcept nogil:
    if not e.flags & EP_KEY_RX:
        return
    e.flags &= ~<uint32_t> EP_KEY_RX
    if e.prev_key != NONE:
        endpoint_at(m, e.prev_key).next_key = e.next_key
    else:
        m.key_first = e.next_key
    if e.next_key != NONE:
        endpoint_at(m, e.next_key).prev_key = e.prev_key


cdef void send_event(media_t* m, endpoint_t* d, const event_t* body, uint32_t timestamp, bint marker, bint sensitive,
                     int64_t now_us) noexcept nogil:
    """sensitive: whoever pressed the key does not want it recorded."""
    cdef uint8_t packet[16]
    d.tx_seq += 1
    rtp_write(packet, d.event_tx_type, marker, d.tx_seq, timestamp, d.tx_ssrc)
    event_write(packet + RTP_HEADROOM, body)
    if tx_send(m, d, packet, RTP_HEADROOM + EVENT_BYTES):
        d.tx_packets += 1
        d.tx_bytes += EVENT_BYTES
        count(m, COUNT_TX_PACKETS)
        m.stats.counters[<int> COUNT_TX_BYTES] += EVENT_BYTES
        if rt_unlikely(d.flags & EP_CAPTURED) and not (sensitive or d.flags & EP_SENSITIVE):
            capture_sent(m, d, False, packet, RTP_HEADROOM + EVENT_BYTES, now_us)
    else:
        d.tx_seq -= 1


cdef int relay_place(endpoint_t* d, const key_event_t* k, int64_t now_us) noexcept nogil:
    """Find this packet's place on the destination's line; PLACE_NONE: it must not be relayed.

    A peer hears of one press at a time and of none twice: others wait for the end, and what arrives behind the end
    or behind a newer press of the same source is the rest of an old one.
    """
    cdef bint running = d.flags & EP_KEY_TX and now_us < d.key_tx_until_us
    cdef uint32_t stamp = tx_timestamp_at(d, now_us)
    cdef uint32_t next_stamp
    cdef int32_t ahead
    if d.key_tx_source != k.source:
        if running:
            return PLACE_NONE
    else:
        ahead = ts_diff(k.timestamp, d.key_tx_source_ts)
        if ahead == 0:
            return PLACE_GOES_ON if k.body.end or not d.flags & EP_KEY_ENDED else PLACE_NONE
        if -LATE_S_MAX * <int32_t> k.rate < ahead < 0:
            return PLACE_NONE
        next_stamp = d.key_tx_ts + <uint32_t> (<int64_t> ahead * d.event_tx_rate // k.rate)
        if running:                     # the next segment of a long press, or a press whose predecessor's end was lost
            d.key_tx_source_ts = k.timestamp
            d.key_tx_ts = next_stamp
            return PLACE_GOES_ON
        if 0 < ts_diff(next_stamp, stamp) < <int32_t> d.event_tx_rate:
            stamp = next_stamp          # held up, and come together with the press before: as far apart as pressed
    if not k.fresh:
        return PLACE_NONE
    d.key_tx_source = k.source
    d.key_tx_source_ts = k.timestamp
    d.key_tx_ts = stamp
    d.flags &= ~<uint32_t> (EP_KEY_ENDED | EP_KEY_TX)
    return PLACE_BEGINS


cdef void relay_event(media_t* m, endpoint_t* d, const key_event_t* k, int64_t now_us) noexcept nogil:
    """The same event on the destination's own line: its payload type, its clock, its timestamp."""
    cdef event_t body = k.body
    cdef int place
    if not d.flags & EP_MAY_SEND:
        return
    if d.event_tx_type == NO_TYPE:
        drop(m, DROP_KEY_NO_TYPE)
        return
    if not d.flags & EP_CONNECTED:
        drop(m, DROP_NOT_LEARNED)
        return
    place = PLACE_NONE if d.flags & EP_INJECT else relay_place(d, k, now_us)
    if place == PLACE_NONE:
        drop(m, DROP_KEY_COLLISION)
        return
    if d.event_tx_rate != k.rate:
        body.duration = <uint16_t> min(<int64_t> body.duration * d.event_tx_rate // k.rate, 0xFFFF)
    send_event(m, d, &body, d.key_tx_ts, k.marker or place == PLACE_BEGINS, k.sensitive, now_us)
    if body.end:
        d.flags &= ~<uint32_t> EP_KEY_TX
        d.flags |= EP_KEY_ENDED
    else:
        d.flags |= EP_KEY_TX
        d.key_tx_until_us = now_us + RELAY_GIVE_UP_US


cdef void relay_to_bus(media_t* m, const bus_t* b, const endpoint_t* source, const key_event_t* k,
                       int64_t now_us) noexcept nogil:
    """source: it does not hear itself; NULL: it is on another worker."""
    cdef endpoint_t* d
    cdef int codec
    cdef uint32_t i
    for codec in range(1, CODEC_COUNT):
        i = b.destination_first[codec]
        while i != NONE:
            d = endpoint_at(m, i)
            i = d.next_destination
            if d != source:
                relay_event(m, d, k, now_us)


cdef void relay(media_t* m, const endpoint_t* source, const key_event_t* k, int64_t now_us) noexcept nogil:
    cdef bus_t* b
    cdef bus_private_t* p
    if source.bus == NONE or not source.flags & EP_SOURCE:
        return
    b = &m.buses[source.bus]
    p = &m.bus_privates[source.bus]
    if b.room:
        drop(m, DROP_KEY_IN_ROOM)
        return
    if b.key_relay_limit and key_members(b, p) > b.key_relay_limit:
        drop(m, DROP_KEY_LARGE_BUS)
        return
    relay_to_bus(m, b, source, k, now_us)
    if p.peer_count:
        key_publish(m, b, k)


cdef void key_from_peers(media_t* m, uint32_t bus, int64_t now_us) noexcept nogil:
    cdef bus_private_t* p = &m.bus_privates[bus]
    cdef key_event_t k
    cdef uint32_t peer
    for peer in range(p.peer_count):
        while key_next(m, p, peer, &k):
            relay_to_bus(m, &m.buses[bus], NULL, &k, now_us)


cdef void key_packet(media_t* m, endpoint_t* e, const rtp_header_t* h, int slot, const uint8_t* payload,
                     int64_t now_us) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    cdef key_event_t k
    cdef int result
    if event_parse(payload, h.payload_bytes, &k.body) < 0:
        drop(m, DROP_KEY_BAD)
        return
    p.key_rate = e.event_rate[slot]
    result = event_rx_put(&p.event_rx, &k.body, h.timestamp, now_us)
    if result == EVENT_RX_END or result == EVENT_RX_SWITCH:
        report(m, e)
    if p.event_rx.active:
        key_list_add(m, e)
    else:
        key_list_remove(m, e)
    # What the machine does not know (flash, fax tones) is not told, but relayed all the same.
    k.fresh = result != EVENT_RX_NONE or e.flags & EP_KEY_RX != 0 or k.body.event > EVENT_DIGIT_MAX
    k.source = p.key_name
    k.timestamp = h.timestamp
    k.rate = p.key_rate
    k.marker = h.marker
    k.sensitive = e.flags & EP_SENSITIVE != 0
    relay(m, e, &k, now_us)


cdef void key_inject(media_t* m, endpoint_t* e, int event, int duration_ms, int volume, int64_t now_us) noexcept nogil:
    cdef int reason = -1
    if e.event_tx_type == NO_TYPE:
        reason = DROP_KEY_NO_TYPE
    elif e.flags & EP_INJECT:
        reason = DROP_KEY_COLLISION
    elif not e.flags & EP_CONNECTED:
        reason = DROP_NOT_LEARNED
    elif not e.flags & EP_MAY_SEND:
        reason = DROP_DIRECTION
    if reason >= 0:
        drop(m, reason)
        fact_put(m, FACT_INJECT_DONE_, e.handle, 0, 0)
        return
    event_tx_start(&m.privates[endpoint_index(e)].event_tx, <uint8_t> event, <uint8_t> volume, duration_ms,
                   e.event_tx_rate, tx_timestamp_at(e, now_us), now_us)
    e.flags |= EP_INJECT | EP_KEY_TX
    e.prev_inject = NONE
    e.next_inject = m.inject_first
    if m.inject_first != NONE:
        endpoint_at(m, m.inject_first).prev_inject = endpoint_index(e)
    m.inject_first = endpoint_index(e)


cdef void inject_end(media_t* m, endpoint_t* e) noexcept nogil:
    if not e.flags & EP_INJECT:
        return
    e.flags &= ~<uint32_t> (EP_INJECT | EP_KEY_TX)
    if e.prev_inject != NONE:
        endpoint_at(m, e.prev_inject).next_inject = e.next_inject
    else:
        m.inject_first = e.next_inject
    if e.next_inject != NONE:
        endpoint_at(m, e.next_inject).prev_inject = e.prev_inject


cdef void key_turn(media_t* m, int64_t now_us) noexcept nogil:
    cdef uint32_t i = m.key_first
    cdef endpoint_t* e
    cdef event_packet_t packet
    cdef int result
    while i != NONE:
        e = endpoint_at(m, i)
        i = e.next_key
        if event_rx_poll(&m.privates[endpoint_index(e)].event_rx, now_us) == EVENT_RX_END:
            report(m, e)
            key_list_remove(m, e)
    i = m.inject_first
    while i != NONE:
        e = endpoint_at(m, i)
        i = e.next_inject
        result = event_tx_poll(&m.privates[endpoint_index(e)].event_tx, now_us, &packet)
        if result == RT_EMPTY:
            inject_end(m, e)
            fact_put(m, FACT_INJECT_DONE_, e.handle, 1, 0)
        elif result > 0:
            send_event(m, e, &packet.body, packet.timestamp, packet.marker, False, now_us)


cdef void key_restarted(media_t* m, endpoint_t* e, bint another_source, int64_t now_us) noexcept nogil:
    cdef event_rx_t* rx = &m.privates[endpoint_index(e)].event_rx
    m.privates[endpoint_index(e)].key_name += <uint32_t> KEY_NAME_STEP
    if not another_source:
        return
    if event_rx_poll(rx, now_us + PRESS_OVER_US) == EVENT_RX_END:
        report(m, e)
    key_list_remove(m, e)
    memset(rx, 0, sizeof(event_rx_t))


cdef void key_forget(media_t* m, endpoint_t* e) noexcept nogil:
    key_list_remove(m, e)
    inject_end(m, e)
