"""Seats: taken between ticks, looked at on the tick."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from roomtone.ext.base.types cimport rt_unlikely
from roomtone.ext.codec.codec cimport codec_get
from roomtone.ext.dsp.limiter cimport limiter_reset
from roomtone.ext.flow.constants cimport FRAME_8K, FRAME_16K, GROUPS, NONE, ROLES
from roomtone.ext.flow.endpoint cimport (
    EP_ARRIVING,
    EP_DESTINATION,
    EP_SOURCE,
    EP_SPEAKS_APART,
    EP_TAKES_NOISE,
    EP_TALKING,
    endpoint_index,
    endpoint_t,
)
from roomtone.ext.flow.fact cimport fact_put
from roomtone.ext.flow.graph cimport (
    bus_private_t,
    bus_t,
    endpoint_at,
    endpoint_private_t,
    group_t,
    media_t,
    mix_t,
    roles_t,
    seat_t,
    sum_t,
)
from roomtone.ext.flow.handover cimport FACT_SEATED_, edit_t
from roomtone.ext.flow.route cimport bus_seat
from roomtone.ext.flow.tx_encode cimport encode_own, encode_shared, encode_sum
from roomtone.ext.flow.tx_packetize cimport tx_mixed, tx_noise_mixed


cdef enum:
    RATE_8K = 1
    RATE_16K = 2
    FADE_8K = 40                # 5 ms
    FADE_16K = 80
    ALL_ROLES = 0xFF


# -- sitting down ------------------------------------------------------------------------------------------------------

cdef void told(media_t* m, endpoint_t* e) noexcept nogil:
    e.flags &= ~<uint32_t> EP_ARRIVING
    fact_put(m, FACT_SEATED_, e.handle, m.privates[endpoint_index(e)].seat.arrival, 0)


cdef void seat_take(media_t* m, endpoint_t* e, const edit_t* d) noexcept nogil:
    """a: role | hears << 8 | muted << 16, b: number of its coming, until that is told; 0: it is here.  address: party."""
    cdef seat_t* seat = &m.privates[endpoint_index(e)].seat
    cdef bint muted = d.a >> 16 & 1
    cdef uint32_t coming = m.buses[d.bus].tick_low + 1
    if e.bus != d.bus:
        seat.was_muted = muted              # nobody has heard it here: there is nothing to fade
    elif muted != seat.muted:
        if seat.turned_tick != coming:
            seat.was_muted = seat.muted
        seat.turned_tick = coming
    seat.muted = muted
    seat.role = <uint8_t> (d.a & ROLES - 1)
    if e.bus != d.bus or not e.flags & EP_TALKING:
        seat.spoke = seat.role
    seat.deaf_to = <uint8_t> ~(d.a >> 8 & ALL_ROLES)
    seat.party = <uint32_t> d.address
    seat.arrival = d.b
    e.flags &= ~<uint32_t> EP_ARRIVING
    if d.b:
        e.flags |= EP_ARRIVING
    bus_seat(m, d.bus, e)
    if d.b and not e.flags & (EP_SOURCE | EP_DESTINATION) and e.tx_codec:
        told(m, e)                          # on hold: it is neither asked nor sent anything


cdef void seat_arrived(media_t* m, bus_t* b) noexcept nogil:
    cdef endpoint_t* e
    cdef uint32_t i = b.first_source
    b.arriving = 0
    while i != NONE:
        e = endpoint_at(m, i)
        i = e.next_source
        if e.flags & (EP_ARRIVING | EP_DESTINATION) == EP_ARRIVING:
            told(m, e)


# -- speaking ----------------------------------------------------------------------------------------------------------

cdef void fade(media_t* m, const bus_t* b, endpoint_private_t* p, bint into_silence) noexcept nogil:
    cdef float begin = 1 if into_silence else 0
    m.kernel.gain_ramp(p.pcm8, FADE_8K, begin, 1 - begin)
    if into_silence:
        memset(p.pcm8 + FADE_8K, 0, 2 * (FRAME_8K - FADE_8K))
    if b.rates & RATE_16K:
        m.kernel.gain_ramp(p.pcm16, FADE_16K, begin, 1 - begin)
        if into_silence:
            memset(p.pcm16 + FADE_16K, 0, 2 * (FRAME_16K - FADE_16K))


cdef void role_add(media_t* m, const bus_t* b, roles_t* roles, const endpoint_private_t* p, int role) noexcept nogil:
    cdef sum_t* total = &roles.sums[role]
    if not roles.talking >> role & 1:
        roles.talking |= <uint32_t> 1 << role
        memset(total, 0, sizeof(sum_t))
    roles.talkers[role] += 1
    if b.rates & RATE_8K:
        m.kernel.mix_add(total.sum8, p.pcm8, FRAME_8K)
    if b.rates & RATE_16K:
        m.kernel.mix_add(total.sum16, p.pcm16, FRAME_16K)


cdef bint seat_speaks(media_t* m, const bus_t* b, endpoint_t* e, int64_t tick) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    cdef seat_t* seat = &p.seat
    cdef roles_t* roles = m.bus_privates[e.bus].roles
    if rt_unlikely(seat.was_muted != seat.muted):
        seat.was_muted = seat.muted
        if seat.turned_tick == <uint32_t> tick:
            fade(m, b, p, seat.muted)
        elif seat.muted:
            return False
    elif seat.muted:
        return False
    seat.spoke = seat.role
    if seat.role == 0:
        if not seat.muted:
            e.flags &= ~<uint32_t> EP_SPEAKS_APART      # as everybody else from now on
    elif roles != NULL:
        role_add(m, b, roles, p, seat.role)
    return True


# -- hearing -----------------------------------------------------------------------------------------------------------

cdef uint32_t next_private(media_t* m, uint32_t i, uint32_t party) noexcept nogil:
    """From i on, the first that plays in this tick for that party."""
    while i != NONE:
        if endpoint_at(m, i).flags & EP_TALKING and m.privates[i].seat.party == party:
            return i
        i = endpoint_at(m, i).next_ticked
    return NONE


cdef inline int32_t* at_rate(sum_t* sums, bint wide) noexcept nogil:
    return &sums.sum16[0] if wide else &sums.sum8[0]


cdef void less(int32_t* total, const int32_t* part, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        total[i] -= part[i]


cdef void sum_heard(media_t* m, roles_t* roles, mix_t* mix, uint32_t hears, bint wide) noexcept nogil:
    """What these roles say, into m.sum_own."""
    cdef int n = FRAME_16K if wide else FRAME_8K
    cdef int role
    if hears & 1:
        memcpy(m.sum_own, &mix.sum16[0] if wide else &mix.sum8[0], n * sizeof(int32_t))
    else:
        memset(m.sum_own, 0, n * sizeof(int32_t))
    if roles == NULL:
        return
    for role in range(1, ROLES):
        if not roles.talking >> role & 1 or (hears ^ hears >> role) & 1 == 0:
            continue                        # it is in the sum and heard, or neither
        if hears & 1:
            less(m.sum_own, at_rate(&roles.sums[role], wide), n)
        else:
            m.kernel.mix_add32(m.sum_own, at_rate(&roles.sums[role], wide), n)


cdef uint32_t talkers_heard(const bus_t* b, const roles_t* roles, uint32_t hears) noexcept nogil:
    """Of those whose frames are in the bus's sum, itself among them."""
    cdef uint32_t heard = b.talkers if hears & 1 else 0
    cdef int role
    if roles == NULL:
        return heard
    for role in range(1, ROLES):
        if hears & 1 and not hears >> role & 1:
            heard -= roles.talkers[role]
        elif not hears & 1 and hears >> role & 1:
            heard += roles.talkers[role]
    return heard


