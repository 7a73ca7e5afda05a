"""Writing facts."""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from roomtone.ext.base.ring cimport ring_push, ring_slot
from roomtone.ext.base.types cimport handle_t
from roomtone.ext.flow.counters cimport COUNT_FACTS_LOST
from roomtone.ext.flow.graph cimport count, media_t
from roomtone.ext.flow.handover cimport FACT_RESYNC_, fact_t


cdef fact_t* fact_new(media_t* m, uint32_t kind, handle_t handle) noexcept nogil:
    cdef fact_t* fact = <fact_t*> ring_slot(&m.facts)
    if fact == NULL:
        count(m, COUNT_FACTS_LOST)
        m.facts_lost = 1
        return NULL
    if m.facts_lost:
        fact_resync(m)
        return fact_new(m, kind, handle)
    memset(fact, 0, sizeof(fact_t))
    fact.kind = kind
    fact.handle = handle
    fact.text_bytes = -1
    return fact


cdef void fact_resync(media_t* m) noexcept nogil:
    cdef fact_t* fact = <fact_t*> ring_slot(&m.facts)
    if fact == NULL:
        return
    m.facts_lost = 0
    memset(fact, 0, sizeof(fact_t))
    fact.kind = FACT_RESYNC_
    fact_done(m)


cdef void fact_done(media_t* m) noexcept nogil:
    ring_push(&m.facts)
    m.facts_new = 1


cdef void fact_put(media_t* m, uint32_t kind, handle_t handle, int64_t a, int64_t b) noexcept nogil:
    cdef fact_t* fact = fact_new(m, kind, handle)
    if fact != NULL:
        fact.a = a
        fact.b = b
        fact_done(m)
