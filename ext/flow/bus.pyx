"""One sum a bus; a destination hears the sum, less its own voice.  In a room some hear otherwise (seat.pxd).

A small bus reads, sums and sends in one go.  A large one sums once and sends in slices of BUS_SLICE over the following
phases.  A bus that others hear (a spread or a bridged one) publishes its sum before it sends.  A spread one then waits
PARTIAL_WAIT_MS, adds what the other workers published, and sends; for one that was held up it waits until
PARTIAL_WAIT_MAX_MS: a packet a little late is not heard, a missing sum is.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from roomtone.ext.base.types cimport RT_LATE, rt_prefetch_write, rt_unlikely
from roomtone.ext.codec.codec cimport CODEC_COUNT, codec_get
from roomtone.ext.flow.bridge cimport bridges_add
from roomtone.ext.flow.capture cimport capture_own
from roomtone.ext.flow.constants cimport (
    BUS_SLICE,
    BUS_SLICES_MAX,
    CACHE_LINE,
    FRAME_8K,
    FRAME_16K,
    NONE,
    PARTIAL_WAIT_MAX_MS,
    PARTIAL_WAIT_MS,
    PHASE_US,
    PHASES,
)
from roomtone.ext.flow.counters cimport COUNT_MIXED, COUNT_PARTIAL_LATE, COUNT_TICKS
from roomtone.ext.flow.endpoint cimport (
    EP_ARRIVING,
    EP_CAPTURED,
    EP_LISTENS_APART,
    EP_PARTY,
    EP_SOURCE,
    EP_SPEAKS_APART,
    EP_TAKES_NOISE,
    EP_TALKING,
    EP_TICKED,
    KIND_RTP,
    endpoint_index,
    endpoint_t,
    is_hushed,
)
from roomtone.ext.flow.graph cimport (
    HUSHED_OWN,
    bus_private_t,
    bus_t,
    count,
    endpoint_at,
    media_t,
    mix_t,
    partial_t,
    published_t,
    roles_t,
)
from roomtone.ext.flow.key cimport key_from_peers
from roomtone.ext.flow.noise cimport noise_heard
from roomtone.ext.flow.partial cimport partial_add, partial_bridges, partial_close, partial_open, partial_roles
from roomtone.ext.flow.route cimport bus_defer, bus_undefer, source_tick_off
from roomtone.ext.flow.rx_decode cimport source_frame
from roomtone.ext.flow.rx_demux cimport rx_tick
from roomtone.ext.flow.rx_playout cimport playout_prefetch
from roomtone.ext.flow.seat cimport seat_arrived, seat_send, seat_speaks
from roomtone.ext.flow.tap_state cimport tap_t
from roomtone.ext.flow.tx_encode cimport encode_own, encode_shared
from roomtone.ext.flow.tx_packetize cimport tx_mixed, tx_noise_mixed, tx_open


cdef enum:
    RATE_8K = 1
    RATE_16K = 2
    IDLE_READS = 10             # 200 ms without a packet: epoll watches the socket again
    SEND_IDLE = 0
    SEND_WAITING = 1
    SEND_SLICES = 2
    BUS_SLICES_MIN = 4          # of a tick whose sums came late


cdef inline mix_t* mix_of(media_t* m, bus_t* b, uint32_t bus) noexcept nogil:
    """Where the bus keeps its sums: what outlives the tick has its own room."""
    if m.bus_privates[bus].peer_count or b.destination_count > BUS_SLICE:
        return &m.bus_privates[bus].mix
    return &m.mix


cdef inline int64_t tick_ms(const bus_t* b, int64_t tick) noexcept nogil:
    """When a tick of this bus was due, on the grid of phases."""
    return tick * PHASES + b.phase


# -- reading and summing -----------------------------------------------------------------------------------------------

cdef void add(media_t* m, bus_t* b, mix_t* mix, endpoint_t* e) noexcept nogil:
    cdef uint32_t i = e.handle & 0xFFFFF
    if b.rates & RATE_8K:
        m.kernel.mix_add(mix.sum8, m.privates[i].pcm8, FRAME_8K)
    if b.rates & RATE_16K:
        m.kernel.mix_add(mix.sum16, m.privates[i].pcm16, FRAME_16K)
    e.flags |= EP_TALKING
    b.talkers += 1
    if rt_unlikely(is_hushed(e)):
        b.hushed |= HUSHED_OWN


cdef inline void fetch(media_t* m, uint32_t i) noexcept nogil:
    """The lines of an endpoint that reading it touches."""
    cdef endpoint_t* e
    if i != NONE:
        e = endpoint_at(m, i)
        rt_prefetch_write(e)
        rt_prefetch_write(&e.rx_ssrc)
        rt_prefetch_write(&e.play_ts)


cdef void bus_prefetch(media_t* m, uint32_t bus) noexcept nogil:
    cdef char* at = <char*> &m.buses[bus]
    cdef int i
    for i in range(sizeof(bus_t) // CACHE_LINE + 1):
        rt_prefetch_write(at + CACHE_LINE * i)
    rt_prefetch_write(&m.bus_privates[bus].limiter)


cdef void sum_source(media_t* m, bus_t* b, mix_t* mix, endpoint_t* e, int64_t tick) noexcept nogil:
    e.flags &= ~<uint32_t> EP_TALKING
    if source_frame(m, b, e, tick):
        if rt_unlikely(e.flags & (EP_CAPTURED | EP_SPEAKS_APART)):
            if e.flags & EP_SPEAKS_APART and not seat_speaks(m, b, e, tick):
                return
            if e.flags & EP_CAPTURED and e.kind != KIND_RTP:
                capture_own(m, b, e, tick)
        add(m, b, mix, e)


cdef void read_privates(media_t* m, bus_t* b, int64_t tick) noexcept nogil:
    """The frames of sources that are in no sum, for those who hear them (seat.pyx)."""
    cdef endpoint_t* e
    cdef uint32_t i = b.first_private
    while i != NONE:
        e = endpoint_at(m, i)
        i = e.next_ticked
        e.flags &= ~<uint32_t> EP_TALKING
        if source_frame(m, b, e, tick) and not m.privates[endpoint_index(e)].seat.muted:
            e.flags |= EP_TALKING
            if e.flags & EP_CAPTURED:
                capture_own(m, b, e, tick)


cdef void sum_sources(media_t* m, bus_t* b, mix_t* mix, int64_t tick, int64_t now_us) noexcept nogil:
    """Read every source of the tick list and add its frame."""
    cdef endpoint_t* e
    cdef uint32_t i = b.first_ticked
    b.talkers = 0
    b.hushed = 0
    b.rates_summed = b.rates
    if b.rates & RATE_8K:
        memset(mix.sum8, 0, sizeof(mix.sum8))
    if b.rates & RATE_16K:
        memset(mix.sum16, 0, sizeof(mix.sum16))
    m.tick_us = now_us
    while i != NONE:
        e = endpoint_at(m, i)
        i = e.next_ticked
        fetch(m, i)
        if e.kind == KIND_RTP:
            rx_tick(m, e, now_us)
            if e.idle_reads > IDLE_READS and not noise_heard(m, b, e, now_us):
                source_tick_off(m, b, e)
            if not e.flags & EP_TICKED:
                continue
        sum_source(m, b, mix, e, tick)
    if rt_unlikely(b.first_private != NONE):
        read_privates(m, b, tick)
    if rt_unlikely(b.arriving):
        seat_arrived(m, b)
    m.tick_us = 0
    if b.relay_codec:
        # A relayed source that someone hears transcoded is not on the tick list: epoll reads it.
        i = b.first_source
        while i != NONE:
            e = endpoint_at(m, i)
            i = e.next_source
            sum_source(m, b, mix, e, tick)


cdef inline void watch_fetch(media_t* m, uint32_t i) noexcept nogil:
    """The lines of an endpoint that watching it touches, its playout line apart."""
    cdef char* tap = <char*> (m.taps + i)
    cdef size_t k
    if i == NONE:
        return
    fetch(m, i)
    for k in range(sizeof(tap_t) // CACHE_LINE + 1):
        rt_prefetch_write(tap + k * CACHE_LINE)


cdef void watch_sources(media_t* m, bus_t* b, int64_t tick) noexcept nogil:
    """The tick of a bus that only relays: the frames of watched sources, for the tap."""
    cdef endpoint_t* e
    cdef uint32_t i
    if b.next_in_phase != NONE:
        watch_fetch(m, m.buses[b.next_in_phase].first_source)
    i = b.first_source
    while i != NONE:
        e = endpoint_at(m, i)
        i = e.next_source
        if e.flags & m.watch:
            playout_prefetch(m, e)
            watch_fetch(m, i)
    i = b.first_source
    while i != NONE:
        e = endpoint_at(m, i)
        i = e.next_source
        if e.flags & m.watch:
            source_frame(m, b, e, tick)


# -- sending -----------------------------------------------------------------------------------------------------------

cdef inline void fetch_out(media_t* m, uint32_t i) noexcept nogil:
    if i != NONE:
        rt_prefetch_write(endpoint_at(m, i))
        rt_prefetch_write(&endpoint_at(m, i).tx_ssrc)


cdef inline bint sits_apart(const bus_t* b, const endpoint_t* d) noexcept nogil:
    if d.flags & (EP_LISTENS_APART | EP_ARRIVING | EP_PARTY) == EP_PARTY:
        return b.first_private != NONE
    return True


cdef void send_one(media_t* m, bus_t* b, bus_private_t* p, mix_t* mix, endpoint_t* d, int codec, int64_t tick,
                   int64_t now_us) noexcept nogil:
    cdef int n
    if p.peer_count == 0 and b.source_count == ((d.flags & EP_SOURCE) != 0) and not b.room:
        return                              # it would hear nobody: it gets nothing
    if d.tx_tick_low == <uint32_t> tick and d.tx_source == 0 and d.tx_started:
        return                              # it came from another bus or codec, and has had its packet of this tick
    if not tx_open(m, d, now_us):
        return
    count(m, COUNT_MIXED)
    if d.flags & (EP_TALKING | EP_LISTENS_APART | EP_ARRIVING | EP_PARTY | EP_TAKES_NOISE):
        if d.flags & (EP_LISTENS_APART | EP_ARRIVING | EP_PARTY) and sits_apart(b, d):
            seat_send(m, b, p, mix, d, tick, now_us)
            return
        if d.flags & EP_TAKES_NOISE and b.talkers == ((d.flags & EP_TALKING) != 0):
            tx_noise_mixed(m, d, tick, now_us)      # nobody else has a frame, nor had one within the hangover
            return
        if d.flags & EP_TALKING:
            n = encode_own(m, mix, d)
            tx_mixed(m, d, tick, m.own.data, n, now_us)
            return
    n = encode_shared(m, p, mix, codec)
    tx_mixed(m, d, tick, mix.shared[codec].data, n, now_us)


cdef bint mixed_codec(bus_t* b, int codec) noexcept nogil:
    return b.destinations[codec] != 0 and codec != <int> b.relay_codec


cdef void send_all(media_t* m, uint32_t bus, int64_t tick, int64_t now_us) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    cdef bus_private_t* p = &m.bus_privates[bus]
    cdef mix_t* mix = mix_of(m, b, bus)
    cdef endpoint_t* d
    cdef uint32_t i
    cdef int codec
    for codec in range(1, CODEC_COUNT):
        if not mixed_codec(b, codec):
            continue
        i = b.destination_first[codec]
        while i != NONE:
            d = endpoint_at(m, i)
            i = d.next_destination
            fetch_out(m, i)
            send_one(m, b, p, mix, d, codec, tick, now_us)


cdef uint32_t rate_of(int codec) noexcept nogil:
    return RATE_16K if codec_get(codec).sample_rate_hz == 16000 else RATE_8K


cdef bint next_codec(bus_t* b) noexcept nogil:
    """Set the send cursor to the first destination of the next codec that is mixed; False: all are served."""
    while b.send_codec + 1 < CODEC_COUNT:
        b.send_codec += 1
        if mixed_codec(b, b.send_codec) and b.rates_summed & rate_of(b.send_codec):
            b.send_next = b.destination_first[b.send_codec]
            return True
    return False


cdef void send_slice(media_t* m, uint32_t bus, uint32_t quota, int64_t now_us) noexcept nogil:
    """Up to quota destinations from the cursor on; at the end the bus is idle again."""
    cdef bus_t* b = &m.buses[bus]
    cdef bus_private_t* p = &m.bus_privates[bus]
    cdef endpoint_t* d
    while quota:
        if b.send_next == NONE:
            if not next_codec(b):
                bus_undefer(m, bus)
                return
            continue
        d = endpoint_at(m, b.send_next)
        b.send_next = d.next_destination
        fetch_out(m, b.send_next)
        send_one(m, b, p, &p.mix, d, b.send_codec, b.send_tick, now_us)
        quota -= 1


cdef void send_begin(media_t* m, uint32_t bus, int64_t now_us) noexcept nogil:
    """Slices as large as it takes to be over before the next tick; the later, the fewer."""
    cdef bus_t* b = &m.buses[bus]
    cdef int64_t slices = tick_ms(b, b.send_tick) + PARTIAL_WAIT_MS + BUS_SLICES_MAX - now_us // PHASE_US
    slices = min(max(slices, <int64_t> BUS_SLICES_MIN), <int64_t> BUS_SLICES_MAX)
    b.sending = SEND_SLICES
    b.send_codec = 0
    b.send_next = NONE
    b.send_quota = <uint32_t> ((b.destination_count + slices - 1) // slices)
    if b.send_quota < BUS_SLICE:
        b.send_quota = BUS_SLICE


# -- spread ------------------------------------------------------------------------------------------------------------

cdef void sum_publish(media_t* m, bus_t* b, mix_t* mix, const roles_t* roles, int64_t tick) noexcept nogil:
    """Add the bridges; what is published keeps them apart from the bus's own sources."""
    cdef partial_t* out
    cdef uint32_t bridged = 0
    if b.partial_slot < 0:
        if rt_unlikely(b.bridge_count != 0):
            b.talkers += bridges_add(m, b, mix, tick)
        return
    out = partial_open(m, b, mix, tick)
    if b.bridge_count:
        bridged = bridges_add(m, b, mix, tick)
    if bridged:
        partial_bridges(out, mix, bridged)
    if rt_unlikely(roles != NULL):
        partial_roles(m, out, b, roles, tick)
    partial_close(out, b, tick)
    b.talkers += bridged


