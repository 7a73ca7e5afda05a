"""The media thread in virtual time: no sockets, no epoll; datagrams are fed and what would be sent is read back.

`LabMedia(arena, fact_fd=-1, lab=True)` is a `Media` (media.pyi) whose clock is the caller.  Time only goes forward.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from roomtone.ext.flow.audit cimport audit
from roomtone.ext.flow.constants cimport DATAGRAM_MAX, FRAME_8K, TICK_US
from roomtone.ext.flow.counters cimport COUNT_RX_RAW, DROP_OVERSIZE, DROP_SHORT
from roomtone.ext.flow.edit_writer cimport addr_fill
from roomtone.ext.flow.endpoint cimport EP_LEARNING, EP_TICKED, addr_t, endpoint_t
from roomtone.ext.flow.graph cimport count, drop
from roomtone.ext.flow.loop cimport loop_step
from roomtone.ext.flow.media cimport Media
from roomtone.ext.flow.report cimport report_receive
from roomtone.ext.flow.rx_demux cimport rx_datagram, rx_learn

cdef enum:
    INDEX_MASK = 0xFFFFF


cdef void packet_move(uint8_t* data, int packets) noexcept nogil:
    """Move an RTP header on by so many packets of 160 samples."""
    cdef uint16_t seq = (<uint16_t> data[2] << 8 | data[3]) + <uint16_t> packets
    cdef uint32_t timestamp = (<uint32_t> data[4] << 24 | <uint32_t> data[5] << 16 | <uint32_t> data[6] << 8 | data[7])
    cdef int i
    timestamp += <uint32_t> packets * FRAME_8K
    data[2] = seq >> 8
    data[3] = seq & 0xFF
    for i in range(4):
        data[4 + i] = timestamp >> (24 - 8 * i) & 0xFF


cdef class LabMedia(Media):
    """Feed, step, look."""

    def feed(self, uint32_t handle, bytes data, source, int64_t now_us, bint rtcp=False):
        """One datagram, as if its socket had been read now."""
        cdef endpoint_t* e = self.slot(handle)
        cdef addr_t address
        cdef int n = len(data)
        addr_fill(&address, source[0], source[1])
        self.m.now_us = now_us
        if not 0 < n <= DATAGRAM_MAX:
            count(&self.m, COUNT_RX_RAW)
            e.rx_raw_packets += 1
            e.rx_raw_bytes += n
            e.rx_dropped += 1
            drop(&self.m, DROP_OVERSIZE if n else DROP_SHORT)
            return
        memcpy(self.m.packet, <const uint8_t*> data, n)
        if rtcp:
            count(&self.m, COUNT_RX_RAW)
            e.rx_raw_packets += 1
            e.rx_raw_bytes += n
            report_receive(&self.m, e, n, &address, now_us)
        elif e.flags & EP_LEARNING:
            rx_learn(&self.m, e, n, &address, now_us)
        else:
            rx_datagram(&self.m, e, n, now_us, now_us)
            if e.flags & EP_TICKED:
                e.idle_reads = 0

    def step(self, int64_t now_us):
        loop_step(&self.m, now_us)

    def drive(self, handles, bytes data, int64_t now_us, int ticks, int turns=1):
        """A call by itself, for benchmarks: ticks times 20 ms in which each handle gets the packet in `data`, its sequence
        number and timestamp (of 160 samples a packet) running on, and `turns` loop turns are taken.  What is sent is
        thrown away.  Returns the time reached."""
        cdef uint32_t[1024] who
        cdef int members = len(handles)
        cdef int size = len(data)
        cdef int tick, _turn, i
        cdef const uint8_t* bytes_ = data
        if not (0 < members <= 1024 and 12 <= size <= DATAGRAM_MAX and 0 < turns <= 20):
            raise ValueError("1 to 1024 members, one RTP packet, 1 to 20 turns")
        for i in range(members):
            self.slot(handles[i])
            who[i] = handles[i] & INDEX_MASK
        with nogil:
            for tick in range(ticks):
                for i in range(members):
                    memcpy(self.m.packet, bytes_, size)
                    packet_move(self.m.packet, tick)
                    rx_datagram(&self.m, self.m.endpoints + who[i], size, now_us, now_us)
                    self.m.endpoints[who[i]].idle_reads = 0
                for _turn in range(turns):
                    now_us += TICK_US // turns
                    loop_step(&self.m, now_us)
                self.m.outbox.used = 0
        return now_us

    def sent(self):
        cdef uint8_t* at = self.m.outbox.data
        cdef uint32_t used = self.m.outbox.used
        cdef uint32_t size
        out = []
        while at < self.m.outbox.data + used:
            size = (<uint32_t*> (at + 12))[0]
            out.append(((<int64_t*> at)[0], (<uint32_t*> (at + 8))[0], at[16:16 + (size & 0x7FFFFFFF)],
                        bool(size >> 31)))
            at += 16 + ((size & 0x7FFFFFFF) + 7 & ~<uint32_t> 7)
        self.m.outbox.used = 0
        return out

    def check(self):
        """What contradicts itself in lists, counts and flags (ext/flow/audit); only in the lab, between steps."""
        return audit(&self.m)
