"""The playout buffer: a line of encoded samples in media time, read one frame a tick.

A packet is written where its timestamp says; the tick copies the next frame out.  A bit per 2 ms tells what is there;
the rest is silence.  What came but is silence (a muted telephone) after QUIET_GRANULES of silence is only noted as
having come: most members of a room listen, and neither writing nor reading their lines is then needed.

The delay from a packet's arrival to its playing is TARGET_MS, 10 ms more or less: ticks come when they come, and a
source that begins waits for one, two or three of them, whichever is nearest.  A line that stays fuller than it needs
to for a second is shortened by the surplus; one that sees too many late packets starts anew.  A source that stops
sending in silence (DTX) leaves the line as it is, and finds it so within a second; later it begins as at first, with the
same target, so that its clock has not moved the delay meanwhile.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from roomtone.ext.base.types cimport rt_prefetch, rt_prefetch_write
from roomtone.ext.codec.codec cimport codec_t
from roomtone.ext.flow.constants cimport CACHE_LINE, LINE_BYTES, PLAYOUT_WORDS
from roomtone.ext.flow.endpoint cimport endpoint_index, endpoint_t
from roomtone.ext.flow.graph cimport media_t


cdef enum:
    # A frame under -60 dBov (rms 33 of 32768) is silence: under any room's noise, above G.711's idle steps of 8.
    SILENCE_RMS = 33
    TARGET_MS = 40
    QUIET_GRANULES = 100        # 200 ms of silence are kept: the end of a word is not cut (rx_decode's hangover)
    PLAYOUT_TOLD = -64          # nothing came, and the source has told so (comfort noise)


cdef enum playout_state_t:
    PLAYOUT_EMPTY = 0           # the next packet begins it
    PLAYOUT_ANCHORED = 1        # begun; the next tick takes the first frame
    PLAYOUT_FILLING = 2         # ticking; no audio has been reached yet
    PLAYOUT_RUNNING = 3


# Forget what is buffered.
cdef void playout_reset(endpoint_t* e) noexcept nogil
# Another bus plays it from now on, whose phase is `phase`, not `was`.
cdef void playout_rephase(media_t* m, endpoint_t* e, uint32_t was, uint32_t phase) noexcept nogil
# One packet.  RT_OK; RT_LATE (its time is over; counted); RT_LENGTH (empty, or longer than the line; counted).
cdef int playout_put(media_t* m, endpoint_t* e, const codec_t* codec, uint32_t timestamp, const uint8_t* payload,
                     int n_bytes, int64_t now_us) noexcept nogil
# Comfort noise, as its first payload byte says: from that timestamp on nothing is missing until audio comes again.  What
# audio has overtaken is over; counted.
cdef void playout_noise(media_t* m, endpoint_t* e, uint32_t timestamp, uint8_t level) noexcept nogil
# The frame of this tick into m.frame.  Bytes of it (one tick); 0: it came and is silence; RT_EMPTY: nothing came;
# PLAYOUT_TOLD: nothing was to come.
cdef int playout_get(media_t* m, endpoint_t* e, const codec_t* codec, int64_t tick) noexcept nogil
# Delay in force, microseconds: from a packet's arrival (where it is known, else its reading) to its playing.
cdef int64_t playout_delay_us(const endpoint_t* e, const codec_t* codec) noexcept nogil


cdef inline uint64_t* playout_present(media_t* m, endpoint_t* e) noexcept nogil:
    """PRESENT_WORDS of what has come, then as many of what is worth reading."""
    return m.present + <size_t> endpoint_index(e) * PLAYOUT_WORDS


cdef inline void playout_prefetch(media_t* m, endpoint_t* e) noexcept nogil:
    """What this tick will write and read of the playout line and, of one who talks, of the sum's own: fetched while the
    kernel copies the packet.  Sized for G.711."""
    cdef uint8_t* line
    cdef uint8_t* own
    cdef int i
    cdef uint32_t put
    cdef uint32_t get
    rt_prefetch_write(playout_present(m, e))
    if e.quiet_granules >= QUIET_GRANULES:
        return
    line = m.lines + <size_t> endpoint_index(e) * LINE_BYTES
    put = e.play_end_ts - e.play_anchor_ts
    get = e.play_ts - e.play_anchor_ts
    rt_prefetch_write(line + (put & 4095))
    rt_prefetch_write(line + (put + 64 & 4095))
    rt_prefetch_write(line + (put + 128 & 4095))
    rt_prefetch(line + (get & 4095))
    rt_prefetch(line + (get + 64 & 4095))
    rt_prefetch(line + (get + 128 & 4095))
    if e.hangover:
        own = <uint8_t*> &m.privates[endpoint_index(e)]
        for i in range(6):                          # limiters and pcm8
            rt_prefetch_write(own + CACHE_LINE * i)