cdef bint partials_collect(media_t* m, uint32_t bus, int64_t now_us) noexcept nogil:
    """Add what the other workers have published of this tick.  True: that is all, or was waited for long enough."""
    cdef bus_t* b = &m.buses[bus]
    cdef bus_private_t* p = &m.bus_privates[bus]
    cdef const published_t* theirs
    cdef uint32_t i
    cdef uint32_t missing = 0
    cdef int found
    for i in range(p.peer_count):
        if p.added >> i & 1:
            continue
        theirs = <published_t*> p.peers[i]
        found = partial_add(m, p.mix.sum8, p.mix.sum16, theirs, b.send_tick, True, &b.hushed, p.roles)
        if found == RT_LATE:
            missing += 1
        else:
            b.talkers += <uint32_t> found
            p.added |= <uint64_t> 1 << i
    if missing == 0:
        return True
    if now_us < p.give_up_us:
        return False
    m.stats.counters[<int> COUNT_PARTIAL_LATE] += missing
    return True


cdef void partials_await(media_t* m, uint32_t bus, int64_t tick, int64_t now_us) noexcept nogil:
    """The sum so far is published: look for the others' from PARTIAL_WAIT_MS after the phase on."""
    cdef bus_t* b = &m.buses[bus]
    cdef bus_private_t* p = &m.bus_privates[bus]
    b.sending = SEND_WAITING
    b.send_tick = tick
    b.send_ms = tick_ms(b, tick) + PARTIAL_WAIT_MS
    # One that is late itself leaves the others, who may have been held up with it, the usual time from now on.
    p.give_up_us = (tick_ms(b, tick) + PARTIAL_WAIT_MAX_MS) * PHASE_US
    if p.give_up_us < now_us + PARTIAL_WAIT_MS * PHASE_US:
        p.give_up_us = now_us + PARTIAL_WAIT_MS * PHASE_US
    p.added = 0
    bus_defer(m, bus)


