"""Records in, chunks out; and the Python face of the recorder.  The contract is drain.pyi.

Orders and records are one sequence: an order says behind which position of the ring it belongs, so a recording begins
and ends at an exact packet however late the drain comes to it.  While something is recorded the drain looks every
TURN_US; else it sleeps until an order wakes it.
"""

from libc.stdint cimport int16_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from roomtone.ext.base.clock cimport clock_us
from roomtone.ext.base.stack cimport node_t, stack_push, stack_take
from roomtone.ext.base.types cimport RT_LATE
from roomtone.ext.dsp.limiter cimport limiter_reset
from roomtone.ext.record._file cimport (
    EFD_CLOEXEC,
    EFD_NONBLOCK,
    POLLIN,
    close,
    eventfd,
    poll,
    pollfd,
    read,
    rt_load32,
    rt_load64,
    rt_store32,
    rt_store64,
    rt_wake,
)
from roomtone.ext.record.blocks cimport blocks_advance, blocks_finish
from roomtone.ext.record.capture cimport (
    CAPTURE_FRAME,
    CAPTURE_RTP_IN,
    capture_head,
    capture_peek,
    capture_pop,
    capture_ring_t,
    capture_t,
)
from roomtone.ext.record.chunk cimport (
    chunk_flush,
    chunk_order,
    chunk_room,
    chunk_used,
    chunk_waiting,
)
from roomtone.ext.record.leg cimport leg_put
from roomtone.ext.record.pcap cimport PCAP_HEADER_BYTES, PCAP_OVERHEAD_MAX, pcap_header, pcap_packet
from roomtone.ext.record.recording cimport (
    BLOCK_US,
    CHANNELS_MAX,
    CHUNK_CLOSE,
    CHUNK_DATA,
    CHUNK_WIDEN,
    FORMAT_PCAP,
    FORMAT_WAV,
    LOSS_CHANNEL,
    LOSS_CHANNELS,
    LOSS_FILE,
    LOSS_LATE,
    LOSS_RING,
    NAME_BYTES,
    ORDER_CLOSE,
    ORDER_LEG,
    ORDER_LEG_END,
    ORDER_OPEN,
    WAV_HEADER_BYTES,
    WINDOW_BLOCKS,
    drain_t,
    leg_t,
    order_t,
    recording_t,
)
from roomtone.ext.record.wav cimport wav_header
from roomtone.ext.record.writer cimport Writer


cdef enum:
    TURN_US = 50000
    FLUSH_US = 200000               # the writer gets what there is at least so often
    SILENT_US = 1000000             # and hears how long a silent WAV has become
    INDEX_MASK = 0xFFFFF


LOSS_NAMES = ("ring_full", "channel_full", "late", "channels", "file")


cdef inline void lose(recording_t* r, int reason, uint64_t packets) noexcept nogil:
    rt_store64(&r.lost[reason], r.lost[reason] + packets)


# -- records -----------------------------------------------------------------------------------------------------------

cdef inline bint wanted(const recording_t* r, const capture_t* record) noexcept nogil:
    """A WAV wants what sources say, a pcap what was on the wire."""
    if r.format == FORMAT_PCAP:
        return record.kind != CAPTURE_FRAME
    return record.kind == CAPTURE_FRAME or (record.kind == CAPTURE_RTP_IN and record.codec != 0)


cdef void count_lost(leg_t* leg, uint32_t lost, uint32_t lost_heard) noexcept nogil:
    """The ring's losses since the last look."""
    cdef uint32_t total = lost if leg.recording.format == FORMAT_PCAP else lost_heard
    if total != leg.lost_known:
        lose(leg.recording, LOSS_RING, total - leg.lost_known)
        leg.lost_known = total


cdef void put_pcap(recording_t* r, const capture_t* record) noexcept nogil:
    cdef uint8_t* room = chunk_room(r, PCAP_OVERHEAD_MAX + record.bytes, record.at_us)
    if room == NULL:
        lose(r, LOSS_FILE, 1)
        return
    chunk_used(r, pcap_packet(room, record, record.at_us + r.wall_offset_us), 1)


