"""One function an edit."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from roomtone.ext.base.ring cimport ring_peek, ring_pop
from roomtone.ext.base.types cimport rt_store_release64
from roomtone.ext.dsp.limiter cimport limiter_reset
from roomtone.ext.dsp.tone cimport tone_start
from roomtone.ext.flow.bus cimport bus_settle
from roomtone.ext.flow.constants cimport EVENT_TYPES, RECEIVE_TYPES
from roomtone.ext.flow.counters cimport COUNT_EDITS
from roomtone.ext.flow.endpoint cimport (
    EP_CAPTURED,
    EP_DESTINATION,
    EP_HEARD,
    EP_LEARNING,
    EP_MAY_RECEIVE,
    EP_MAY_SEND,
    EP_SENSITIVE,
    EP_SOURCE,
    EP_TAKES_NOISE,
    KIND_FREE,
    KIND_RTP,
    NO_TYPE,
    endpoint_index,
    endpoint_t,
    lock_begin,
    lock_end,
)
from roomtone.ext.flow.graph cimport bus_private_t, bus_t, count, endpoint_at, endpoint_private_t, flood_t, media_t, roles_t
from roomtone.ext.flow.handover cimport (
    EDIT_BRIDGE,
    EDIT_BRIDGE_FEED,
    EDIT_BUS_CLOSE,
    EDIT_BUS_OPEN,
    EDIT_BUS_ROOM,
    EDIT_BUS_SPREAD,
    EDIT_CAPTURE,
    EDIT_CLOSE,
    EDIT_DESTINATION_ADD,
    EDIT_DESTINATION_REMOVE,
    EDIT_FENCE,
    EDIT_FILE,
    EDIT_FILE_GAIN,
    EDIT_FILE_PAUSE,
    EDIT_FILE_SEEK,
    EDIT_INJECT,
    EDIT_MEDIA,
    EDIT_MUX,
    EDIT_OPEN,
    EDIT_REMOTE,
    EDIT_SEAT,
    EDIT_SENSITIVE,
    EDIT_SOURCE_ADD,
    EDIT_SOURCE_REMOVE,
    EDIT_TONE,
    EDIT_WATCH,
    EDIT_WATCH_KINDS,
    EDITS_A_TURN,
    edit_t,
)
from roomtone.ext.flow.key cimport key_forget, key_inject
from roomtone.ext.flow.key_ring cimport key_peers
from roomtone.ext.flow.report cimport report_cancel, report_schedule, report_send
from roomtone.ext.flow.route cimport (
    bus_close,
    bus_open,
    bus_plan,
    destination_add,
    destination_remove,
    source_add,
    source_remove,
    source_tick_off,
)
from roomtone.ext.flow.rx_playout cimport playout_reset
from roomtone.ext.flow.rx_socket cimport (
    rx_connect,
    rx_discard,
    rx_disconnect,
    rx_kernel_drops,
    rx_poll_rtcp,
    rx_poll_rtp,
    rx_unpoll_rtcp,
    rx_unpoll_rtp,
)
from roomtone.ext.flow.seat cimport seat_take
from roomtone.ext.flow.source_file cimport file_gain, file_open, file_pause, file_seek
from roomtone.ext.flow.tap cimport tap_negotiated, tap_watch
from roomtone.ext.record.capture cimport capture_ring_t


cdef void open_(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    cdef flood_t* f
    cdef int which
    memset(p, 0, sizeof(endpoint_private_t))
    limiter_reset(&p.limiter8)
    limiter_reset(&p.limiter16)
    p.key_name = e.tx_ssrc
    e.born_us = now_us
    e.silent_since_us = now_us
    for which in range(2):
        f = &m.floods[2 * endpoint_index(e) + which]
        f.paid_us = <uint32_t> now_us
        f.lost = 0
    rx_poll_rtp(m, e)
    rx_poll_rtcp(m, e)


cdef int receive_codec(const edit_t* d, uint8_t payload_type) noexcept nogil:
    cdef int i
    for i in range(d.receive_count):
        if d.receive_type[i] == payload_type:
            return d.receive_codec[i]
    return 0


cdef void media(media_t* m, endpoint_t* e, const edit_t* d, int64_t now_us) noexcept nogil:
    cdef bint listens = (e.flags & EP_DESTINATION) != 0
    cdef uint32_t bus = e.bus
    cdef int i
    if listens and e.tx_codec != d.send_codec:      # another mix group
        destination_remove(m, e)
    lock_begin(e)
    memcpy(e.receive_type, d.receive_type, RECEIVE_TYPES)
    memcpy(e.receive_codec, d.receive_codec, RECEIVE_TYPES)
    e.receive_count = d.receive_count
    memcpy(e.event_type, d.event_type, EVENT_TYPES)
    memcpy(e.event_rate, d.event_rate, EVENT_TYPES * sizeof(uint32_t))
    e.event_tx_type = d.event_tx_type
    e.event_tx_rate = d.event_tx_rate
    e.noise_type = d.noise_type
    e.noise_tx_type = d.noise_tx_type
    if d.noise_type == NO_TYPE:
        e.noise = 0
    e.tx_payload_type = d.send_type
    e.tx_codec = d.send_codec
    e.flags &= ~<uint32_t> (EP_MAY_RECEIVE | EP_MAY_SEND | EP_TAKES_NOISE)
    e.flags |= (EP_MAY_RECEIVE if d.a else 0) | (EP_MAY_SEND if d.b else 0)
    e.flags |= EP_TAKES_NOISE if d.noise_tx_type != NO_TYPE else 0
    e.silent_since_us = now_us
    # Until the peer is heard it is taken to send what we send it; so is one whose payload type means another codec now.
    if not e.flags & EP_HEARD or receive_codec(d, e.rx_payload_type) != e.rx_codec:
        playout_reset(e)
        e.transit_known = 0
        e.rx_codec = d.receive_codec[0] if d.receive_count else 0
        e.rx_payload_type = d.receive_type[0] if d.receive_count else 0
        for i in range(d.receive_count):
            if d.receive_codec[i] == d.send_codec:
                e.rx_codec = d.send_codec
                e.rx_payload_type = d.receive_type[i]
                break
    lock_end(e)
    tap_negotiated(m, e)
    if listens and not e.flags & EP_DESTINATION:
        destination_add(m, bus, e)
    elif e.flags & (EP_SOURCE | EP_DESTINATION):
        bus_plan(m, e.bus)


cdef void remote(media_t* m, endpoint_t* e, const edit_t* d, int64_t now_us) noexcept nogil:
    """a: rtcp port, b: learn, c: send at once."""
    if d.b:
        if e.flags & EP_SOURCE:
            source_tick_off(m, &m.buses[e.bus], e)
        playout_reset(e)
        rx_disconnect(m, e)
        rx_poll_rtp(m, e)
    lock_begin(e)
    e.remote = d.addr
    e.remote_rtcp = d.addr
    e.remote_rtcp.port = <unsigned short> d.a
    e.rtcp_heard = 0
    if d.b:
        e.flags |= EP_LEARNING
        e.flags &= ~<uint32_t> EP_HEARD
        e.silent_since_us = now_us
    lock_end(e)
    if d.c and d.addr.port:
        e.flags &= ~<uint32_t> EP_LEARNING
        rx_connect(e)
        rx_discard(m, e)
        report_schedule(m, e, now_us)


cdef void close(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil:
    source_remove(m, e)
    destination_remove(m, e)
    key_forget(m, e)
    report_cancel(m, e)
    if e.kind == KIND_RTP:
        rx_kernel_drops(m, e)
        if not e.bye_sent and (e.tx_packets or e.rx_packets):
            e.bye_sent = 1
            report_send(m, e, True, now_us)
        rx_unpoll_rtp(m, e)
        rx_unpoll_rtcp(m, e)
    lock_begin(e)
    e.kind = KIND_FREE
    e.flags = 0
    lock_end(e)
    m.stats.endpoints_in_use -= 1


cdef void tone(media_t* m, endpoint_t* e, const edit_t* d, int64_t now_us) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    memset(p, 0, sizeof(endpoint_private_t))
    tone_start(&p.tone, d.a, d.x, 8000, d.b)
    e.born_us = now_us


cdef void bridge(media_t* m, endpoint_t* e) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    memset(p, 0, sizeof(endpoint_private_t))
    limiter_reset(&p.limiter8)
    limiter_reset(&p.limiter16)


cdef void bridge_feed(media_t* m, endpoint_t* e, const edit_t* d) noexcept nogil:
    """a: the far session's phase, b: so many addresses."""
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    p.feed_phase = d.a
    p.feed_count = d.b
    p.feeds = <uint64_t*> d.address


