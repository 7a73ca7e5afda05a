"""Far sums in, one frame out."""

from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memset

from roomtone.ext.base.types cimport RT_LATE, rt_unlikely
from roomtone.ext.dsp.limiter cimport limiter_run
from roomtone.ext.flow.capture cimport capture_own
from roomtone.ext.flow.constants cimport FRAME_8K, FRAME_16K, NONE, PHASES
from roomtone.ext.flow.counters cimport COUNT_BRIDGE_LATE
from roomtone.ext.flow.endpoint cimport EP_CAPTURED, endpoint_t
from roomtone.ext.flow.graph cimport (
    HUSHED_BRIDGES,
    bus_t,
    count,
    endpoint_at,
    endpoint_private_t,
    media_t,
    mix_t,
    published_t,
    ticked_in,
    ticked_out,
)
from roomtone.ext.flow.partial cimport partial_add


cdef enum:
    RATE_8K = 1
    RATE_16K = 2


cdef void bridge_on(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil:
    ticked_in(m, &b.first_bridge, e)
    b.bridge_count += 1


cdef void bridge_off(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil:
    ticked_out(m, &b.first_bridge, e)
    b.bridge_count -= 1


cdef inline int64_t feed_tick(const bus_t* b, const endpoint_private_t* p, int64_t tick) noexcept nogil:
    """The far session's newest tick that is FEED_SLACK_MS old when this bus ticks."""
    return tick - (<int> p.feed_phase - <int> b.phase + FEED_SLACK_MS + PHASES - 1) // PHASES


cdef bint bridge_frame(media_t* m, bus_t* b, endpoint_private_t* p, int64_t tick, uint32_t* hushed) noexcept nogil:
    """This tick's frame into pcm8 and pcm16.  False: nobody there has anything to say.  hushed: not 0 if it is."""
    cdef int32_t sum8[FRAME_8K]
    cdef int32_t sum16[FRAME_16K]
    cdef int64_t far_tick = feed_tick(b, p, tick)
    cdef int talkers = 0
    cdef int found
    cdef uint32_t i
    memset(sum8, 0, sizeof(sum8))
    memset(sum16, 0, sizeof(sum16))
    for i in range(p.feed_count):
        found = partial_add(m, sum8, sum16, <const published_t*> p.feeds[i], far_tick, False, hushed, NULL)
        if found == RT_LATE:
            count(m, COUNT_BRIDGE_LATE)
        else:
            talkers += found
    if talkers == 0:
        return False
    if b.rates & RATE_8K:
        limiter_run(&p.limiter8, p.pcm8, sum8, FRAME_8K, 8000)
    if b.rates & RATE_16K:
        limiter_run(&p.limiter16, p.pcm16, sum16, FRAME_16K, 16000)
    return True


cdef uint32_t bridges_add(media_t* m, bus_t* b, mix_t* mix, int64_t tick) noexcept nogil:
    cdef endpoint_private_t* p
    cdef endpoint_t* e
    cdef uint32_t i = b.first_bridge
    cdef uint32_t talking = 0
    cdef uint32_t hushed
    while i != NONE:
        p = &m.privates[i]
        e = endpoint_at(m, i)
        i = e.next_ticked
        hushed = 0
        if not bridge_frame(m, b, p, tick, &hushed):
            continue
        talking += 1
        if rt_unlikely(hushed):
            b.hushed |= HUSHED_BRIDGES
        elif rt_unlikely(e.flags & EP_CAPTURED):
            capture_own(m, b, e, tick)
        if b.rates & RATE_8K:
            m.kernel.mix_add(mix.sum8, p.pcm8, FRAME_8K)
        if b.rates & RATE_16K:
            m.kernel.mix_add(mix.sum16, p.pcm16, FRAME_16K)
    return talking
