"""Records in, chunks out; and the Python face of the recorder.  The contract is drain.pyi.

Orders and records are one sequence: an order says behind which position of the ring it belongs, so a recording begins
and ends at an exact packet however late the drain comes to it.  While something is recorded the drain looks every
TURN_US; else it sleeps until an order wakes it.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from roomtone.ext.base.clock cimport clock_us
from roomtone.ext.base.stack cimport node_t, stack_push, stack_take
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
    rt_wake,
)
from roomtone.ext.record.blocks cimport blocks_advance, blocks_finish
from roomtone.ext.record.capture cimport (
    capture_data,
    capture_head,
    capture_peek,
    capture_pop,
    capture_ring_t,
    capture_t,
)
from roomtone.ext.record.chunk cimport chunk_flush, chunk_order, chunk_room, chunk_used
from roomtone.ext.record.feed cimport (
    FEED_LEG,
    FEED_LEG_END,
    FEED_LOST,
    feed_close,
    feed_free,
    feed_leg_of,
    feed_leg_t,
    feed_new,
    feed_next,
    feed_number,
)
from roomtone.ext.record.legs cimport leg_begin, leg_end_order, leg_order, leg_record, legs_anew, legs_free, lose
from roomtone.ext.record.pcap cimport PCAP_HEADER_BYTES, pcap_header
from roomtone.ext.record.recording cimport (
    BLOCK_US,
    CHANNELS_MAX,
    CHUNK_CLOSE,
    CHUNK_DATA,
    FORMAT_PCAP,
    FORMAT_WAV,
    LOSS_COUNT,
    NAME_BYTES,
    NEXT_CHANNEL,
    ORDER_CLOSE,
    ORDER_FEED,
    ORDER_LEG,
    ORDER_LEG_END,
    ORDER_OPEN,
    ORDER_PAUSE,
    ORDER_RESUME,
    PUBLIC_ID_BYTES,
    WAV_HEADER_BYTES,
    drain_t,
    feed_t,
    leg_t,
    order_t,
    recording_t,
    writer_t,
)
from roomtone.ext.record.wav cimport wav_header
from roomtone.ext.record.writer cimport Writer


cdef enum:
    TURN_US = 50000
    FLUSH_US = 200000               # the writer gets what there is at least so often
    SILENT_US = 1000000             # and hears how long a silent WAV has become
    INDEX_MASK = 0xFFFFF


LOSS_NAMES = ("ring_full", "channel_full", "late", "channels", "file")


# -- records -----------------------------------------------------------------------------------------------------------

cdef void consume(drain_t* d, uint64_t until) noexcept nogil:
    cdef const capture_t* record = capture_peek(d.ring, until)
    cdef leg_t* leg
    while record != NULL:
        leg = d.legs[record.handle & INDEX_MASK]
        while leg != NULL:
            if leg.handle == record.handle:
                leg_record(d, leg, record)
            leg = leg.next_here
        capture_pop(d.ring, record)
        record = capture_peek(d.ring, until)


# -- orders ------------------------------------------------------------------------------------------------------------

cdef void begin(drain_t* d, recording_t* r) noexcept nogil:
    """An empty file of its kind is a file already."""
    cdef uint8_t* room = chunk_room(r, WAV_HEADER_BYTES, r.started_us) if not r.feeding else NULL
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


cdef void end(drain_t* d, recording_t* r) noexcept nogil:
    cdef feed_t* f
    if r.feeding:
        feed_close(r)
    elif r.format == FORMAT_WAV and not rt_load32(&r.error):
        blocks_finish(d, r, r.stopped_us)
    legs_free(d, r)
    while r.first_feed != NULL:
        f = r.first_feed
        r.first_feed = f.next
        feed_free(f)
    if r.prev != NULL:
        r.prev.next = r.next
    else:
        d.first = r.next
    if r.next != NULL:
        r.next.prev = r.prev
    chunk_order(r, CHUNK_CLOSE, r.end, 0, 0)     # the last of it: the recording may be gone behind this


cdef void resume(recording_t* r, int64_t at_us) noexcept nogil:
    r.paused = 0
    r.resumed_us = at_us
    r.left_us += at_us - r.paused_us
    legs_anew(r)


cdef void carry_out(drain_t* d, const order_t* order) noexcept nogil:
    if order.kind == ORDER_OPEN:
        begin(d, order.recording)
    elif order.kind == ORDER_LEG:
        leg_order(d, order)
    elif order.kind == ORDER_LEG_END:
        leg_end_order(d, order)
    elif order.kind == ORDER_FEED:
        feed_new(order.recording, order.fd)
    elif order.kind == ORDER_PAUSE:
        order.recording.paused = 1
        order.recording.paused_us = order.at_us
    elif order.kind == ORDER_RESUME:
        resume(order.recording, order.at_us)
    elif order.kind == ORDER_CLOSE:
        order.recording.closing = 1
        order.recording.stopped_us = order.at_us


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


# -- feeds -------------------------------------------------------------------------------------------------------------

cdef void fed(drain_t* d, feed_t* f, const capture_t* record) noexcept nogil:
    cdef recording_t* r = f.recording
    cdef leg_t* leg = feed_leg_of(f, record.handle)
    cdef const feed_leg_t* begins = <const feed_leg_t*> capture_data(record)
    cdef const uint64_t* lost = <const uint64_t*> begins
    cdef int i
    if record.kind == FEED_LEG:
        leg = leg_begin(d, r, f, begins.channel, begins.made_here, record.at_us)
        feed_number(f, record.handle, leg)
    elif record.kind == FEED_LOST:
        for i in range(LOSS_COUNT):
            lose(r, i, lost[i])
    elif leg == NULL:
        return
    elif record.kind == FEED_LEG_END:
        leg.here = 0
        feed_number(f, record.handle, NULL)
    elif not r.closing or record.at_us <= r.stopped_us:
        leg_record(d, leg, record)


cdef bint feeds_take(drain_t* d, recording_t* r) noexcept nogil:
    """What other workers have sent.  True: no more will come."""
    cdef feed_t* f = r.first_feed
    cdef const capture_t* record
    cdef bint over = True
    cdef uint32_t i
    while f != NULL:
        record = feed_next(f)
        while record != NULL:
            fed(d, f, record)
            record = feed_next(f)
        if f.fd >= 0:
            over = over and not f.spoken
        else:
            for i in range(f.leg_count):        # of one that died in the middle of it
                if f.legs[i] != NULL:
                    f.legs[i].here = 0
                    f.legs[i] = NULL
        f = f.next
    return over


# -- the turn ----------------------------------------------------------------------------------------------------------

cdef void look(drain_t* d, recording_t* r, int64_t now_us) noexcept nogil:
    """What became due."""
    cdef bint over = feeds_take(d, r)
    if r.closing:
        if over or rt_load32(&r.abandoned) or rt_load32(&r.error):
            end(d, r)
        return
    if rt_load32(&r.error):
        return
    if r.feeding:
        chunk_flush(r)
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
    cdef recording_t* next_one
    cdef writer_t* w
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
        next_one = r.next
        w = r.writer
        look(d, r, now_us)              # the last one: r may be gone
        if w.due:                       # once a turn, however many chunks it got
            w.due = 0
            rt_wake(w.wake_fd)
        r = next_one


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
              int64_t started_us, int64_t wall_offset_us, uint64_t limit, uint64_t position, bint feeding=False,
              int counts_fd=-1, int slot=0, bytes public_id=b""):
        cdef recording_t* r
        if len(name) >= NAME_BYTES or len(public_id) > PUBLIC_ID_BYTES or channels < 0 or rate_hz not in (0, 8000, 16000):
            raise ValueError("a name of up to 255 bytes, an id of up to 40, 8 or 16 kHz (0: a pcap)")
        r = <recording_t*> calloc(1, sizeof(recording_t))
        if r == NULL:
            raise MemoryError
        self.ids += 1
        r.id = self.ids
        r.format = FORMAT_WAV if rate_hz else FORMAT_PCAP
        r.rate_hz = rate_hz
        r.block = rate_hz // (1000000 // BLOCK_US)
        r.mix = mix
        r.feeding = feeding
        r.leg_count = channels
        r.channels = r.header_channels = 1 if mix else min(max(1, channels), CHANNELS_MAX)
        r.started_us = started_us
        r.wall_offset_us = wall_offset_us
        r.limit = limit
        r.fd = fd
        r.folder_fd = folder_fd
        r.counts_fd = counts_fd
        r.slot = slot
        memcpy(r.public_id, <const char*> public_id, len(public_id))
        memcpy(r.name, <const char*> name, len(name))
        r.writer = &writer.w
        self.open[r.id] = <uint64_t> r
        self.writers[r.id] = writer
        self.post(self.order(r.id, ORDER_OPEN, position))
        return r.id

    def leg(self, id, uint32_t handle, *, uint64_t position, int64_t at_us, lost, bint made_here,
            int channel=NEXT_CHANNEL):
        cdef order_t* order
        if handle & INDEX_MASK >= self.d.capacity:
            raise ValueError("no such endpoint handle")
        order = self.order(id, ORDER_LEG, position)
        order.handle = handle
        order.at_us = at_us
        order.lost = lost[order.recording.format == FORMAT_WAV]
        order.made_here = made_here
        order.channel = channel
        self.post(order)

    def leg_end(self, id, uint32_t handle, *, uint64_t position, lost):
        cdef order_t* order = self.order(id, ORDER_LEG_END, position)
        order.handle = handle
        order.lost = lost[order.recording.format == FORMAT_WAV]
        self.post(order)

    def pause(self, id, *, uint64_t position, int64_t at_us):
        cdef order_t* order = self.order(id, ORDER_PAUSE, position)
        order.at_us = at_us
        self.post(order)

    def resume(self, id, *, uint64_t position, int64_t at_us):
        cdef order_t* order = self.order(id, ORDER_RESUME, position)
        order.at_us = at_us
        self.post(order)

    def end(self, id, *, uint64_t position, int64_t stopped_us):
        cdef order_t* order = self.order(id, ORDER_CLOSE, position)
        order.at_us = stopped_us
        self.post(order)

    def feed(self, id, int fd, *, uint64_t position):
        cdef order_t* order = self.order(id, ORDER_FEED, position)
        order.fd = fd
        self.post(order)

    def abandon(self, id):
        rt_store32(&self.find(id).abandoned, 1)

    def counts(self, id):
        cdef recording_t* r = self.find(id)
        cdef uint64_t written = rt_load64(&r.written)
        cdef uint64_t refused = rt_load64(&r.refused)
        lost = {name: rt_load64(&r.lost[i]) for i, name in enumerate(LOSS_NAMES)}
        lost["file"] += refused
        return {"packets": written, "waiting": rt_load64(&r.queued) - written - refused, "lost": lost,
                "bytes": rt_load64(&r.bytes), "error": rt_load32(&r.error)}

    def forget(self, id):
        cdef recording_t* r = self.find(id)
        del self.open[id]
        del self.writers[id]
        free(r)