cdef void spread(media_t* m, uint32_t bus, const edit_t* d, int64_t now_us) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    bus_settle(m, bus, now_us)
    b.partial_slot = d.a
    key_peers(&m.bus_privates[bus], <uint64_t*> d.address, d.b)
    bus_plan(m, bus)


cdef void room(media_t* m, uint32_t bus, const edit_t* d) noexcept nogil:
    """address: its roles_t, 0: it has none.  What is on its way out still goes by the sums of this tick."""
    cdef bus_private_t* p = &m.bus_privates[bus]
    cdef roles_t* roles = <roles_t*> d.address
    if roles != NULL and p.roles != NULL:
        memcpy(roles.sums, p.roles.sums, sizeof(roles.sums))
        roles.talking = p.roles.talking
    p.roles = roles
    m.buses[bus].room = 1
    bus_plan(m, bus)


cdef void apply(media_t* m, const edit_t* d, int64_t now_us) noexcept nogil:
    cdef endpoint_t* e = endpoint_at(m, d.handle & 0xFFFFF)
    if d.kind == EDIT_BUS_OPEN:
        bus_open(m, d.bus, d.a, d.b)
    elif d.kind == EDIT_BUS_CLOSE:
        bus_close(m, d.bus)
    elif d.kind == EDIT_BUS_SPREAD:
        spread(m, d.bus, d, now_us)
    elif d.kind == EDIT_BUS_ROOM:
        room(m, d.bus, d)
    elif d.kind == EDIT_WATCH_KINDS:
        m.watch = <uint32_t> d.a
    elif d.kind == EDIT_FENCE:
        return
    elif e.handle != d.handle or e.kind == KIND_FREE:
        return                      # closed meanwhile: nothing to change
    elif d.kind == EDIT_OPEN:
        m.stats.endpoints_in_use += 1
        open_(m, e, now_us)
    elif d.kind == EDIT_TONE:
        m.stats.endpoints_in_use += 1
        tone(m, e, d, now_us)
    elif d.kind == EDIT_FILE:
        m.stats.endpoints_in_use += 1
        file_open(m, e, d, now_us)
    elif d.kind == EDIT_FILE_SEEK:
        file_seek(m, e, <uint32_t> d.a, <int64_t> d.address)
    elif d.kind == EDIT_FILE_PAUSE:
        file_pause(m, e, d.a)
    elif d.kind == EDIT_FILE_GAIN:
        file_gain(m, e, <float> d.x, <uint32_t> d.a)
    elif d.kind == EDIT_BRIDGE:
        m.stats.endpoints_in_use += 1
        bridge(m, e)
    elif d.kind == EDIT_BRIDGE_FEED:
        bridge_feed(m, e, d)
    elif d.kind == EDIT_SEAT:
        seat_take(m, e, d)
    elif d.kind == EDIT_MEDIA:
        media(m, e, d, now_us)
    elif d.kind == EDIT_REMOTE:
        remote(m, e, d, now_us)
    elif d.kind == EDIT_MUX:
        rx_unpoll_rtcp(m, e)
        e.rtcp_fd = -1
        e.remote_rtcp.port = 0
    elif d.kind == EDIT_CLOSE:
        close(m, e, now_us)
    elif d.kind == EDIT_INJECT:
        key_inject(m, e, d.a, d.b, d.c, now_us)
    elif d.kind == EDIT_WATCH:
        tap_watch(m, e, d)
    elif d.kind == EDIT_SENSITIVE:
        e.flags = e.flags | EP_SENSITIVE if d.a else e.flags & ~<uint32_t> EP_SENSITIVE
    elif d.kind == EDIT_SOURCE_ADD:
        source_add(m, d.bus, e)
    elif d.kind == EDIT_SOURCE_REMOVE:
        source_remove(m, e)
    elif d.kind == EDIT_DESTINATION_ADD:
        destination_add(m, d.bus, e)
    elif d.kind == EDIT_DESTINATION_REMOVE:
        destination_remove(m, e)
    elif d.kind == EDIT_CAPTURE:
        m.capture = <capture_ring_t*> d.address
        e.flags = e.flags | EP_CAPTURED if d.a else e.flags & ~<uint32_t> EP_CAPTURED


cdef bint edits_apply(media_t* m, int64_t now_us) noexcept nogil:
    cdef edit_t* d
    cdef int _n
    for _n in range(EDITS_A_TURN):
        d = <edit_t*> ring_peek(&m.edits)
        if d == NULL:
            return False
        apply(m, d, now_us)
        ring_pop(&m.edits)
        count(m, COUNT_EDITS)
        rt_store_release64(<unsigned long*> &m.stats.edits_applied, m.stats.edits_applied + 1)
    return True
