"""The Python face of ext/flow; the contract is media.pyi."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from posix.mman cimport (
    MADV_DONTNEED,
    madvise,
    munmap,
)
from posix.unistd cimport close, write

import ipaddress
import os
import socket
import threading

from roomtone.ext.base.clock cimport clock_us, clock_wall_us
from roomtone.ext.base.ring cimport ring_init, ring_peek, ring_pop, ring_push, ring_slot
from roomtone.ext.base.types cimport rt_load_acquire32, rt_load_acquire64
from roomtone.ext.codec.codec cimport codec_get
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
from roomtone.ext.flow.arena cimport addr_text
from roomtone.ext.flow.graph cimport (
    CNAME_BYTES,
    EDIT_BUS_CLOSE,
    EDIT_BUS_OPEN,
    EDIT_BUS_SPREAD,
    EDIT_CLOSE,
    EDIT_DESTINATION_ADD,
    EDIT_DESTINATION_REMOVE,
    EDIT_INJECT,
    EDIT_MEDIA,
    EDIT_MUX,
    EDIT_OPEN,
    EDIT_REMOTE,
    EDIT_RING,
    EDIT_SOURCE_ADD,
    EDIT_SOURCE_REMOVE,
    EDIT_TONE,
    EP_LEARNING,
    EP_PROBE,
    EVENT_TYPES,
    FACT_BYE_,
    FACT_INJECT_DONE_,
    FACT_KEY_,
    FACT_PINNED_,
    FACT_PROBE_,
    FACT_RESYNC_,
    FACT_RING,
    FACT_TONE_DONE_,
    KIND_FREE,
    KIND_RTP,
    KIND_TONE,
    LINE_BYTES,
    NONE,
    PARTIAL_DEPTH,
    PARTIAL_SLOTS,
    PHASES,
    PLAYOUT_WORDS,
    RECEIVE_TYPES,
    WHEEL_SLOTS,
    __ATOMIC_SEQ_CST,
    __atomic_thread_fence,
    addr_t,
    bus_private_t,
    edit_t,
    endpoint_private_t,
    endpoint_t,
    fact_t,
    flood_t,
    lock_begin,
    lock_end,
    media_t,
    partial_t,
)
from roomtone.ext.flow.loop cimport loop_run, loop_step
from roomtone.ext.flow.pool cimport Slots, pool_resident, pool_room
from roomtone.ext.flow.rx_socket cimport POLL_WAKE
from roomtone.ext.flow.snapshot cimport endpoint_record, endpoint_stats, silent_scan, worker_metrics
from roomtone.ext.event.stats_record cimport stats_record_t

from roomtone.ext.flow.arena import Arena, arena_bytes  # noqa: F401  # no-cython-lint

FACT_PINNED = FACT_PINNED_
FACT_KEY = FACT_KEY_
FACT_INJECT_DONE = FACT_INJECT_DONE_
FACT_TONE_DONE = FACT_TONE_DONE_
FACT_BYE = FACT_BYE_
FACT_PROBE = FACT_PROBE_
FACT_RESYNC = FACT_RESYNC_

cdef enum:
    INDEX_MASK = 0xFFFFF
    GENERATION_MASK = 0xFFF
    OUTBOX_BYTES = 1 << 22
    GATHER_MAX_US = 5000


cdef int addr_fill(addr_t* a, str ip, int port) except -1:
    """An address in numbers; ValueError otherwise."""
    cdef bytes packed
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        packed = socket.inet_pton(family, ip)
    except OSError:
        raise ValueError(f"not an IP address: {ip!r}") from None
    memset(a, 0, sizeof(addr_t))
    memcpy(a.ip, <const uint8_t*> packed, len(packed))
    a.family = 6 if family == socket.AF_INET6 else 4
    a.port = port
    return 0


cdef tuple addr_pair(const addr_t* a):
    if a.family == 6:
        return socket.inet_ntop(socket.AF_INET6, (<const uint8_t*> a.ip)[:16]), a.port
    return socket.inet_ntop(socket.AF_INET, (<const uint8_t*> a.ip)[:4]), a.port


cdef class Media:
    """One worker's media thread and its Python side.  See media.pyi."""

    def __cinit__(self, ArenaView arena, *, int fact_fd, bint lab=False):
        cdef uint32_t i
        cdef epoll_event event
        if not arena.writable:
            raise ValueError("the arena is mapped read-only")
        self.arena = arena
        self.capacity = arena.header.endpoints
        memset(&self.m, 0, sizeof(media_t))
        self.m.arena = arena.header
        self.m.endpoint_count = self.capacity
        self.m.endpoints = arena.endpoint(0)
        self.m.buses = arena.bus(0)
        self.m.partials = arena.partial(0)
        self.m.stats = &arena.header.stats
        self.m.privates = <endpoint_private_t*> pool_room(self.capacity * sizeof(endpoint_private_t))
        self.m.bus_privates = <bus_private_t*> pool_room(self.capacity * sizeof(bus_private_t))
        self.m.lines = <uint8_t*> pool_room(<size_t> self.capacity * LINE_BYTES)
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
        self.m.random = int.from_bytes(os.urandom(8), "little") | 1 if not lab else 88172645463325252
        for i in range(PHASES):
            self.m.phase_first[i] = NONE
        for i in range(WHEEL_SLOTS):
            self.m.wheel[i] = NONE
        self.m.deferred_first = self.m.key_first = self.m.inject_first = self.m.flood_first = NONE
        self.m.epoll_fd = self.m.wake_fd = -1
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
        self.peer_arrays = {}
        self.silences = {}
        self.retired = []

    def __dealloc__(self):
        if self.m.privates != NULL:
            munmap(self.m.privates, self.capacity * sizeof(endpoint_private_t))
        if self.m.bus_privates != NULL:
            munmap(self.m.bus_privates, self.capacity * sizeof(bus_private_t))
        if self.m.lines != NULL:
            munmap(self.m.lines, <size_t> self.capacity * LINE_BYTES)
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
        free(self.edit_memory)
        free(self.fact_memory)

    # -- running -------------------------------------------------------------------------------------------------------

    def run(self):
        """The media thread: returns after stop()."""
        with nogil:
            loop_run(&self.m)

    def stop(self):
        self.m.stop = 1
        self.wake(True)

    cdef void wake(self, bint always) noexcept:
        cdef uint64_t one = 1
        __atomic_thread_fence(__ATOMIC_SEQ_CST)     # an edit is written before we look whether the media thread sleeps
        if self.m.wake_fd >= 0 and (always or rt_load_acquire32(<uint32_t*> &self.m.sleeping)):
            write(self.m.wake_fd, &one, 8)

    cdef edit_t* edit_new(self, uint32_t kind) except NULL:
        """A record to fill.  A full ring waits for the media thread; in the lab it is drained by step()."""
        cdef edit_t* d = <edit_t*> ring_slot(&self.m.edits)
        while d == NULL:
            if self.m.lab:
                loop_step(&self.m, self.m.now_us)
            else:
                self.wake(True)
                threading.Event().wait(0.0005)
            d = <edit_t*> ring_slot(&self.m.edits)
        memset(d, 0, sizeof(edit_t))
        d.kind = kind
        return d

    cdef uint64_t edit_done(self) noexcept:
        ring_push(&self.m.edits)
        self.edits_written += 1
        self.wake(False)
        return self.edits_written

    def applied(self):
        cdef uint64_t done = rt_load_acquire64(<const unsigned long*> &self.m.stats.edits_applied)
        while self.retired and self.retired[0][0] <= done:
            free(<void*> <uint64_t> self.retired.pop(0)[1])
        return done

    # -- endpoints -----------------------------------------------------------------------------------------------------

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
        e.event_tx_type = 0xFF
        memset(e.event_type, 0xFF, sizeof(e.event_type))
        self.m.arena.high_water = self.endpoint_slots.used
        return e.handle

    def endpoint_free(self, uint32_t handle):
        """Give the slot back; it rests 2 s."""
        cdef endpoint_t* e = self.slot(handle)
        cdef uint32_t index = handle & INDEX_MASK
        if e.kind != KIND_FREE:
            raise RuntimeError("the endpoint is still open")
        madvise(self.m.lines + <size_t> index * LINE_BYTES, LINE_BYTES, MADV_DONTNEED)
        e.handle = handle & ~<uint32_t> INDEX_MASK          # index 0: no live handle, the generation is kept
        self.endpoint_slots.give_back(index, self.now())

    def now(self):
        return self.m.now_us if self.m.lab else clock_us()

    cdef void touch(self, uint32_t handle) noexcept:
        """Have the kernel find the pages of a slot's private memory now, so that the media thread never waits for that."""
        cdef endpoint_private_t* p = self.m.privates + (handle & INDEX_MASK)
        memset(p, 0, sizeof(endpoint_private_t))

    def endpoint_open(self, uint32_t handle, *, int rtp_fd, int rtcp_fd, local, int local_rtcp_port, uint32_t ssrc,
                      str cname, uint16_t seq, uint32_t timestamp):
        cdef endpoint_t* e = self.slot(handle)
        cdef bytes name = cname.encode("ascii")[:CNAME_BYTES]
        lock_begin(e)
        e.rtp_fd = rtp_fd
        e.rtcp_fd = rtcp_fd
        addr_fill(&e.local, local[0], local[1])
        e.local_rtcp_port = local_rtcp_port
        e.tx_ssrc = ssrc
        e.tx_seq = seq - 1
        e.tx_ts = timestamp
        e.cname_bytes = len(name)
        memcpy(e.cname, <const char*> name, len(name))
        e.flags = EP_PROBE if cname == "probe" else EP_LEARNING
        e.kind = KIND_RTP
        lock_end(e)
        self.touch(handle)
        self.edit_new(EDIT_OPEN).handle = handle
        return self.edit_done()

    def endpoint_media(self, uint32_t handle, *, receive, int send_payload_type, int send_codec, event_receive,
                       event_send, bint may_receive, bint may_send):
        cdef edit_t* d
        cdef int i
        self.slot(handle)
        if len(receive) > RECEIVE_TYPES or len(event_receive) > EVENT_TYPES:
            raise ValueError("too many payload types")
        if codec_get(send_codec) == NULL or any(codec_get(codec) == NULL for _, codec in receive):
            raise ValueError("unknown codec number")
        d = self.edit_new(EDIT_MEDIA)
        d.handle = handle
        d.receive_count = len(receive)
        for i in range(len(receive)):
            d.receive_type[i], d.receive_codec[i] = receive[i]
        memset(d.event_type, 0xFF, EVENT_TYPES)
        for i in range(len(event_receive)):
            d.event_type[i], d.event_rate[i] = event_receive[i]
        d.event_tx_type, d.event_tx_rate = event_send if event_send is not None else (0xFF, 8000)
        d.send_type = send_payload_type
        d.send_codec = send_codec
        d.a = may_receive
        d.b = may_send
        return self.edit_done()

    def endpoint_remote(self, uint32_t handle, *, remote, int rtcp_port, bint learn, bint send_at_once):
        cdef addr_t address
        cdef edit_t* d
        self.slot(handle)
        addr_fill(&address, remote[0], remote[1])
        d = self.edit_new(EDIT_REMOTE)
        d.handle = handle
        d.addr = address
        d.a = rtcp_port
        d.b = learn
        d.c = send_at_once
        return self.edit_done()

    def endpoint_mux(self, uint32_t handle):
        self.slot(handle)
        self.edit_new(EDIT_MUX).handle = handle
        return self.edit_done()

    def endpoint_close(self, uint32_t handle):
        self.slot(handle)
        self.edit_new(EDIT_CLOSE).handle = handle
        return self.edit_done()

    def inject(self, uint32_t handle, *, int event, int duration_ms, int volume):
        cdef edit_t* d
        self.slot(handle)
        d = self.edit_new(EDIT_INJECT)
        d.handle = handle
        d.a = event
        d.b = duration_ms
        d.c = volume
        return self.edit_done()

    def gather(self, int us):
        """See media.pyi."""
        if not 0 <= us <= GATHER_MAX_US:
            raise ValueError(f"packets gather for 0 to {GATHER_MAX_US} microseconds, not {us}")
        self.m.gather_us = us

    def source_networks(self, networks):
        cdef bytes packed
        if len(networks) > 64:
            raise ValueError("at most 64 source networks")
        for i, text in enumerate(networks):
            network = ipaddress.ip_network(text)
            packed = network.network_address.packed
            memcpy(self.m.networks[i].ip, <const uint8_t*> packed, len(packed))
            self.m.networks[i].family = network.version
            self.m.networks[i].prefix = network.prefixlen
        self.m.network_count = len(networks)

    def tone_open(self, uint32_t handle, *, int kind, double frequency_hz, int64_t duration_ms):
        cdef endpoint_t* e = self.slot(handle)
        cdef edit_t* d
        lock_begin(e)
        e.kind = KIND_TONE
        lock_end(e)
        self.touch(handle)
        d = self.edit_new(EDIT_TONE)
        d.handle = handle
        d.a = kind
        d.b = <int32_t> min(duration_ms, 0x7FFFFFFF)
        d.x = frequency_hz
        return self.edit_done()

    # -- buses ---------------------------------------------------------------------------------------------------------

    def bus_take(self):
        index = self.bus_slots.take(self.now())
        if index < 0:
            raise RuntimeError("no bus is free")
        self.arena.bus(index).in_use = (self.arena.bus(index).in_use >> 1) + 1 << 1 | 1
        return index

    def bus_free(self, uint32_t bus):
        self.arena.bus(bus).in_use &= ~<uint32_t> 1
        self.bus_slots.give_back(bus, self.now())

    cdef edit_t* bus_edit(self, uint32_t kind, uint32_t bus) except NULL:
        cdef edit_t* d
        if bus >= self.capacity or not self.arena.bus(bus).in_use & 1:
            raise ValueError("no such bus")
        d = self.edit_new(kind)
        d.bus = bus
        return d

    cdef uint64_t member_edit(self, uint32_t kind, uint32_t bus, uint32_t handle) except 0:
        cdef edit_t* d
        self.slot(handle)
        d = self.bus_edit(kind, bus)
        d.handle = handle
        return self.edit_done()

    def bus_open(self, uint32_t bus, *, int phase, int key_relay_limit):
        cdef edit_t* d = self.bus_edit(EDIT_BUS_OPEN, bus)
        d.a = phase
        d.b = key_relay_limit
        return self.edit_done()

    def bus_close(self, uint32_t bus):
        self.bus_edit(EDIT_BUS_CLOSE, bus)
        n = self.edit_done()
        self.retire_peers(bus, n)
        return n

    def source_add(self, uint32_t bus, uint32_t handle):
        return self.member_edit(EDIT_SOURCE_ADD, bus, handle)

    def source_remove(self, uint32_t bus, uint32_t handle):
        return self.member_edit(EDIT_SOURCE_REMOVE, bus, handle)

    def destination_add(self, uint32_t bus, uint32_t handle):
        return self.member_edit(EDIT_DESTINATION_ADD, bus, handle)

    def destination_remove(self, uint32_t bus, uint32_t handle):
        return self.member_edit(EDIT_DESTINATION_REMOVE, bus, handle)

    def partial_take(self):
        if not self.free_partials:
            raise RuntimeError("no partial-sum slot is free")
        slot = self.free_partials.pop()
        memset(self.arena.partial(slot), 0, PARTIAL_DEPTH * sizeof(partial_t))
        return slot

    def partial_free(self, int slot):
        self.free_partials.append(slot)

    cdef void retire_peers(self, uint32_t bus, uint64_t n):
        address = self.peer_arrays.pop(bus, None)
        if address:
            self.retired.append((n, address))

    def bus_spread(self, uint32_t bus, *, int slot, peers):
        cdef uint64_t* array = NULL
        cdef edit_t* d
        cdef int i
        if len(peers) > 63:
            raise ValueError("a bus spreads over at most 64 workers")
        if peers:
            array = <uint64_t*> calloc(len(peers), sizeof(uint64_t))
            if array == NULL:
                raise MemoryError
            for i in range(len(peers)):
                array[i] = peers[i]
        d = self.bus_edit(EDIT_BUS_SPREAD, bus)
        d.a = slot
        d.b = len(peers)
        d.address = <uint64_t> array
        n = self.edit_done()
        self.retire_peers(bus, n)
        if array != NULL:
            self.peer_arrays[bus] = <uint64_t> array
        return n

    # -- facts and readings --------------------------------------------------------------------------------------------

    cdef tuple fact_tuple(self, fact_t* f):
        if f.kind == FACT_PINNED_:
            return (f.kind, f.handle, *addr_pair(&f.addr))
        if f.kind == FACT_KEY_:
            return f.kind, f.handle, f.a, f.b
        if f.kind == FACT_BYE_:
            reason = None if f.text_bytes < 0 else f.text[:f.text_bytes].decode("utf-8", "replace")
            return f.kind, f.handle, [f.ssrcs[i] for i in range(f.ssrc_count)], reason
        return f.kind, f.handle

    def facts(self, int limit=4096):
        cdef fact_t* f
        out = []
        while len(out) < limit:
            f = <fact_t*> ring_peek(&self.m.facts)
            if f == NULL:
                break
            out.append(self.fact_tuple(f))
            ring_pop(&self.m.facts)
        return out

    def silent(self, int64_t limit_us):
        quiet = silent_scan(&self.m, limit_us, self.now())
        told = self.silences
        self.silences = {handle: since for handle, _, since in quiet}
        return [(handle, ms) for handle, ms, since in quiet if told.get(handle) != since]

    def stats(self, uint32_t handle):
        return endpoint_stats(self.slot(handle), self.now())

    def stats_records(self, list handles not None):
        cdef Py_ssize_t i
        cdef int64_t now_us = self.now()
        cdef bytes out = PyBytes_FromStringAndSize(NULL, len(handles) * <Py_ssize_t> sizeof(stats_record_t))
        for i in range(len(handles)):
            endpoint_record(self.slot(handles[i]), now_us, &(<stats_record_t*> PyBytes_AS_STRING(out))[i])
        return out

    def line(self, uint32_t handle):
        cdef endpoint_t* e = self.slot(handle)
        return {"ssrc": e.tx_ssrc, "cname": e.cname[:e.cname_bytes].decode("ascii"),
                "remote": addr_text(&e.remote)}

    def last_activity_us(self, uint32_t handle):
        cdef endpoint_t* e = self.slot(handle)
        return max(e.rx_last_us, e.tx_last_us)

    def metrics(self):
        out = worker_metrics(&self.m)
        # A late packet fills a gap that was counted: the total told never goes back.
        self.lost = max(self.lost, out["counters"].pop("rx_gaps") - out["counters"].pop("rx_gaps_filled"))
        out["counters"]["lost"] = self.lost
        return out

    def memory(self):
        cdef size_t n = self.capacity
        cdef size_t mapped = 0
        cdef uint64_t held = 0
        cdef uint64_t arena = pool_resident(self.m.arena, self.arena.mapped)
        cdef list pools = [
            (<uint64_t> self.m.privates, n * sizeof(endpoint_private_t)),
            (<uint64_t> self.m.bus_privates, n * sizeof(bus_private_t)),
            (<uint64_t> self.m.lines, n * LINE_BYTES),
            (<uint64_t> self.m.floods, 2 * n * sizeof(flood_t)),
            (<uint64_t> self.m.present, n * PLAYOUT_WORDS * sizeof(uint64_t)),
        ]
        for at, size in pools:
            mapped += size
            held += pool_resident(<void*> <uint64_t> at, size)
        slots = max(1, self.endpoint_slots.used)
        return {"arena_bytes": self.arena.mapped, "arena_resident_bytes": arena, "private_bytes": mapped,
                "private_resident_bytes": held, "endpoint_resident_bytes": (arena + held) // slots}
