"""What a worker's media thread works on: allocated once, before it starts; and which slots of it are free."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from posix.mman cimport MADV_DONTNEED, madvise, munmap
from posix.unistd cimport close

import os

from roomtone.ext.base.clock cimport clock_us, clock_wall_us
from roomtone.ext.base.ring cimport ring_init
from roomtone.ext.dsp.dispatch cimport kernel_get
from roomtone.ext.flow._socket cimport (
    EFD_CLOEXEC,
    EFD_NONBLOCK,
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLLIN,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    eventfd,
)
from roomtone.ext.flow.constants cimport (
    LINE_BYTES,
    NONE,
    PARTIAL_SLOTS,
    PHASES,
    PLAYOUT_WORDS,
    WHEEL_SLOTS,
)
from roomtone.ext.flow.endpoint cimport EP_WATCHED, KIND_FREE, NO_TYPE, endpoint_t
from roomtone.ext.flow.graph cimport bus_private_t, endpoint_private_t, flood_t, published_t
from roomtone.ext.flow.handover cimport EDIT_RING, FACT_RING, edit_t, fact_t
from roomtone.ext.flow.pool cimport Slots, pool_resident, pool_room
from roomtone.ext.flow.rx_socket cimport POLL_WAKE
from roomtone.ext.flow.tap_state cimport tap_t
from roomtone.ext.record.capture cimport capture_head, capture_init

cdef extern from *:
    int __ATOMIC_SEQ_CST
    uint8_t __atomic_fetch_or(uint8_t* p, uint8_t v, int order) noexcept nogil


cdef enum:
    PAGE = 4096
    INDEX_MASK = 0xFFFFF
    GENERATION_MASK = 0xFFF
    OUTBOX_BYTES = 1 << 22
    CAPTURE_STEP = 1 << 20          # touched at a time: some 0.3 ms


cdef void touch_pages(uint8_t* at, size_t size) noexcept:
    cdef size_t i
    for i in range(0, size, PAGE):
        __atomic_fetch_or(at + i, 0, __ATOMIC_SEQ_CST)
    __atomic_fetch_or(at + size - 1, 0, __ATOMIC_SEQ_CST)


cdef class MediaMemory:
    """The lowest part of Media (media.pyi): memory, slots, descriptors."""

    def __cinit__(self, ArenaView arena, *, int fact_fd, bint lab=False):
        cdef uint32_t i
        cdef epoll_event event
        self.m.epoll_fd = self.m.wake_fd = -1               # before anything fails: __dealloc__ closes what is not negative
        if not arena.writable:
            raise ValueError("the arena is mapped read-only")
        self.arena = arena
        self.capacity = arena.header.endpoints
        self.m.arena = arena.header
        self.m.endpoint_count = self.capacity
        self.m.endpoints = arena.endpoint(0)
        self.m.buses = arena.bus(0)
        self.m.published = arena.published(0)
        self.m.stats = &arena.header.stats
        self.m.privates = <endpoint_private_t*> pool_room(self.capacity * sizeof(endpoint_private_t))
        self.m.bus_privates = <bus_private_t*> pool_room(self.capacity * sizeof(bus_private_t))
        self.m.lines = <uint8_t*> pool_room(<size_t> self.capacity * LINE_BYTES)
        self.m.taps = <tap_t*> pool_room(self.capacity * sizeof(tap_t))
        self.m.floods = <flood_t*> pool_room(2 * <size_t> self.capacity * sizeof(flood_t))
        self.m.present = <uint64_t*> pool_room(<size_t> self.capacity * PLAYOUT_WORDS * sizeof(uint64_t))
        self.edit_memory = <uint8_t*> calloc(EDIT_RING, sizeof(edit_t))
        self.fact_memory = <uint8_t*> calloc(FACT_RING, sizeof(fact_t))
        if self.edit_memory == NULL or self.fact_memory == NULL:
            raise MemoryError
        ring_init(&self.m.edits, self.edit_memory, sizeof(edit_t), EDIT_RING)
        ring_init(&self.m.facts, self.fact_memory, sizeof(fact_t), FACT_RING)
        self.m.kernel = kernel_get()
        self.m.fact_fd = fact_fd
        self.m.lab = lab
        self.m.watch = EP_WATCHED
        self.m.random = int.from_bytes(os.urandom(8), "little") | 1 if not lab else 88172645463325252
        for i in range(PHASES):
            self.m.phase_first[i] = NONE
        for i in range(WHEEL_SLOTS):
            self.m.wheel[i] = NONE
        self.m.deferred_first = self.m.key_first = self.m.inject_first = self.m.flood_first = NONE
        if lab:
            self.m.outbox.data = <uint8_t*> pool_room(OUTBOX_BYTES)
            self.m.outbox.capacity = OUTBOX_BYTES
        else:
            self.m.wall_offset_us = clock_wall_us() - clock_us()
            self.m.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
            self.m.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
            if self.m.epoll_fd < 0 or self.m.wake_fd < 0:
                raise OSError("epoll or eventfd could not be made")
            event.events = EPOLLIN
            event.data.u64 = <uint64_t> POLL_WAKE << 32
            epoll_ctl(self.m.epoll_fd, EPOLL_CTL_ADD, self.m.wake_fd, &event)
        self.endpoint_slots = Slots(self.capacity, 1)       # slot 0 stays unused, so that 0 is never a live handle
        self.bus_slots = Slots(self.capacity)
        self.free_partials = list(range(PARTIAL_SLOTS - 1, -1, -1))
        self.playbacks = {}

    def __dealloc__(self):
        if self.m.privates != NULL:
            munmap(self.m.privates, self.capacity * sizeof(endpoint_private_t))
        if self.m.bus_privates != NULL:
            munmap(self.m.bus_privates, self.capacity * sizeof(bus_private_t))
        if self.m.lines != NULL:
            munmap(self.m.lines, <size_t> self.capacity * LINE_BYTES)
        if self.m.taps != NULL:
            munmap(self.m.taps, self.capacity * sizeof(tap_t))
        if self.m.present != NULL:
            munmap(self.m.present, <size_t> self.capacity * PLAYOUT_WORDS * sizeof(uint64_t))
        if self.m.floods != NULL:
            munmap(self.m.floods, 2 * <size_t> self.capacity * sizeof(flood_t))
        if self.m.outbox.data != NULL:
            munmap(self.m.outbox.data, OUTBOX_BYTES)
        if self.m.epoll_fd >= 0:
            close(self.m.epoll_fd)
        if self.m.wake_fd >= 0:
            close(self.m.wake_fd)
        if self.capture_memory != NULL:
            munmap(self.capture_memory, self.capture_bytes)
        free(self.edit_memory)
        free(self.fact_memory)

    def now(self):
        return self.m.now_us if self.m.lab else clock_us()

    cdef endpoint_t* slot(self, uint32_t handle) except NULL:
        cdef endpoint_t* e
        if handle & INDEX_MASK >= self.capacity or handle == 0:
            raise ValueError("no such endpoint handle")
        e = self.arena.endpoint(handle & INDEX_MASK)
        if e.handle != handle:
            raise ValueError("the endpoint handle is out of date")
        return e

    def endpoint_take(self):
        cdef endpoint_t* e
        cdef uint32_t generation
        index = self.endpoint_slots.take(self.now())
        if index < 0:
            raise RuntimeError("no endpoint slot is free")
        e = self.arena.endpoint(index)
        generation = (e.handle >> 20) + 1 & GENERATION_MASK
        memset(e, 0, sizeof(endpoint_t))
        e.handle = (generation if generation else 1) << 20 | <uint32_t> index
        e.bus = NONE
        e.next_source = e.prev_source = e.next_ticked = e.prev_ticked = NONE
        e.next_destination = e.prev_destination = NONE
        e.next_key = e.prev_key = e.next_inject = e.prev_inject = NONE
        e.wheel_slot = e.next_wheel = e.prev_wheel = NONE
        e.rtp_fd = e.rtcp_fd = -1
        e.rtt_us = NONE
        e.event_tx_type = e.noise_type = e.noise_tx_type = NO_TYPE
        memset(e.event_type, NO_TYPE, sizeof(e.event_type))
        self.m.arena.high_water = self.endpoint_slots.used
        return e.handle

    def endpoint_free(self, uint32_t handle):
        """Give the slot back; it rests 2 s."""
        cdef endpoint_t* e = self.slot(handle)
        cdef uint32_t index = handle & INDEX_MASK
        if e.kind != KIND_FREE:
            raise RuntimeError("the endpoint is still open")
        self.playbacks.pop(handle, None)
        madvise(self.m.lines + <size_t> index * LINE_BYTES, LINE_BYTES, MADV_DONTNEED)
        e.handle = handle & ~<uint32_t> INDEX_MASK          # index 0: no live handle, the generation is kept
        self.endpoint_slots.give_back(index, self.now())

    cdef void touch(self, uint32_t handle) noexcept:
        """Have the kernel find the pages of a slot's private memory now, so that the media thread never waits for that."""
        cdef endpoint_private_t* p = self.m.privates + (handle & INDEX_MASK)
        memset(p, 0, sizeof(endpoint_private_t))

    cdef void touch_tap(self, uint32_t handle) noexcept:
        """The same for what detectors keep of it, while the media thread may be writing there."""
        touch_pages(<uint8_t*> (self.m.taps + (handle & INDEX_MASK)), sizeof(tap_t))

    def capture_prepare(self, uint64_t ring_bytes):
        if self.capture_memory == NULL:
            self.capture_bytes = CAPTURE_STEP
            while self.capture_bytes < ring_bytes:
                self.capture_bytes *= 2
            self.capture_memory = <uint8_t*> pool_room(self.capture_bytes)
            capture_init(&self.capture_ring, self.capture_memory, self.capture_bytes)
        if self.capture_touched < self.capture_bytes:
            memset(self.capture_memory + self.capture_touched, 0, CAPTURE_STEP)
            self.capture_touched += CAPTURE_STEP
        return self.capture_touched == self.capture_bytes

    def capture_ring_address(self):
        return <uint64_t> &self.capture_ring

    def capture_position(self):
        return capture_head(&self.capture_ring)

    def capture_lost(self, uint32_t handle):
        cdef endpoint_private_t* p = self.m.privates + (handle & INDEX_MASK)
        self.slot(handle)
        return p.capture_lost, p.capture_lost_heard

    def bus_take(self):
        index = self.bus_slots.take(self.now())
        if index < 0:
            raise RuntimeError("no bus is free")
        self.arena.bus(index).in_use = (self.arena.bus(index).in_use >> 1) + 1 << 1 | 1
        return index

    def bus_free(self, uint32_t bus):
        self.arena.bus(bus).in_use &= ~<uint32_t> 1
        self.bus_slots.give_back(bus, self.now())

    def partial_take(self):
        cdef published_t* published
        if not self.free_partials:
            raise RuntimeError("no partial-sum slot is free")
        slot = self.free_partials.pop()
        published = self.arena.published(slot)
        memset(published.ticks, 0, sizeof(published.ticks))     # key_head goes on: a reader knows how far it has read
        published.rtp_count = 0
        return slot

    def partial_address(self, int slot):
        return self.arena.partial_address(slot)

    def partial_free(self, int slot):
        self.free_partials.append(slot)

    def memory(self):
        cdef size_t n = self.capacity
        cdef size_t mapped = 0
        cdef uint64_t held = 0
        cdef uint64_t arena = pool_resident(self.m.arena, self.arena.mapped)
        cdef list pools = [
            (<uint64_t> self.m.privates, n * sizeof(endpoint_private_t)),
            (<uint64_t> self.m.bus_privates, n * sizeof(bus_private_t)),
            (<uint64_t> self.m.lines, n * LINE_BYTES),
            (<uint64_t> self.m.taps, n * sizeof(tap_t)),
            (<uint64_t> self.m.floods, 2 * n * sizeof(flood_t)),
            (<uint64_t> self.m.present, n * PLAYOUT_WORDS * sizeof(uint64_t)),
        ]
        for at, size in pools:
            mapped += size
            held += pool_resident(<void*> <uint64_t> at, size)
        slots = max(1, self.endpoint_slots.used)
        return {"arena_bytes": self.arena.mapped, "arena_resident_bytes": arena, "private_bytes": mapped,
                "private_resident_bytes": held, "endpoint_resident_bytes": (arena + held) // slots}