cdef group_t* group_of(roles_t* roles, uint32_t key, uint32_t tick) noexcept nogil:
    """That of this key, or the one longest unused in its stead; NULL: all are in use."""
    cdef group_t* found = &roles.groups[0]
    cdef int i
    for i in range(GROUPS):
        if roles.groups[i].key == key:
            return &roles.groups[i]
        if <int32_t> (roles.groups[i].tick_low - found.tick_low) < 0:
            found = &roles.groups[i]
    if found.key and found.tick_low == tick:
        return NULL
    limiter_reset(&found.limiter)
    found.key = key
    found.tick_low = tick - 1
    return found


cdef int encode_apart(media_t* m, const bus_t* b, bus_private_t* p, mix_t* mix, endpoint_t* d, int64_t tick,
                      uint8_t** packet) noexcept nogil:
    """Payload bytes of what it hears; packet: where they are, with room for the header in front.  0: nothing, and it takes
    comfort noise."""
    cdef endpoint_private_t* own = &m.privates[endpoint_index(d)]
    cdef bint wide = codec_get(d.tx_codec).sample_rate_hz == 16000
    cdef int n = FRAME_16K if wide else FRAME_8K
    cdef uint32_t hears = ALL_ROLES & ~<uint32_t> own.seat.deaf_to
    cdef uint32_t talking = p.roles.talking if p.roles != NULL else 0
    cdef uint32_t played = next_private(m, b.first_private, own.seat.party) if own.seat.party else <uint32_t> NONE
    cdef bint talks
    cdef group_t* group
    if p.roles == NULL and hears:
        hears = ALL_ROLES
    talks = d.flags & EP_TALKING and hears >> own.seat.spoke & 1
    if d.flags & EP_TAKES_NOISE and played == NONE and talkers_heard(b, p.roles, hears) == talks:
        return 0
    if played == NONE and hears & 1 and talking & ~hears == 0:
        if d.flags & EP_TALKING:
            packet[0] = m.own.data
            return encode_own(m, mix, d)
        packet[0] = mix.shared[d.tx_codec].data
        return encode_shared(m, p, mix, d.tx_codec)
    if played == NONE and not talks and p.roles != NULL:
        group = group_of(p.roles, <uint32_t> d.tx_codec << 8 | hears, <uint32_t> tick)
        if group != NULL:
            packet[0] = group.packet.data
            if group.tick_low != <uint32_t> tick:
                sum_heard(m, p.roles, mix, hears, wide)
                group.bytes = encode_sum(m, d.tx_codec, &group.limiter, m.sum_own, group.packet.data)
                group.tick_low = <uint32_t> tick
            return group.bytes
    sum_heard(m, p.roles, mix, hears, wide)
    if talks:
        m.kernel.mix_minus(m.sum_own, m.sum_own, &own.pcm16[0] if wide else &own.pcm8[0], n)
    while played != NONE:
        m.kernel.mix_add(m.sum_own, &m.privates[played].pcm16[0] if wide else &m.privates[played].pcm8[0], n)
        played = next_private(m, endpoint_at(m, played).next_ticked, own.seat.party)
    packet[0] = m.own.data
    return encode_sum(m, d.tx_codec, &own.limiter16 if wide else &own.limiter8, m.sum_own, m.own.data)


cdef void seat_send(media_t* m, const bus_t* b, bus_private_t* p, mix_t* mix, endpoint_t* d, int64_t tick,
                    int64_t now_us) noexcept nogil:
    cdef uint8_t* packet
    cdef int n = encode_apart(m, b, p, mix, d, tick, &packet)
    if n:
        tx_mixed(m, d, tick, packet, n, now_us)
    else:
        tx_noise_mixed(m, d, tick, now_us)
    if d.flags & EP_ARRIVING:
        told(m, d)
