"""wait -> receive -> due phases (read, sum, encode, send) -> keys -> reports -> edits -> wait.

rx_socket -> rx_demux -> rx_source -+-> relay ------------------------------------+-> tx_packetize -> tx_socket
                                    +-> rx_playout -> rx_decode -> bus -> tx_encode +

Phases lie on a grid of 1 ms common to all workers (CLOCK_MONOTONIC); a bus ticks every 20 ms in its phase.  A tick is
late when it begins over 3 ms after its phase, an overrun when over 20 ms: then it is skipped, never caught up in a burst.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from posix.unistd cimport read, write

from roomtone.ext.base.clock cimport clock_sleep_until, clock_us, clock_wall_us
from roomtone.ext.base.ring cimport ring_peek
from roomtone.ext.base.types cimport rt_fence_full, rt_prefetch_write, rt_store_release32
from roomtone.ext.flow._socket cimport epoll_event, epoll_pwait2, timespec
from roomtone.ext.flow.bus cimport bus_deferred, bus_prefetch, bus_tick
from roomtone.ext.flow.constants cimport HISTOGRAM_BINS, NONE, PHASE_US, PHASES, WHEEL_SLOT_US
from roomtone.ext.flow.counters cimport (
    COUNT_TICK_OVERRUNS,
    COUNT_TICKS_LATE,
    COUNT_TURNS,
    COUNT_WAKEUPS_EMPTY,
    DROP_CLOSED,
)
from roomtone.ext.flow.edit cimport edits_apply
from roomtone.ext.flow.endpoint cimport KIND_RTP, endpoint_t
from roomtone.ext.flow.fact cimport fact_resync
from roomtone.ext.flow.graph cimport count, drop, endpoint_at, media_t
from roomtone.ext.flow.key cimport key_turn
from roomtone.ext.flow.report cimport report_turn
from roomtone.ext.flow.rx_demux cimport rx_readable, rx_rtcp_readable
from roomtone.ext.flow.rx_flood cimport flood_turn
from roomtone.ext.flow.rx_socket cimport POLL_RTCP, POLL_WAKE


cdef enum:
    BATCH = 64                      # datagrams between two looks at the clock's phases
    LATE_US = 3000
    IDLE_WAIT_US = 1000000          # nothing to do: the wake eventfd ends it
    WALL_EVERY_US = 1000000         # how often the offset to CLOCK_REALTIME is read
    GATHER_LOOK_US = 100000         # how often it is decided whether to gather,
    GATHER_FROM = 1000              # and how many datagrams in that time are load: below, few would find company


cdef void histogram_add(uint64_t* bins, int64_t us) noexcept nogil:
    """Bin i counts values below 2^i microseconds."""
    cdef int bin = 0
    while us > 0 and bin < HISTOGRAM_BINS - 1:
        us >>= 1
        bin += 1
    bins[bin] += 1


cdef void phase_run(media_t* m, int64_t ms, int64_t now_us) noexcept nogil:
    """Every bus of this millisecond's phase."""
    cdef uint32_t bus = m.phase_first[ms % PHASES]
    cdef uint32_t next_bus
    cdef int64_t late = now_us - ms * PHASE_US
    cdef int64_t begun
    if bus == NONE:
        return
    begun = clock_us() if not m.lab else now_us
    histogram_add(m.stats.tick_late, late)
    if late > LATE_US:
        count(m, COUNT_TICKS_LATE)
    while bus != NONE:
        next_bus = m.buses[bus].next_in_phase
        if next_bus != NONE:
            bus_prefetch(m, next_bus)
        bus_tick(m, bus, ms // PHASES, begun)
        bus = next_bus
    if not m.lab:
        histogram_add(m.stats.tick_duration, clock_us() - begun)


cdef void phases_run(media_t* m, int64_t now_us) noexcept nogil:
    cdef int64_t now_ms = now_us // PHASE_US
    if now_ms - m.next_ms >= PHASES:
        # Over a tick behind: what was missed is skipped.
        while now_ms - m.next_ms >= PHASES:
            if m.phase_first[m.next_ms % PHASES] != NONE:
                count(m, COUNT_TICK_OVERRUNS)
            m.next_ms += 1
            if now_ms - m.next_ms > 1000 * PHASES:          # a suspended machine: do not count for hours
                m.next_ms = now_ms - PHASES
    while m.next_ms <= now_ms:
        phase_run(m, m.next_ms, now_us)
        if m.deferred_first != NONE:
            bus_deferred(m, m.next_ms, now_us)
        if m.key_first != NONE or m.inject_first != NONE:
            key_turn(m, now_us)
        m.next_ms += 1
        if not m.lab:
            now_us = clock_us()
            m.now_us = now_us


cdef int64_t next_due_us(media_t* m) noexcept nogil:
    """When the loop has something to do of its own accord."""
    cdef int64_t due = m.now_us + IDLE_WAIT_US
    cdef int64_t wheel
    cdef int i
    if m.deferred_first != NONE or m.key_first != NONE or m.inject_first != NONE:
        due = m.next_ms * PHASE_US
    elif m.phases_used:
        for i in range(PHASES):
            if m.phases_used >> ((m.next_ms + i) % PHASES) & 1:
                due = (m.next_ms + i) * PHASE_US
                break
    if m.wheel_members:
        wheel = m.next_wheel * WHEEL_SLOT_US
        if wheel < due:
            due = wheel
    if m.flood_first != NONE and m.flood_due_us < due:
        due = m.flood_due_us
    return due


cdef void housekeeping(media_t* m, int64_t now_us) noexcept nogil:
    cdef uint64_t one = 1
    m.now_us = now_us
    m.stats.beat_us = now_us
    if not m.lab and now_us - m.wall_read_us > WALL_EVERY_US:
        m.wall_offset_us = clock_wall_us() - now_us
        m.wall_read_us = now_us
    edits_apply(m, now_us)
    if m.wheel_members == 0:
        m.next_wheel = now_us // WHEEL_SLOT_US
    else:
        report_turn(m, now_us)
    if m.flood_first != NONE and now_us >= m.flood_due_us:
        flood_turn(m, now_us)
    if m.facts_lost:
        fact_resync(m)
    if m.facts_new and m.fact_fd >= 0:
        m.facts_new = 0
        write(m.fact_fd, &one, 8)


cdef void skip_idle_phases(media_t* m, int64_t now_us) noexcept nogil:
    """Phases nobody uses are not caught up, and nothing is overrun while no bus ticks."""
    if m.phases_used == 0 and m.deferred_first == NONE and m.key_first == NONE and m.inject_first == NONE:
        m.next_ms = now_us // PHASE_US + 1


cdef void receive(media_t* m, epoll_event* event, int64_t now_us) noexcept nogil:
    cdef uint32_t which = event.data.u64 >> 32
    cdef endpoint_t* e
    cdef uint64_t value
    if which == POLL_WAKE:
        read(m.wake_fd, &value, 8)
        return
    e = endpoint_at(m, <uint32_t> event.data.u64)
    if e.kind != KIND_RTP:
        drop(m, DROP_CLOSED)
    elif which == POLL_RTCP:
        rx_rtcp_readable(m, e, now_us)
    else:
        rx_readable(m, e, now_us)


cdef void gather(media_t* m, int64_t turn_us) noexcept nogil:
    """Under load: sleep on until gather_us after the last turn, so that more packets share one wake-up."""
    cdef int64_t until = turn_us + m.gather_us
    cdef int64_t due
    if m.now_us - m.polled_at_us >= GATHER_LOOK_US:
        m.gathering = m.polled - m.polled_before >= GATHER_FROM
        m.polled_before = m.polled
        m.polled_at_us = m.now_us
    if not m.gathering:
        return
    due = next_due_us(m)
    if due < until:
        until = due
    if until > m.now_us:
        clock_sleep_until(until)
        m.now_us = clock_us()


cdef void loop_run(media_t* m) noexcept nogil:
    cdef epoll_event events[BATCH]
    cdef timespec wait
    cdef int64_t wait_us
    cdef int64_t turn_us
    cdef int n
    cdef int i
    m.now_us = clock_us()
    m.next_ms = m.now_us // PHASE_US + 1
    m.next_wheel = m.now_us // WHEEL_SLOT_US
    while not m.stop:
        rt_store_release32(<uint32_t*> &m.sleeping, 1)
        rt_fence_full()     # said before the look at the ring, as Media.wake looks after writing
        wait_us = next_due_us(m) - m.now_us
        if wait_us < 0 or ring_peek(&m.edits) != NULL:
            wait_us = 0
        wait.tv_sec = wait_us // 1000000
        wait.tv_nsec = wait_us % 1000000 * 1000
        n = epoll_pwait2(m.epoll_fd, events, BATCH, &wait, NULL)
        rt_store_release32(<uint32_t*> &m.sleeping, 0)
        m.now_us = turn_us = clock_us()
        count(m, COUNT_TURNS)
        if n <= 0:
            n = 0
            count(m, COUNT_WAKEUPS_EMPTY)
        for i in range(n):
            if i + 1 < n:
                rt_prefetch_write(endpoint_at(m, events[i + 1].data.u64 & 0xFFFFF))
            receive(m, &events[i], m.now_us)
        m.polled += n
        skip_idle_phases(m, m.now_us)
        if m.next_ms * PHASE_US <= m.now_us:
            phases_run(m, m.now_us)
        housekeeping(m, m.now_us)
        if m.gather_us and n < BATCH:
            gather(m, turn_us)


cdef void loop_step(media_t* m, int64_t now_us) noexcept nogil:
    if m.next_ms == 0:
        m.next_ms = now_us // PHASE_US
        m.next_wheel = now_us // WHEEL_SLOT_US
    housekeeping(m, now_us)
    skip_idle_phases(m, now_us)
    phases_run(m, now_us)
    housekeeping(m, now_us)
