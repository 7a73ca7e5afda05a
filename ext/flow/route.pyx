"""Lists and the plan of a bus."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from roomtone.ext.codec.codec cimport CODEC_COUNT, codec_get
from roomtone.ext.dsp.limiter cimport limiter_reset
from roomtone.ext.flow.bridge cimport bridge_off, bridge_on
from roomtone.ext.flow.constants cimport NONE, PHASE_US
from roomtone.ext.flow.endpoint cimport (
    EP_ARRIVING,
    EP_DESTINATION,
    EP_LISTENS_APART,
    EP_ODD_PTIME,
    EP_PARTY,
    EP_PRIVATE,
    EP_SOURCE,
    EP_SPEAKS_APART,
    EP_TALKING,
    EP_TICKED,
    EP_WATCHED,
    KIND_BRIDGE,
    KIND_RTP,
    endpoint_index,
    endpoint_t,
    is_made,
)
from roomtone.ext.flow.graph cimport bus_private_t, bus_t, endpoint_at, media_t, seat_t, ticked_in, ticked_out
from roomtone.ext.flow.rx_playout cimport playout_rephase, playout_reset
from roomtone.ext.flow.rx_socket cimport rx_poll_rtp, rx_stamp, rx_unpoll_rtp


cdef enum:
    RATE_8K = 1
    RATE_16K = 2


cdef void bus_open(media_t* m, uint32_t bus, uint32_t phase, uint32_t key_relay_limit) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    cdef bus_private_t* p = &m.bus_privates[bus]
    cdef uint32_t in_use = b.in_use
    cdef int i
    if b.source_count or b.destination_count:
        bus_close(m, bus)                   # opened again without having been closed
    memset(b, 0, sizeof(bus_t))
    b.in_use = in_use
    b.phase = phase % 20
    b.key_relay_limit = key_relay_limit
    b.first_source = NONE
    b.first_ticked = NONE
    b.first_bridge = NONE
    b.first_private = NONE
    b.partial_slot = -1
    b.next_in_phase = b.prev_in_phase = NONE
    b.next_deferred = b.prev_deferred = NONE
    b.send_next = NONE
    for i in range(CODEC_COUNT):
        b.destination_first[i] = NONE
        b.destination_last[i] = NONE
        limiter_reset(&p.limiter[i])
    p.peers = NULL
    p.peer_count = 0
    p.roles = NULL


cdef void bus_close(media_t* m, uint32_t bus) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    cdef int codec
    while b.first_source != NONE:
        source_remove(m, endpoint_at(m, b.first_source))
    for codec in range(CODEC_COUNT):
        while b.destination_first[codec] != NONE:
            destination_remove(m, endpoint_at(m, b.destination_first[codec]))
    bus_undefer(m, bus)
    b.partial_slot = -1
    m.bus_privates[bus].peer_count = 0
    m.bus_privates[bus].roles = NULL
    bus_plan(m, bus)


cdef bint elsewhere(uint32_t bus, endpoint_t* e) noexcept nogil:
    """An endpoint is on one bus at a time: it leaves the old one before it joins another."""
    return e.flags & (EP_SOURCE | EP_DESTINATION) and e.bus != bus


cdef void joined(bus_t* b, endpoint_t* e) noexcept nogil:
    if not e.flags & (EP_SOURCE | EP_DESTINATION) and e.kind == KIND_RTP:
        b.rtp_count += 1


cdef void left(bus_t* b, endpoint_t* e) noexcept nogil:
    if not e.flags & (EP_SOURCE | EP_DESTINATION):
        if e.kind == KIND_RTP:
            b.rtp_count -= 1
        e.bus = NONE


cdef inline bint speaks_apart(const seat_t* seat) noexcept nogil:
    return seat.role != 0 or seat.muted or seat.was_muted


cdef inline uint32_t listening(const seat_t* seat) noexcept nogil:
    return (EP_LISTENS_APART if seat.deaf_to else 0) | (EP_PARTY if seat.party else 0)


cdef void made_on(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil:
    if m.privates[endpoint_index(e)].seat.party == 0:
        source_tick_on(m, b, e)
        return
    e.flags |= EP_PRIVATE
    ticked_in(m, &b.first_private, e)


cdef void source_add(media_t* m, uint32_t bus, endpoint_t* e) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    if e.flags & EP_SOURCE or elsewhere(bus, e):
        return
    joined(b, e)
    e.bus = bus
    e.flags |= EP_SOURCE
    e.prev_source = NONE
    e.next_source = b.first_source
    if b.first_source != NONE:
        endpoint_at(m, b.first_source).prev_source = endpoint_index(e)
    b.first_source = endpoint_index(e)
    b.source_count += 1
    if e.flags & EP_DESTINATION:
        b.listener_count -= 1
    b.watched_count += (e.flags & EP_WATCHED) != 0
    playout_reset(e)
    if speaks_apart(&m.privates[endpoint_index(e)].seat):
        e.flags |= EP_SPEAKS_APART
    if e.flags & EP_ARRIVING:
        b.arriving = 1
    if is_made(e):
        b.made_count += 1
        made_on(m, b, e)
    elif e.kind == KIND_BRIDGE:
        bridge_on(m, b, e)
    bus_plan(m, bus)


cdef void source_remove(media_t* m, endpoint_t* e) noexcept nogil:
    cdef bus_t* b
    if not e.flags & EP_SOURCE:
        return
    b = &m.buses[e.bus]
    source_tick_off(m, b, e)
    if e.flags & EP_PRIVATE:
        ticked_out(m, &b.first_private, e)
    if e.prev_source != NONE:
        endpoint_at(m, e.prev_source).next_source = e.next_source
    else:
        b.first_source = e.next_source
    if e.next_source != NONE:
        endpoint_at(m, e.next_source).prev_source = e.prev_source
    b.source_count -= 1
    if is_made(e):
        b.made_count -= 1
    elif e.kind == KIND_BRIDGE:
        bridge_off(m, b, e)
    b.watched_count -= (e.flags & EP_WATCHED) != 0
    e.flags &= ~<uint32_t> (EP_SOURCE | EP_TALKING | EP_SPEAKS_APART | EP_PRIVATE)
    if e.flags & EP_DESTINATION:
        b.listener_count += 1
    cdef uint32_t bus = e.bus
    left(b, e)
    bus_plan(m, bus)


cdef void source_watch(media_t* m, endpoint_t* e, uint32_t watched) noexcept nogil:
    cdef int change = (watched != 0) - ((e.flags & EP_WATCHED) != 0)
    e.flags = e.flags & ~<uint32_t> EP_WATCHED | watched
    if change and e.flags & EP_SOURCE:
        m.buses[e.bus].watched_count += change
        bus_plan(m, e.bus)


cdef void destination_add(media_t* m, uint32_t bus, endpoint_t* e) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    cdef int codec = e.tx_codec
    if e.flags & EP_DESTINATION or elsewhere(bus, e):
        return
    joined(b, e)
    e.bus = bus
    e.flags |= EP_DESTINATION
    e.next_destination = NONE
    e.prev_destination = b.destination_last[codec]
    if b.destination_last[codec] != NONE:
        endpoint_at(m, b.destination_last[codec]).next_destination = endpoint_index(e)
    else:
        b.destination_first[codec] = endpoint_index(e)
    b.destination_last[codec] = endpoint_index(e)
    b.destinations[codec] += 1
    b.destination_count += 1
    if not e.flags & EP_SOURCE:
        b.listener_count += 1
    e.flags |= listening(&m.privates[endpoint_index(e)].seat)
    limiter_reset(&m.privates[endpoint_index(e)].limiter8)
    limiter_reset(&m.privates[endpoint_index(e)].limiter16)
    bus_plan(m, bus)


cdef void destination_remove(media_t* m, endpoint_t* e) noexcept nogil:
    cdef bus_t* b
    cdef int codec = e.tx_codec
    if not e.flags & EP_DESTINATION:
        return
    b = &m.buses[e.bus]
    if b.sending and b.send_next == endpoint_index(e):
        b.send_next = e.next_destination
    if e.prev_destination != NONE:
        endpoint_at(m, e.prev_destination).next_destination = e.next_destination
    else:
        b.destination_first[codec] = e.next_destination
    if e.next_destination != NONE:
        endpoint_at(m, e.next_destination).prev_destination = e.prev_destination
    else:
        b.destination_last[codec] = e.prev_destination
    b.destinations[codec] -= 1
    b.destination_count -= 1
    e.flags &= ~<uint32_t> (EP_DESTINATION | EP_LISTENS_APART | EP_PARTY)
    if e.flags & EP_ARRIVING:
        b.arriving = 1
    if not e.flags & EP_SOURCE:
        b.listener_count -= 1
    cdef uint32_t bus = e.bus
    left(b, e)
    bus_plan(m, bus)


cdef uint32_t relay_codec_of(media_t* m, bus_t* b) noexcept nogil:
    cdef endpoint_t* first
    cdef endpoint_t* second
    if b.room or b.partial_slot >= 0 or b.made_count or b.bridge_count or b.source_count == 0 or b.source_count > 2:
        return 0
    first = endpoint_at(m, b.first_source)
    if first.rx_codec == 0 or first.flags & EP_ODD_PTIME:
        return 0
    if b.source_count == 1:
        return first.rx_codec
    second = endpoint_at(m, first.next_source)
    if b.listener_count or second.flags & EP_ODD_PTIME:
        return 0
    # Each hears only the other; one that has not been heard yet is taken at what it will hear.
    if second.rx_codec == first.rx_codec and first.tx_codec == second.rx_codec == second.tx_codec:
        return first.rx_codec
    return 0


cdef void link_phase(media_t* m, uint32_t bus, bint on) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    if on and not b.linked:
        if m.phases_used == 0 and m.deferred_first == NONE:
            m.next_ms = m.now_us // PHASE_US + 1        # idle until now: nothing was missed
        b.prev_in_phase = NONE
        b.next_in_phase = m.phase_first[b.phase]
        if b.next_in_phase != NONE:
            m.buses[b.next_in_phase].prev_in_phase = bus
        m.phase_first[b.phase] = bus
        m.phase_buses[b.phase] += 1
        m.phases_used |= <uint32_t> 1 << b.phase
    elif not on and b.linked:
        if b.prev_in_phase != NONE:
            m.buses[b.prev_in_phase].next_in_phase = b.next_in_phase
        else:
            m.phase_first[b.phase] = b.next_in_phase
        if b.next_in_phase != NONE:
            m.buses[b.next_in_phase].prev_in_phase = b.prev_in_phase
        m.phase_buses[b.phase] -= 1
        if m.phase_buses[b.phase] == 0:
            m.phases_used &= ~(<uint32_t> 1 << b.phase)
    b.linked = on


cdef void bus_plan(media_t* m, uint32_t bus) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    cdef int codec
    cdef bint mixes = False
    cdef bint was_relayed = b.relay_codec != 0
    cdef uint32_t i
    b.relay_codec = relay_codec_of(m, b)
    if was_relayed and not b.relay_codec:
        # From now on only ticked sources are summed; what these said last is no part of any sum to come.
        i = b.first_source
        while i != NONE:
            endpoint_at(m, i).flags &= ~<uint32_t> EP_TALKING
            i = endpoint_at(m, i).next_source
    b.rates = 0
    for codec in range(1, CODEC_COUNT):
        if b.destinations[codec]:
            b.rates |= RATE_16K if codec_get(codec).sample_rate_hz == 16000 else RATE_8K
            if codec != <int> b.relay_codec:
                mixes = True
    if b.partial_slot >= 0:
        b.rates = RATE_8K | RATE_16K        # who reads it may hear either
        mixes = True
    elif b.room:
        mixes = b.source_count or b.destination_count
    elif b.source_count == 0:
        mixes = False
    if b.relay_codec and b.source_count == 2:
        mixes = False
    b.mixes = mixes
    link_phase(m, bus, mixes or b.made_count > 0 or b.watched_count > 0)
    # Sources left on the tick list of a bus that relays, or has nothing to do, go back to epoll on the way out.
    if not b.linked or b.relay_codec:
        while b.first_ticked != NONE and endpoint_at(m, b.first_ticked).kind == KIND_RTP:
            source_poll(m, b, endpoint_at(m, b.first_ticked))


cdef void source_tick_on(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil:
    if e.flags & EP_TICKED:
        return
    if e.kind == KIND_RTP:
        rx_unpoll_rtp(m, e)
        rx_stamp(e)
    e.flags |= EP_TICKED
    e.idle_reads = 0
    ticked_in(m, &b.first_ticked, e)


cdef void tick_unlink(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil:
    ticked_out(m, &b.first_ticked, e)
    e.flags &= ~<uint32_t> (EP_TICKED | EP_TALKING)


cdef void source_tick_off(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil:
    if not e.flags & EP_TICKED:
        return
    tick_unlink(m, b, e)
    if e.kind == KIND_RTP:
        playout_reset(e)
        rx_poll_rtp(m, e)


cdef void source_poll(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil:
    """Read by epoll from now on; of one who is watched the line goes on, so that its detectors miss nothing."""
    if not e.flags & EP_WATCHED:
        source_tick_off(m, b, e)
        return
    tick_unlink(m, b, e)
    rx_poll_rtp(m, e)


cdef void move(media_t* m, uint32_t bus, endpoint_t* e) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    cdef bint speaks = (e.flags & EP_SOURCE) != 0
    cdef bint listens = (e.flags & EP_DESTINATION) != 0
    cdef bint ticked = (e.flags & EP_TICKED) != 0 and e.kind == KIND_RTP
    cdef unsigned short playing = e.playing
    cdef uint8_t noise = e.noise
    cdef uint32_t was
    if not (speaks or listens):
        return
    was = m.buses[e.bus].phase
    if ticked:
        tick_unlink(m, &m.buses[e.bus], e)
    source_remove(m, e)
    destination_remove(m, e)
    if listens:
        destination_add(m, bus, e)
    if speaks:
        source_add(m, bus, e)
    if speaks and b.linked:                 # its line is played there too, or read by its detectors
        e.playing = playing
        e.noise = noise
        playout_rephase(m, e, was, b.phase)
    if ticked and b.linked and not b.relay_codec:
        source_tick_on(m, b, e)
    elif ticked:
        rx_poll_rtp(m, e)


cdef void bus_seat(media_t* m, uint32_t bus, endpoint_t* e) noexcept nogil:
    cdef seat_t* seat = &m.privates[endpoint_index(e)].seat
    if e.bus != bus:
        move(m, bus, e)
    elif is_made(e) and (e.flags & EP_PRIVATE != 0) != (seat.party != 0):
        source_remove(m, e)
        source_add(m, bus, e)
    else:
        if e.flags & EP_SOURCE:
            e.flags |= EP_SPEAKS_APART      # until its next frame has been added as the seat says
        e.flags &= ~<uint32_t> (EP_LISTENS_APART | EP_PARTY)
        if e.flags & EP_DESTINATION:
            e.flags |= listening(seat)


cdef void bus_defer(media_t* m, uint32_t bus) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    b.prev_deferred = NONE
    b.next_deferred = m.deferred_first
    if b.next_deferred != NONE:
        m.buses[b.next_deferred].prev_deferred = bus
    m.deferred_first = bus


cdef void bus_undefer(media_t* m, uint32_t bus) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    if not b.sending:
        return
    b.sending = 0
    if b.prev_deferred != NONE:
        m.buses[b.prev_deferred].next_deferred = b.next_deferred
    else:
        m.deferred_first = b.next_deferred
    if b.next_deferred != NONE:
        m.buses[b.next_deferred].prev_deferred = b.prev_deferred