cdef void put_wav(drain_t* d, leg_t* leg, const capture_t* record) noexcept nogil:
    blocks_advance(d, leg.recording, record.at_us)
    if leg.window == NULL:
        lose(leg.recording, LOSS_CHANNELS, 1)
    elif leg_put(leg, record) == RT_LATE:
        lose(leg.recording, LOSS_LATE, 1)


cdef void put(drain_t* d, leg_t* leg, const capture_t* record) noexcept nogil:
    cdef recording_t* r = leg.recording
    count_lost(leg, record.lost, record.lost_heard)
    if not wanted(r, record):
        return
    if rt_load32(&r.error):
        lose(r, LOSS_FILE, 1)
    elif chunk_waiting(r) >= <int64_t> r.limit:
        lose(r, LOSS_CHANNEL, 1)
    elif r.format == FORMAT_PCAP:
        put_pcap(r, record)
    else:
        put_wav(d, leg, record)


cdef void consume(drain_t* d, uint64_t until) noexcept nogil:
    cdef const capture_t* record = capture_peek(d.ring, until)
    cdef leg_t* leg
    while record != NULL:
        leg = d.legs[record.handle & INDEX_MASK]
        while leg != NULL:
            if leg.handle == record.handle:
                put(d, leg, record)
            leg = leg.next_here
        capture_pop(d.ring, record)
        record = capture_peek(d.ring, until)


# -- orders ------------------------------------------------------------------------------------------------------------

cdef void begin(drain_t* d, recording_t* r) noexcept nogil:
    """An empty file of its kind is a file already."""
    cdef uint8_t* room = chunk_room(r, WAV_HEADER_BYTES, r.started_us)
    r.prev = NULL
    r.next = d.first
    if d.first != NULL:
        d.first.prev = r
    d.first = r
    r.told_us = r.started_us
    if room == NULL:
        return
    if r.format == FORMAT_PCAP:
        pcap_header(room)
        chunk_used(r, PCAP_HEADER_BYTES, 0)
    else:
        limiter_reset(&r.limiter)
        wav_header(room, r.channels, r.rate_hz, WAV_HEADER_BYTES)
        chunk_used(r, WAV_HEADER_BYTES, 0)
    chunk_flush(r)


cdef leg_t* used_channel(recording_t* r, bint made_here) noexcept nogil:
    """One that may serve again: of a source made here that has ended, or any where there are no channels to tell apart."""
    cdef leg_t* leg = r.first_leg
    while leg != NULL:
        if not leg.here and ((leg.made_here and made_here) or r.mix or r.format == FORMAT_PCAP):
            return leg
        leg = leg.next
    return NULL


cdef leg_t* new_channel(recording_t* r) noexcept nogil:
    cdef leg_t* leg = <leg_t*> calloc(1, sizeof(leg_t))
    if leg == NULL:
        return NULL
    leg.recording = r
    leg.channel = r.leg_count
    r.leg_count += 1
    if r.last_leg == NULL:
        r.first_leg = leg
    else:
        r.last_leg.next = leg
    r.last_leg = leg
    if r.format == FORMAT_PCAP or (not r.mix and leg.channel >= CHANNELS_MAX):
        return leg
    leg.window = <int16_t*> calloc(WINDOW_BLOCKS * r.block, sizeof(int16_t))
    if not r.mix and leg.channel >= r.channels:
        chunk_order(r, CHUNK_WIDEN, r.blocks * r.block, leg.channel + 1, r.channels)
        r.channels = leg.channel + 1
        r.end = WAV_HEADER_BYTES + 2 * r.blocks * r.block * r.channels
    return leg


cdef void begin_leg(drain_t* d, const order_t* order) noexcept nogil:
    cdef recording_t* r = order.recording
    cdef leg_t* leg
    if r.format == FORMAT_WAV:
        blocks_advance(d, r, order.at_us)
    leg = used_channel(r, order.made_here)
    if leg == NULL:
        leg = new_channel(r)
    if leg == NULL:
        return
    leg.handle = order.handle
    leg.here = 1
    leg.made_here = order.made_here
    leg.lost_known = order.lost
    leg.anchored = 0
    leg.next_here = d.legs[order.handle & INDEX_MASK]
    d.legs[order.handle & INDEX_MASK] = leg


