"""A worker's hot state in shared memory: sparse memfd, fixed pools, a header that says what it is.

The supervisor formats it and keeps a descriptor; the worker maps it for writing, other workers and `roomtone inspect`
for reading.  It holds no pointers.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

import os
import socket

from roomtone.ext.base.types cimport rt_fence_acquire, rt_load_acquire32
from roomtone.ext.flow.constants cimport ARENA_LAYOUT, ARENA_MAGIC, PARTIAL_SLOTS
from roomtone.ext.flow.counters cimport worker_t
from roomtone.ext.flow.endpoint cimport KIND_BRIDGE, KIND_FILE, KIND_FREE, KIND_RTP, KIND_TONE, addr_t, endpoint_t
from roomtone.ext.flow.graph cimport arena_header_t, bus_t, partial_t, published_t

KIND_NAMES = {KIND_RTP: "rtp", KIND_TONE: "tone", KIND_FILE: "file", KIND_BRIDGE: "bridge"}

cdef enum:
    PAGE = 4096
    READ_TRIES = 1000               # a lock that stays odd that long belongs to a writer that died


cdef uint64_t fold(uint64_t h, uint64_t value) noexcept nogil:
    return (h ^ value) * 1099511628211u             # FNV-1a, 64 bit


cdef uint64_t offset(const void* begin, const void* field) noexcept nogil:
    return <uint64_t> field - <uint64_t> begin


cdef uint64_t layout_hash() noexcept nogil:
    cdef uint64_t h = 14695981039346656037u
    cdef endpoint_t e
    h = fold(h, ARENA_LAYOUT)
    h = fold(h, sizeof(arena_header_t))
    h = fold(h, sizeof(worker_t))
    h = fold(h, sizeof(endpoint_t))
    h = fold(h, sizeof(bus_t))
    h = fold(h, sizeof(published_t))
    h = fold(h, offset(&e, &e.rx_ssrc))
    h = fold(h, offset(&e, &e.tx_ssrc))
    h = fold(h, offset(&e, &e.local))
    h = fold(h, offset(&e, &e.cname))
    return h


cdef uint64_t pages(uint64_t n) noexcept nogil:
    return (n + PAGE - 1) // PAGE * PAGE


cdef void layout_offsets(arena_header_t* header, uint32_t endpoints) noexcept nogil:
    header.endpoint_offset = pages(sizeof(arena_header_t))
    header.bus_offset = header.endpoint_offset + pages(<uint64_t> endpoints * sizeof(endpoint_t))
    header.partial_offset = header.bus_offset + pages(<uint64_t> endpoints * sizeof(bus_t))
    header.bytes = header.partial_offset + pages(<uint64_t> PARTIAL_SLOTS * sizeof(published_t))


cdef uint64_t layout_bytes(uint32_t endpoints) noexcept nogil:
    cdef arena_header_t header
    layout_offsets(&header, endpoints)
    return header.bytes


def arena_bytes(uint32_t endpoints):
    """Size of an arena with so many slots (sparse; only touched pages cost memory)."""
    return layout_bytes(endpoints)


cdef str addr_text(const addr_t* a):
    if a.family == 4:
        return f"{socket.inet_ntop(socket.AF_INET, (<const uint8_t*> a.ip)[:4])}:{a.port}"
    if a.family == 6:
        return f"[{socket.inet_ntop(socket.AF_INET6, (<const uint8_t*> a.ip)[:16])}]:{a.port}"
    return ""


cdef class Arena:
    """See media.pyi."""

    def __cinit__(self, int fd, *, bint writable=False):
        cdef size_t size = os.fstat(fd).st_size
        cdef void* at
        if size < sizeof(arena_header_t):
            raise ValueError("not an arena: too small")
        at = mmap(NULL, size, PROT_READ | (PROT_WRITE if writable else 0), MAP_SHARED, fd, 0)
        if at == MAP_FAILED:
            raise OSError("the arena could not be mapped")
        self.header = <arena_header_t*> at
        self.mapped = size
        self.writable = writable
        if self.header.magic != ARENA_MAGIC:
            raise ValueError("not an arena: wrong magic")
        if self.header.layout_hash != layout_hash():
            raise ValueError("the arena was made by a build with another layout")
        if self.header.bytes != size or layout_bytes(self.header.endpoints) != size:
            raise ValueError("the arena's size does not match its header")

    def __dealloc__(self):
        self.close()

    def close(self):
        if self.header != NULL:
            munmap(self.header, self.mapped)
            self.header = NULL

    @staticmethod
    def format(int fd, *, uint32_t endpoints, uint32_t worker, uint32_t epoch):
        """Size and initialise a fresh memfd."""
        cdef arena_header_t header
        if not 1 <= endpoints <= 1 << 20:
            raise ValueError("an arena has 1 to 1048576 endpoint slots")
        memset(&header, 0, sizeof(header))
        layout_offsets(&header, endpoints)
        header.magic = ARENA_MAGIC
        header.layout = ARENA_LAYOUT
        header.layout_hash = layout_hash()
        header.endpoints = endpoints
        header.worker = worker
        header.epoch = epoch
        os.ftruncate(fd, header.bytes)
        os.pwrite(fd, (<uint8_t*> &header)[:sizeof(header)], 0)

    @property
    def endpoints(self):
        return self.header.endpoints

    @property
    def worker(self):
        return self.header.worker

    @property
    def epoch(self):
        return self.header.epoch

    cdef endpoint_t* endpoint(self, uint32_t index) noexcept:
        return <endpoint_t*> (<uint8_t*> self.header + self.header.endpoint_offset) + index

    cdef bus_t* bus(self, uint32_t index) noexcept:
        return <bus_t*> (<uint8_t*> self.header + self.header.bus_offset) + index

    cdef published_t* published(self, uint32_t slot) noexcept:
        return <published_t*> (<uint8_t*> self.header + self.header.partial_offset) + slot

    def partial_address(self, uint32_t slot):
        """Address of a partial-sum slot in this process; valid until close()."""
        if slot >= PARTIAL_SLOTS:
            raise ValueError("no such partial slot")
        return <uint64_t> self.published(slot)

    def inspect(self):
        """Every endpoint in use, read under its sequence lock; works on a dead worker's arena."""
        cdef endpoint_t copy
        cdef endpoint_t* e
        cdef uint32_t i
        cdef uint32_t lock
        cdef int _attempt
        cdef bint torn
        out = []
        for i in range(self.header.high_water):
            e = self.endpoint(i)
            if e.kind == KIND_FREE:
                continue
            torn = True
            for _attempt in range(READ_TRIES):
                lock = rt_load_acquire32(&e.lock)
                memcpy(&copy, e, sizeof(endpoint_t))
                rt_fence_acquire()
                if lock & 1 == 0 and rt_load_acquire32(&e.lock) == lock:
                    torn = False
                    break
            out.append({
                "handle": copy.handle,
                "kind": KIND_NAMES.get(copy.kind, ""),
                "torn": torn,
                "bus": copy.bus if copy.bus != 0xFFFFFFFF else None,
                "local": addr_text(&copy.local),
                "local_rtcp_port": copy.local_rtcp_port,
                "remote": addr_text(&copy.remote),
                "remote_rtcp": addr_text(&copy.remote_rtcp),
                "cname": copy.cname[:copy.cname_bytes].decode("ascii", "replace"),
                "ssrc_rx": copy.rx_ssrc,
                "seq_rx": copy.max_seq,
                "timestamp_rx": copy.rx_ts,
                "ssrc_tx": copy.tx_ssrc,
                "seq_tx": copy.tx_seq,
                "timestamp_tx": copy.tx_ts,
                "payload_type_tx": copy.tx_payload_type,
                "codec_rx": copy.rx_codec,
                "codec_tx": copy.tx_codec,
                "rx_packets": copy.rx_packets,
                "tx_packets": copy.tx_packets,
                "rx_dropped": copy.rx_dropped,
            })
        return out


# -- for tests and tools -----------------------------------------------------------------------------------------------

def layout():
    """{name: (size, {field: offset})} of the structs in shared memory, for the layout test."""
    cdef endpoint_t e
    return {
        "endpoint_t": (sizeof(endpoint_t), {
            "rx_ssrc": offset(&e, &e.rx_ssrc),
            "play_ts": offset(&e, &e.play_ts),
            "tx_ssrc": offset(&e, &e.tx_ssrc),
            "key_tx_until_us": offset(&e, &e.key_tx_until_us),
            "receive_type": offset(&e, &e.receive_type),
            "rtt_at_us": offset(&e, &e.rtt_at_us),
            "next_key": offset(&e, &e.next_key),
            "local": offset(&e, &e.local),
            "remote_rtcp": offset(&e, &e.remote_rtcp),
            "cname": offset(&e, &e.cname),
        }),
        "bus_t": (sizeof(bus_t), {}),
        "partial_t": (sizeof(partial_t), {}),
        "published_t": (sizeof(published_t), {}),
        "worker_t": (sizeof(worker_t), {}),
        "arena_header_t": (sizeof(arena_header_t), {}),
    }
