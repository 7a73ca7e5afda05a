"""What the recorder's threads work on, and who writes what.

    Python --order_t--> drain --chunk_t--> writer --news_t--> Python

A session on several workers is recorded by one of them, who keeps the file.  The others *feed* it: each has a recording of
its own endpoints whose file is a pipe, and the keeper's drain reads it (feed.pxd).

A recording is filled in by the Python thread before the drain hears of it, and freed by it after CLOSED.  Times are
CLOCK_MONOTONIC microseconds, `offset` and `end` bytes of the file, positions those of the capture ring.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from roomtone.ext.base.stack cimport node_t, stack_t
from roomtone.ext.base.types cimport handle_t
from roomtone.ext.dsp.limiter cimport limiter_t
from roomtone.ext.dsp.resample cimport resample_t
from roomtone.ext.record.capture cimport capture_ring_t


cdef enum:
    BLOCK_US = 20000
    BLOCK_SAMPLES_MAX = 320
    WINDOW_BLOCKS = 64              # of a leg's sound that are kept to be put in order: one bit each in leg_t.touched
    HOLD_BLOCKS = 25                # 500 ms: so late a packet still finds its place
    FEED_BLOCKS = 5                 # and so long it may take from another worker
    CHUNK_BYTES = 16384             # or one block, if that is more
    CHANNELS_MAX = 64
    NEXT_CHANNEL = -1
    PUBLIC_ID_BYTES = 40
    NAME_BYTES = 256                # NAME_MAX of Linux, and the final zero
    WAV_HEADER_BYTES = 44


cdef enum format_t:
    FORMAT_PCAP = 1
    FORMAT_WAV = 2


cdef enum loss_t:                   # why a packet is not in the file; names in drain.pyx
    LOSS_RING = 0                   # the capture ring was full: the drain got too little CPU
    LOSS_CHANNEL = 1                # too many packets were waiting for the disk
    LOSS_LATE = 2                   # it came when its place was written
    LOSS_CHANNELS = 3               # a leg beyond CHANNELS_MAX
    LOSS_FILE = 4                   # the file could not be written
    LOSS_COUNT = 5


ctypedef struct recording_t:
    # the Python thread's
    uint64_t id
    int32_t format
    int32_t rate_hz
    int32_t mix
    int32_t feeding                 # its file is the pipe to the worker that keeps the recording
    int32_t abandoned               # atomic: the rest is not worth waiting for
    int64_t started_us
    int64_t wall_offset_us          # CLOCK_REALTIME - CLOCK_MONOTONIC when it began
    uint64_t limit                  # packets that may wait for the disk
    int32_t fd                      # the writer's from the first chunk on
    int32_t folder_fd
    char name[NAME_BYTES]           # in the folder
    int32_t counts_fd               # where the writer notes what there is of it; -1: nowhere
    int32_t slot
    char public_id[PUBLIC_ID_BYTES]
    writer_t* writer
    # the drain's
    recording_t* next
    recording_t* prev
    leg_t* first_leg                # in the order of their channels
    leg_t* last_leg
    feed_t* first_feed              # what other workers bring
    uint32_t leg_count
    uint32_t channels               # of the file, once all chunks are written
    int32_t block                   # samples
    int32_t paused
    int64_t paused_us               # when the last pause began,
    int64_t resumed_us              # and ended
    int64_t left_us                 # how long all that have ended were
    int32_t closing
    int64_t stopped_us              # when it is closing
    chunk_t* chunk                  # being filled
    int64_t chunk_us                # since when
    int64_t told_us                 # when the writer last got one
    int64_t end
    int64_t blocks                  # of a WAV that are in chunks
    uint64_t queued                 # packets in chunks, ever; atomic
    uint64_t lost[LOSS_COUNT]       # atomic
    limiter_t limiter
    # of both
    void* spare                     # atomic: an empty chunk, from the writer to the drain
    # the writer's
    uint64_t written                # packets; atomic
    uint64_t refused                # packets in chunks that could not be written, or were abandoned; atomic
    uint64_t bytes                  # atomic
    int32_t error                   # errno of the first failure; atomic
    int32_t header_channels
    int64_t good_end                # of what is written
    int64_t header_end              # what the WAV's header says
    int64_t until_us                # when the newest packet of a pcap was heard


cdef inline bint left_out(const recording_t* r, int64_t at_us) noexcept nogil:
    """It was heard in a pause, as far as is remembered: the last one."""
    return at_us >= r.paused_us and (r.paused or at_us < r.resumed_us)


cdef inline int64_t elapsed_us(const recording_t* r, int64_t at_us) noexcept nogil:
    """How long the recording is at that time: no pause is in it."""
    if r.paused:
        at_us = min(at_us, r.paused_us)
    elif at_us < r.resumed_us:
        at_us = min(at_us, r.paused_us) + r.resumed_us - r.paused_us
    return at_us - r.started_us - r.left_us


ctypedef struct leg_t:              # an endpoint's part of a recording; the drain's
    leg_t* next_here                # of the same endpoint slot
    leg_t* next                     # of the recording
    recording_t* recording
    feed_t* feed                    # that brings it; NULL: the endpoint is here
    handle_t handle
    uint32_t channel                # of the file; feeding: its number in the feed
    int32_t here                    # its endpoint is still recorded
    int32_t made_here               # a tone or a file: its channel may serve the next one
    uint32_t lost_known             # capture_t.lost, as far as it is counted
    uint32_t ssrc
    int16_t* window                 # WINDOW_BLOCKS blocks, zero where nothing was put; NULL: a pcap, or no channel left
    uint64_t touched                # bit per block of the window
    uint8_t packets[WINDOW_BLOCKS]  # that begin in a block
    int32_t anchored
    uint32_t anchor_ts
    int64_t anchor                  # sample of the recording at that timestamp
    resample_t resample


ctypedef struct feed_t:             # the reading end of another worker's pipe; the drain's
    feed_t* next                    # of the recording
    recording_t* recording
    int32_t fd                      # -1: it has ended
    int32_t spoken                  # something came: when nobody writes any more, it has ended
    uint32_t fill                   # bytes in `data`,
    uint32_t at                     # and how many of them were taken
    uint32_t leg_count
    leg_t** legs                    # by the number that the other worker gave it
    uint8_t* data


cdef enum chunk_kind_t:
    CHUNK_DATA = 1
    CHUNK_WIDEN = 2                 # offset: samples a channel so far; bytes: channels from now on; packets: until now
    CHUNK_CLOSE = 3                 # offset: where the file ends


ctypedef struct chunk_t:
    node_t node
    recording_t* recording
    int64_t offset
    uint32_t kind
    uint32_t bytes
    uint32_t packets
    uint32_t capacity
    int64_t until_us                # when the newest of them was heard; 0: not told
    uint8_t data[8]                 # and on, to capacity


cdef enum order_kind_t:
    ORDER_OPEN = 1
    ORDER_LEG = 2
    ORDER_LEG_END = 3
    ORDER_CLOSE = 4
    ORDER_FEED = 5
    ORDER_PAUSE = 6
    ORDER_RESUME = 7


ctypedef struct order_t:            # carried out when everything captured before `position` has been seen
    node_t node
    recording_t* recording
    uint64_t position
    int64_t at_us
    uint32_t kind
    handle_t handle
    uint32_t lost
    int32_t made_here
    int32_t channel                 # NEXT_CHANNEL: the next one
    int32_t fd


cdef enum news_kind_t:
    NEWS_FAILED = 1                 # a write failed: the recording is to be closed
    NEWS_CLOSED = 2                 # the last of it: nobody but Python knows it any more


ctypedef struct news_t:
    node_t node
    recording_t* recording
    uint32_t kind


ctypedef struct writer_t:
    stack_t chunks
    int32_t wake_fd                 # eventfd the writer sleeps on
    int32_t stop
    int32_t due                     # the drain's: it has chunks and was not woken for them
    stack_t news
    int32_t news_fd                 # eventfd of the Python thread
    uint8_t* scratch                # for widening


ctypedef struct drain_t:
    capture_ring_t* ring
    leg_t** legs                    # by endpoint index
    uint32_t capacity
    int32_t wake_fd                 # eventfd the drain sleeps on
    int32_t stop
    stack_t orders
    order_t* pending                # taken, in order
    order_t* pending_last
    recording_t* first
    int16_t[BLOCK_SAMPLES_MAX] pcm      # scratch of a mono mix
    int32_t[BLOCK_SAMPLES_MAX] sum
