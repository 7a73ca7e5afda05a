"""Both ends of the pipe."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

from roomtone.ext.record._file cimport EAGAIN, EINTR, close, errno, read
from roomtone.ext.record.capture cimport capture_data, capture_t
from roomtone.ext.record.chunk cimport chunk_room, chunk_used
from roomtone.ext.record.recording cimport LOSS_FILE, feed_t, leg_t, recording_t


cdef enum:
    FEED_BYTES = 65536                  # as much as a pipe holds; a record is shorter
    LEGS_MAX = 0x100000


# -- the feeder --------------------------------------------------------------------------------------------------------

cdef inline int padded(int n) noexcept nogil:
    return n + 7 & ~7


cdef void put(recording_t* r, const capture_t* header, const void* data, int packets) noexcept nogil:
    cdef int n = sizeof(capture_t) + padded(header.bytes)
    cdef uint8_t* room = chunk_room(r, n, header.at_us)
    if room == NULL:
        r.lost[<int> LOSS_FILE] += packets
        return
    memcpy(room, header, sizeof(capture_t))
    memset(room + n - 8, 0, 8 if header.bytes else 0)
    memcpy(room + sizeof(capture_t), data, header.bytes)
    chunk_used(r, n, packets)


cdef void tell(recording_t* r, int kind, uint32_t number, int64_t at_us, const void* data, int n) noexcept nogil:
    cdef capture_t header
    memset(&header, 0, sizeof(header))
    header.kind = <uint8_t> kind
    header.handle = number
    header.at_us = at_us
    header.bytes = <unsigned short> n
    put(r, &header, data, 0)


cdef void feed_leg(recording_t* r, const leg_t* leg, int32_t channel, int64_t at_us) noexcept nogil:
    cdef feed_leg_t body
    body.channel = channel
    body.made_here = leg.made_here
    tell(r, FEED_LEG, leg.channel, at_us, &body, sizeof(body))


cdef void feed_put(recording_t* r, const leg_t* leg, const capture_t* record) noexcept nogil:
    cdef capture_t header = record[0]
    header.handle = leg.channel
    put(r, &header, capture_data(record), 1)


cdef void feed_leg_end(recording_t* r, const leg_t* leg) noexcept nogil:
    tell(r, FEED_LEG_END, leg.channel, 0, NULL, 0)


cdef void feed_close(recording_t* r) noexcept nogil:
    tell(r, FEED_LOST, 0, 0, r.lost, sizeof(r.lost))


# -- the keeper --------------------------------------------------------------------------------------------------------

cdef feed_t* feed_new(recording_t* r, int fd) noexcept nogil:
    cdef feed_t* f = <feed_t*> calloc(1, sizeof(feed_t))
    if f == NULL:
        close(fd)
        return NULL
    f.data = <uint8_t*> malloc(FEED_BYTES)
    f.recording = r
    f.fd = fd
    f.next = r.first_feed
    r.first_feed = f
    if f.data == NULL:
        stop(f)
    return f


cdef void stop(feed_t* f) noexcept nogil:
    close(f.fd)
    f.fd = -1


cdef bint more(feed_t* f) noexcept nogil:
    """Read what waits in the pipe."""
    cdef ssize_t n
    while True:
        n = read(f.fd, f.data + f.fill, FEED_BYTES - f.fill)
        if n > 0:
            f.fill += n
            f.spoken = 1
            return True
        if n < 0 and errno == EINTR:
            continue
        if (n == 0 and f.spoken) or (n < 0 and errno != EAGAIN):
            stop(f)
        return False


cdef inline uint32_t whole(const feed_t* f, uint32_t at) noexcept nogil:
    """Bytes of the record that begins there; 0: it has not come yet."""
    cdef uint32_t n
    if f.fill - at < sizeof(capture_t):
        return 0
    n = sizeof(capture_t) + padded((<const capture_t*> (f.data + at)).bytes)
    return n if f.fill - at >= n else 0


cdef const capture_t* feed_next(feed_t* f) noexcept nogil:
    cdef uint32_t used = whole(f, f.at)
    if used == 0:
        memmove(f.data, f.data + f.at, f.fill - f.at)
        f.fill -= f.at
        f.at = 0
        while used == 0:
            if f.fd < 0 or not more(f):
                return NULL
            used = whole(f, 0)
    f.at += used
    return <const capture_t*> (f.data + f.at - used)


cdef void feed_number(feed_t* f, unsigned int number, leg_t* leg) noexcept nogil:
    cdef leg_t** legs
    cdef uint32_t count
    if number >= f.leg_count:
        if number >= LEGS_MAX:
            return
        count = 2 * number + 8
        legs = <leg_t**> realloc(f.legs, count * sizeof(leg_t*))
        if legs == NULL:
            return
        memset(legs + f.leg_count, 0, (count - f.leg_count) * sizeof(leg_t*))
        f.legs = legs
        f.leg_count = count
    f.legs[number] = leg


cdef leg_t* feed_leg_of(const feed_t* f, unsigned int number) noexcept nogil:
    return f.legs[number] if number < f.leg_count else NULL


cdef void feed_free(feed_t* f) noexcept nogil:
    if f.fd >= 0:
        stop(f)
    free(f.legs)
    free(f.data)
    free(f)
