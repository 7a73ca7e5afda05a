"""Published sums: writing and reading."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from roomtone.ext.base.types cimport (
    RT_LATE,
    rt_fence_acquire,
    rt_fence_release,
    rt_load_acquire64,
    rt_store_release32,
    rt_store_release64,
)
from roomtone.ext.flow.constants cimport FRAME_8K, FRAME_16K, PARTIAL_DEPTH, ROLES
from roomtone.ext.flow.graph cimport HUSHED_OWN, bus_t, media_t, mix_t, partial_t, published_t, roles_t, sum_t


cdef partial_t* partial_open(media_t* m, const bus_t* b, const mix_t* mix, int64_t tick) noexcept nogil:
    cdef published_t* published = &m.published[b.partial_slot]
    cdef partial_t* out = &published.ticks[tick % PARTIAL_DEPTH]
    rt_store_release32(&published.rtp_count, b.rtp_count)
    rt_store_release64(<unsigned long*> &out.tick, 0)
    rt_fence_release()                      # no word below becomes visible before the slot is marked as torn
    out.talkers = b.talkers
    out.bridged = 0
    memset(out.role_slot, 0, sizeof(out.role_slot))
    if b.talkers:
        memcpy(out.own.sum8, mix.sum8, sizeof(out.own.sum8))
        memcpy(out.own.sum16, mix.sum16, sizeof(out.own.sum16))
    return out


cdef void partial_bridges(partial_t* out, const mix_t* mix, uint32_t bridged) noexcept nogil:
    cdef int i
    out.bridged = bridged
    if out.talkers == 0:
        memcpy(out.bridges.sum8, mix.sum8, sizeof(out.bridges.sum8))
        memcpy(out.bridges.sum16, mix.sum16, sizeof(out.bridges.sum16))
        return
    for i in range(FRAME_8K):
        out.bridges.sum8[i] = mix.sum8[i] - out.own.sum8[i]
    for i in range(FRAME_16K):
        out.bridges.sum16[i] = mix.sum16[i] - out.own.sum16[i]


cdef void partial_roles(media_t* m, partial_t* out, const bus_t* b, const roles_t* roles, int64_t tick) noexcept nogil:
    cdef int role
    for role in range(1, ROLES):
        if roles.talking >> role & 1 and roles.slots[role] >= 0:
            out.role_slot[role] = roles.slots[role] - b.partial_slot
            memcpy(&m.published[roles.slots[role]].ticks[tick % PARTIAL_DEPTH].own, &roles.sums[role], sizeof(sum_t))


cdef void partial_close(partial_t* out, const bus_t* b, int64_t tick) noexcept nogil:
    out.hushed = b.hushed
    rt_store_release64(<unsigned long*> &out.tick, <uint64_t> tick)


cdef void add(media_t* m, int32_t* sum8, int32_t* sum16, const sum_t* theirs) noexcept nogil:
    m.kernel.mix_add32(sum8, theirs.sum8, FRAME_8K)
    m.kernel.mix_add32(sum16, theirs.sum16, FRAME_16K)


cdef uint32_t roles_read(media_t* m, const published_t* published, const partial_t* theirs, int64_t tick) noexcept nogil:
    """Into m.roles_in; a bit for each that is there."""
    cdef uint32_t found = 0
    cdef int32_t further
    cdef int role
    for role in range(1, ROLES):
        further = theirs.role_slot[role]
        if further:
            memcpy(&m.roles_in[role], &(published + further).ticks[tick % PARTIAL_DEPTH].own, sizeof(sum_t))
            found |= <uint32_t> 1 << role
    return found


cdef void roles_add(media_t* m, roles_t* roles, uint32_t found) noexcept nogil:
    cdef int role
    for role in range(1, ROLES):
        if not found >> role & 1:
            continue
        roles.talkers[role] += 1            # at least
        if roles.talking >> role & 1:
            add(m, roles.sums[role].sum8, roles.sums[role].sum16, &m.roles_in[role])
        else:
            roles.sums[role] = m.roles_in[role]
    roles.talking |= found


cdef int partial_add(media_t* m, int32_t* sum8, int32_t* sum16, const published_t* published, int64_t tick,
                     bint bridges, uint32_t* hushed, roles_t* roles) noexcept nogil:
    cdef const partial_t* theirs = &published.ticks[tick % PARTIAL_DEPTH]
    cdef sum_t own
    cdef sum_t bridged
    cdef uint32_t from_own
    cdef uint32_t from_bridges
    cdef uint32_t kept_out
    cdef uint32_t apart = 0
    if rt_load_acquire64(<const unsigned long*> &theirs.tick) != <uint64_t> tick:
        return RT_LATE
    from_own = theirs.talkers
    from_bridges = theirs.bridged if bridges else 0
    kept_out = theirs.hushed if bridges else theirs.hushed & HUSHED_OWN
    if from_own:
        memcpy(&own, &theirs.own, sizeof(sum_t))
    if from_bridges:
        memcpy(&bridged, &theirs.bridges, sizeof(sum_t))
    if roles != NULL:
        apart = roles_read(m, published, theirs, tick)
    rt_fence_acquire()
    if rt_load_acquire64(<const unsigned long*> &theirs.tick) != <uint64_t> tick:
        return RT_LATE
    if from_own:
        add(m, sum8, sum16, &own)
    if from_bridges:
        add(m, sum8, sum16, &bridged)
    if apart:
        roles_add(m, roles, apart)
    hushed[0] |= kept_out
    return <int> (from_own + from_bridges)