cdef void bus_settle(media_t* m, uint32_t bus, int64_t now_us) noexcept nogil:
    """Before the peers of a bus change: what waits for them waits no longer."""
    cdef bus_private_t* p = &m.bus_privates[bus]
    if m.buses[bus].sending == SEND_WAITING:
        p.give_up_us = now_us
        partials_collect(m, bus, now_us)
        send_begin(m, bus, now_us)


# -- the tick ----------------------------------------------------------------------------------------------------------

cdef void bus_tick(media_t* m, uint32_t bus, int64_t tick, int64_t now_us) noexcept nogil:
    cdef bus_t* b = &m.buses[bus]
    cdef bus_private_t* p = &m.bus_privates[bus]
    cdef mix_t* mix
    cdef int codec
    if b.sending:
        bus_settle(m, bus, now_us)
        send_slice(m, bus, NONE, now_us)        # the last tick's rest, before its sums go
        bus_undefer(m, bus)
    count(m, COUNT_TICKS)
    if b.relay_codec and not b.mixes:
        watch_sources(m, b, tick)
        return
    if p.peer_count:
        key_from_peers(m, bus, now_us)
    mix = mix_of(m, b, bus)
    if rt_unlikely(p.roles != NULL):
        p.roles.talking = 0
        memset(p.roles.talkers, 0, sizeof(p.roles.talkers))
    sum_sources(m, b, mix, tick, now_us)
    if b.next_in_phase != NONE:
        fetch(m, m.buses[b.next_in_phase].first_ticked)
    b.tick_low = <uint32_t> tick
    for codec in range(CODEC_COUNT):
        mix.shared_bytes[codec] = 0
    sum_publish(m, b, mix, p.roles, tick)
    if p.peer_count:
        partials_await(m, bus, tick, now_us)
    elif b.destination_count > BUS_SLICE:
        b.send_tick = tick
        send_begin(m, bus, now_us)
        bus_defer(m, bus)
        send_slice(m, bus, b.send_quota, now_us)
    else:
        send_all(m, bus, tick, now_us)


cdef void bus_deferred(media_t* m, int64_t now_ms, int64_t now_us) noexcept nogil:
    cdef uint32_t i = m.deferred_first
    cdef uint32_t next_bus
    while i != NONE:
        next_bus = m.buses[i].next_deferred
        if m.buses[i].sending == SEND_WAITING and now_ms >= m.buses[i].send_ms and partials_collect(m, i, now_us):
            send_begin(m, i, now_us)
        if m.buses[i].sending == SEND_SLICES:
            send_slice(m, i, m.buses[i].send_quota, now_us)
        i = next_bus