cdef void leave(drain_t* d, leg_t* leg) noexcept nogil:
    """Records of its endpoint go past it from now on."""
    cdef leg_t** at = &d.legs[leg.handle & INDEX_MASK]
    while at[0] != NULL and at[0] != leg:
        at = &at[0].next_here
    if at[0] == leg:
        at[0] = leg.next_here
    leg.here = 0


cdef void end_leg(drain_t* d, const order_t* order) noexcept nogil:
    cdef leg_t* leg = order.recording.first_leg
    while leg != NULL:
        if leg.here and leg.handle == order.handle:
            count_lost(leg, order.lost, order.lost)
            leave(d, leg)
            return
        leg = leg.next


cdef void free_legs(drain_t* d, recording_t* r) noexcept nogil:
    cdef leg_t* leg = r.first_leg
    cdef leg_t* next_leg
    cdef int i
    while leg != NULL:
        next_leg = leg.next
        if leg.here:
            leave(d, leg)
        for i in range(WINDOW_BLOCKS):
            lose(r, LOSS_FILE, leg.packets[i])      # of a file that failed; else they are written
        free(leg.window)
        free(leg)
        leg = next_leg
    r.first_leg = r.last_leg = NULL


cdef void end(drain_t* d, recording_t* r, int64_t stopped_us) noexcept nogil:
    if r.format == FORMAT_WAV and not rt_load32(&r.error):
        blocks_finish(d, r, stopped_us)
    free_legs(d, r)
    if r.prev != NULL:
        r.prev.next = r.next
    else:
        d.first = r.next
    if r.next != NULL:
        r.next.prev = r.prev
    chunk_order(r, CHUNK_CLOSE, r.end, 0, 0)     # the last of it: the recording may be gone behind this


cdef void carry_out(drain_t* d, const order_t* order) noexcept nogil:
    if order.kind == ORDER_OPEN:
        begin(d, order.recording)
    elif order.kind == ORDER_LEG:
        begin_leg(d, order)
    elif order.kind == ORDER_LEG_END:
        end_leg(d, order)
    elif order.kind == ORDER_CLOSE:
        end(d, order.recording, order.at_us)


cdef void take_orders(drain_t* d) noexcept nogil:
    cdef node_t* node = stack_take(&d.orders)
    if node == NULL:
        return
    if d.pending == NULL:
        d.pending = <order_t*> node
    else:
        d.pending_last.node.next = node
    while node.next != NULL:
        node = node.next
    d.pending_last = <order_t*> node


# -- the turn ----------------------------------------------------------------------------------------------------------

cdef void look(drain_t* d, recording_t* r, int64_t now_us) noexcept nogil:
    """What became due."""
    if rt_load32(&r.error):
        return
    if r.format == FORMAT_WAV:
        blocks_advance(d, r, now_us)
        if r.chunk == NULL and now_us - r.told_us >= SILENT_US:
            chunk_order(r, CHUNK_DATA, r.end, 0, 0)
            r.told_us = now_us
    if r.chunk != NULL and now_us - r.chunk_us >= FLUSH_US:
        chunk_flush(r)


cdef void drain_turn(drain_t* d, int64_t now_us) noexcept nogil:
    cdef order_t* order
    cdef recording_t* r
    cdef uint64_t head
    take_orders(d)
    head = capture_head(d.ring)         # not before the orders: what they stand behind is in the ring
    while d.pending != NULL:
        order = d.pending
        consume(d, order.position)
        d.pending = <order_t*> order.node.next
        carry_out(d, order)
        free(order)
    consume(d, head)
    r = d.first
    while r != NULL:
        look(d, r, now_us)
        r = r.next


