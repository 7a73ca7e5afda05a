"""Rings of published keys: writing and reading."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from roomtone.ext.base.types cimport rt_fence_acquire, rt_fence_release, rt_load_acquire32, rt_store_release32
from roomtone.ext.flow.constants cimport KEYS_PUBLISHED, PEERS_MAX
from roomtone.ext.flow.counters cimport DROP_KEY_LATE
from roomtone.ext.flow.graph cimport bus_private_t, bus_t, key_event_t, media_t, published_t


cdef void key_publish(media_t* m, const bus_t* b, const key_event_t* k) noexcept nogil:
    cdef published_t* out = &m.published[b.partial_slot]
    out.keys[out.key_head % KEYS_PUBLISHED] = k[0]
    rt_store_release32(&out.key_head, out.key_head + 1)
    rt_fence_release()                      # the next one written becomes visible after this head


cdef bint key_next(media_t* m, bus_private_t* p, uint32_t peer, key_event_t* k) noexcept nogil:
    cdef const published_t* theirs = <const published_t*> p.peers[peer]
    cdef uint32_t head = rt_load_acquire32(&theirs.key_head)
    cdef uint32_t seen = p.keys_seen[peer]
    cdef uint32_t lost
    while seen != head:
        if head - seen >= KEYS_PUBLISHED:   # the oldest may be written over at this moment
            lost = head - seen - (KEYS_PUBLISHED - 1)
            m.stats.drops[<int> DROP_KEY_LATE] += lost
            seen += lost
        k[0] = theirs.keys[seen % KEYS_PUBLISHED]
        rt_fence_acquire()
        head = rt_load_acquire32(&theirs.key_head)
        if head - seen < KEYS_PUBLISHED:
            p.keys_seen[peer] = seen + 1
            return True
    p.keys_seen[peer] = seen
    return False


cdef void key_peers(bus_private_t* p, uint64_t* peers, uint32_t count) noexcept nogil:
    cdef uint32_t seen[PEERS_MAX]
    cdef uint32_t i
    cdef uint32_t k
    for i in range(count):
        seen[i] = rt_load_acquire32(&(<const published_t*> peers[i]).key_head)
        for k in range(p.peer_count):
            if p.peers[k] == peers[i]:
                seen[i] = p.keys_seen[k]
    memcpy(p.keys_seen, seen, count * sizeof(uint32_t))
    p.peers = peers
    p.peer_count = count


cdef uint32_t key_members(const bus_t* b, const bus_private_t* p) noexcept nogil:
    cdef uint32_t members = b.rtp_count
    cdef uint32_t i
    for i in range(p.peer_count):
        members += rt_load_acquire32(&(<const published_t*> p.peers[i]).rtp_count)
    return members
