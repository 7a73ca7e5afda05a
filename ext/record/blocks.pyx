"""Every 20 ms of a WAV are one block: when it is due, each leg's part of it is taken and written.

A block that nobody sounds in is left out, and the file has a hole there.
"""

from libc.stdint cimport int16_t, int64_t, uint8_t, uint64_t
from libc.string cimport memset

from roomtone.ext.dsp.limiter cimport limiter_run
from roomtone.ext.record.chunk cimport chunk_room, chunk_silence, chunk_used
from roomtone.ext.record.leg cimport leg_sounds, leg_take
from roomtone.ext.record.recording cimport (
    BLOCK_US,
    FEED_BLOCKS,
    HOLD_BLOCKS,
    WINDOW_BLOCKS,
    drain_t,
    elapsed_us,
    leg_t,
    recording_t,
)


cdef int mix(drain_t* d, recording_t* r, int16_t* out) noexcept nogil:
    """The block that is due, all legs in one."""
    cdef leg_t* leg = r.first_leg
    cdef int packets = 0
    cdef int i
    memset(d.sum, 0, sizeof(d.sum))
    while leg != NULL:
        if leg.window != NULL and leg_sounds(leg):
            packets += leg_take(leg, d.pcm, 1)
            for i in range(r.block):
                d.sum[i] += d.pcm[i]
        leg = leg.next
    limiter_run(&r.limiter, out, d.sum, r.block, r.rate_hz)
    return packets


cdef int interleave(recording_t* r, int16_t* out) noexcept nogil:
    cdef leg_t* leg = r.first_leg
    cdef int packets = 0
    memset(out, 0, 2 * r.block * r.channels)
    while leg != NULL:
        if leg.window != NULL:
            packets += leg_take(leg, out + leg.channel, r.channels)
        leg = leg.next
    return packets


cdef bint sounds(const recording_t* r) noexcept nogil:
    cdef const leg_t* leg = r.first_leg
    while leg != NULL:
        if leg.window != NULL and leg_sounds(leg):
            return True
        leg = leg.next
    return False


cdef void write_block(drain_t* d, recording_t* r, int64_t now_us) noexcept nogil:
    """The block that is due."""
    cdef int n = 2 * r.block * r.channels
    cdef uint8_t* room
    cdef int packets
    if not sounds(r):
        chunk_silence(r, n)
    else:
        room = chunk_room(r, n, now_us)
        if room == NULL:
            return
        packets = mix(d, r, <int16_t*> room) if r.mix else interleave(r, <int16_t*> room)
        chunk_used(r, n, packets)
    r.blocks += 1


cdef void blocks_advance(drain_t* d, recording_t* r, int64_t now_us) noexcept nogil:
    """Write what is older than the window's hold."""
    cdef int64_t due = elapsed_us(r, now_us) // BLOCK_US - HOLD_BLOCKS
    if r.first_feed != NULL:
        due -= FEED_BLOCKS
    while r.blocks < due:
        write_block(d, r, now_us)


cdef void blocks_finish(drain_t* d, recording_t* r, int64_t stopped_us) noexcept nogil:
    """To the time at which it was stopped, and to the end of what was said then."""
    cdef int64_t due = (elapsed_us(r, stopped_us) + BLOCK_US - 1) // BLOCK_US
    cdef const leg_t* leg = r.first_leg
    cdef uint64_t touched = 0
    while leg != NULL:
        touched |= leg.touched
        leg = leg.next
    while r.blocks < due or touched:
        touched &= ~(<uint64_t> 1 << (r.blocks % WINDOW_BLOCKS))
        write_block(d, r, stopped_us)