cdef void drain_run(drain_t* d) noexcept nogil:
    cdef pollfd wake
    cdef uint64_t value
    wake.fd = d.wake_fd
    wake.events = POLLIN
    while not rt_load32(&d.stop):
        poll(&wake, 1, TURN_US // 1000 if d.first != NULL else -1)
        read(d.wake_fd, &value, 8)
        drain_turn(d, clock_us())


# -- the Python face ---------------------------------------------------------------------------------------------------

cdef class Drain:
    """See drain.pyi."""

    def __cinit__(self, uint64_t ring, uint32_t endpoints):
        self.d.ring = <capture_ring_t*> ring
        self.d.capacity = endpoints
        self.d.legs = <leg_t**> calloc(endpoints, sizeof(leg_t*))
        self.d.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.d.legs == NULL or self.d.wake_fd < 0:
            raise MemoryError
        self.open = {}
        self.writers = {}

    def __dealloc__(self):
        if self.d.wake_fd >= 0:
            close(self.d.wake_fd)
        free(self.d.legs)

    def run(self):
        with nogil:
            drain_run(&self.d)

    def step(self, int64_t now_us):
        with nogil:
            drain_turn(&self.d, now_us)

    def stop(self):
        rt_store32(&self.d.stop, 1)
        rt_wake(self.d.wake_fd)

    cdef recording_t* find(self, id) except NULL:
        if id not in self.open:
            raise ValueError("no such recording")
        return <recording_t*> <uint64_t> self.open[id]

    cdef order_t* order(self, id, int kind, unsigned long long position) except NULL:
        cdef recording_t* r = self.find(id)
        cdef order_t* order = <order_t*> calloc(1, sizeof(order_t))
        if order == NULL:
            raise MemoryError
        order.recording = r
        order.kind = kind
        order.position = position
        return order

    cdef void post(self, order_t* order) noexcept:
        stack_push(&self.d.orders, &order.node)
        rt_wake(self.d.wake_fd)

    def begin(self, Writer writer not None, *, int fd, int folder_fd, bytes name, int rate_hz, int channels, bint mix,
              int64_t started_us, int64_t wall_offset_us, uint64_t limit, uint64_t position):
        cdef recording_t* r
        if len(name) >= NAME_BYTES or channels > CHANNELS_MAX or rate_hz not in (0, 8000, 16000):
            raise ValueError("a name of up to 255 bytes, up to 64 channels, 8 or 16 kHz (0: a pcap)")
        r = <recording_t*> calloc(1, sizeof(recording_t))
        if r == NULL:
            raise MemoryError
        self.ids += 1
        r.id = self.ids
        r.format = FORMAT_WAV if rate_hz else FORMAT_PCAP
        r.rate_hz = rate_hz
        r.block = rate_hz // (1000000 // BLOCK_US)
        r.mix = mix
        r.channels = r.header_channels = 1 if mix else max(1, channels)
        r.started_us = started_us
        r.wall_offset_us = wall_offset_us
        r.limit = limit
        r.fd = fd
        r.folder_fd = folder_fd
        memcpy(r.name, <const char*> name, len(name))
        r.writer = &writer.w
        self.open[r.id] = <uint64_t> r
        self.writers[r.id] = writer
        self.post(self.order(r.id, ORDER_OPEN, position))
        return r.id

    def leg(self, id, uint32_t handle, *, uint64_t position, int64_t at_us, lost, bint made_here):
        cdef order_t* order
        if handle & INDEX_MASK >= self.d.capacity:
            raise ValueError("no such endpoint handle")
        order = self.order(id, ORDER_LEG, position)
        order.handle = handle
        order.at_us = at_us
        order.lost = lost[order.recording.format == FORMAT_WAV]
        order.made_here = made_here
        self.post(order)

    def leg_end(self, id, uint32_t handle, *, uint64_t position, lost):
        cdef order_t* order = self.order(id, ORDER_LEG_END, position)
        order.handle = handle
        order.lost = lost[order.recording.format == FORMAT_WAV]
        self.post(order)

    def end(self, id, *, uint64_t position, int64_t stopped_us):
        cdef order_t* order = self.order(id, ORDER_CLOSE, position)
        order.at_us = stopped_us
        self.post(order)

    def abandon(self, id):
        rt_store32(&self.find(id).abandoned, 1)

    def counts(self, id):
        cdef recording_t* r = self.find(id)
        cdef uint64_t written = rt_load64(&r.written)
        cdef uint64_t queued = rt_load64(&r.queued)
        lost = {name: rt_load64(&r.lost[i]) for i, name in enumerate(LOSS_NAMES)}
        lost["file"] += queued - written
        return {"packets": written, "bytes": rt_load64(&r.bytes), "lost": lost, "error": rt_load32(&r.error)}

    def forget(self, id):
        cdef recording_t* r = self.find(id)
        del self.open[id]
        del self.writers[id]
        free(r)
