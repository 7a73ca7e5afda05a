"""Where a file stands follows from the tick's number: all who share a playback hear the same, whatever their phase."""

from libc.stdint cimport int16_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from roomtone.ext.base.types cimport rt_load_acquire64
from roomtone.ext.flow.constants cimport CHUNK_8K, FRAME_8K
from roomtone.ext.flow.counters cimport COUNT_FILE_UNDERRUNS
from roomtone.ext.flow.endpoint cimport KIND_FILE, endpoint_index, endpoint_t
from roomtone.ext.flow.fact cimport fact_put
from roomtone.ext.flow.graph cimport bus_t, count, endpoint_private_t, media_t
from roomtone.ext.flow.handover cimport FACT_FILE_ENDED_, FACT_FILE_NEXT_, FACT_FILE_STARTED_, edit_t
from roomtone.ext.flow.playback cimport (
    FILE_COMPLETED,
    FILE_FAILED,
    FILE_PLAYS,
    FILE_WAITS,
    chunk_t,
    place_t,
    playback_t,
    track_t,
)


cdef enum:
    RATE_16K = 2
    SAMPLES_A_MS = 8
    FADE_MS = 10                        # of a pause, out and in


# -- lists -------------------------------------------------------------------------------------------------------------

cdef inline const track_t* track_of(const playback_t* play, uint32_t item) noexcept nogil:
    return <const track_t*> play.items[item]


cdef inline int64_t length_of(const track_t* track) noexcept nogil:
    return <int64_t> rt_load_acquire64(<const unsigned long*> &track.samples)


cdef inline const chunk_t* chunk_at(const track_t* track, int64_t position) noexcept nogil:
    cdef int64_t i = position // CHUNK_8K
    if i >= track.chunk_count:
        return NULL
    return <const chunk_t*> <uint64_t> rt_load_acquire64(<const unsigned long*> &track.chunks[i])


cdef int place_repeat(const playback_t* play, place_t* at, uint32_t items, int64_t behind) noexcept nogil:
    """`behind` samples after the end of the last item: in another round, or nowhere."""
    cdef int64_t total = 0
    cdef int64_t rounds
    cdef uint32_t i
    for i in range(items):
        total += length_of(track_of(play, i))   # known of all: they were played
    if total == 0:
        return FILE_COMPLETED
    rounds = 1 + behind // total
    if 0 <= at.loops_left < rounds:
        return FILE_COMPLETED
    if at.loops_left > 0:
        at.loops_left -= rounds
    at.item = 0
    at.position = behind % total
    return FILE_PLAYS


cdef int place_settle(const playback_t* play, place_t* at) noexcept nogil:
    """A place behind the end of its item is in the next one, in the first again, or nowhere."""
    cdef const track_t* track
    cdef int64_t length
    cdef uint64_t listed
    cdef int state
    while True:
        track = track_of(play, at.item)
        length = length_of(track)
        if length < 0 or at.position < length:
            return FILE_PLAYS
        if track.failed:
            return FILE_FAILED
        listed = rt_load_acquire64(<const unsigned long*> &play.listed)
        if at.item + 1 < listed >> 1:
            at.position -= length
            at.item += 1
        elif listed & 1:
            at.position = length
            return FILE_WAITS
        else:
            state = place_repeat(play, at, <uint32_t> (listed >> 1), at.position - length)
            if state != FILE_PLAYS:
                return state


# -- one tick ----------------------------------------------------------------------------------------------------------

cdef void playback_advance(playback_t* play, int64_t tick) noexcept nogil:
    """To the place of this tick; ticks that were missed are passed over, as they are everywhere."""
    cdef int state
    if play.tick == 0:
        play.tick = tick
    if tick > play.tick:
        play.at.position += (tick - play.tick) * FRAME_8K
        play.tick = tick
        play.taken = 0
    state = place_settle(play, &play.at)
    if state != FILE_WAITS:
        play.ended = state


cdef void playback_settle(playback_t* play) noexcept nogil:
    """The frame that was played last is behind."""
    if play.taken:
        play.at.position += FRAME_8K
        play.taken = 0


cdef bint playback_copy(const playback_t* play, int16_t* pcm8, int16_t* pcm16) noexcept nogil:
    """A frame from the place on, over the end into what follows.  pcm16 may be NULL.  False: a part is missing."""
    cdef place_t place = play.at
    cdef const track_t* track
    cdef const chunk_t* chunk
    cdef int64_t at, n, length
    cdef int64_t done = 0
    cdef int state
    while done < FRAME_8K:
        state = place_settle(play, &place)
        if state == FILE_WAITS:
            return False
        if state != FILE_PLAYS:
            memset(pcm8 + done, 0, 2 * (FRAME_8K - done))
            if pcm16 != NULL:
                memset(pcm16 + 2 * done, 0, 4 * (FRAME_8K - done))
            return True
        track = track_of(play, place.item)
        chunk = chunk_at(track, place.position)
        if chunk == NULL:
            return False
        at = place.position % CHUNK_8K
        n = min(FRAME_8K - done, CHUNK_8K - at)
        length = length_of(track)
        if length >= 0:
            n = min(n, length - place.position)
        memcpy(pcm8 + done, &chunk.pcm8[at], 2 * n)
        if pcm16 != NULL:
            memcpy(pcm16 + 2 * done, &chunk.pcm16[2 * at], 4 * n)
        place.position += n
        done += n
    return True


# -- loudness ----------------------------------------------------------------------------------------------------------

cdef void ramp_to(endpoint_private_t* p, float gain, uint32_t ramp_ms) noexcept nogil:
    p.file_gain_to = gain
    p.file_ramp = ramp_ms * SAMPLES_A_MS
    if p.file_ramp == 0:
        p.file_gain = gain


cdef void scale(media_t* m, endpoint_private_t* p, int at, int n, float gain, bint wide) noexcept nogil:
    """n samples (at 8 kHz) of the frame, from the gain there is to that one."""
    m.kernel.gain_ramp(p.pcm8 + at, n, p.file_gain, gain)
    if wide:
        m.kernel.gain_ramp(p.pcm16 + 2 * at, 2 * n, p.file_gain, gain)
    p.file_gain = gain


cdef void frame_shape(media_t* m, endpoint_private_t* p, bint wide) noexcept nogil:
    """As loud as it is to be."""
    cdef int n = <int> min(p.file_ramp, <uint32_t> FRAME_8K)
    if n > 0:
        scale(m, p, 0, n, p.file_gain + (p.file_gain_to - p.file_gain) * n / p.file_ramp, wide)
        p.file_ramp -= n
        if p.file_ramp == 0:
            p.file_gain = p.file_gain_to
    if n < FRAME_8K and p.file_gain != 1:
        scale(m, p, n, FRAME_8K - n, p.file_gain, wide)


# -- the endpoint ------------------------------------------------------------------------------------------------------

cdef bint file_over(media_t* m, endpoint_t* e, endpoint_private_t* p) noexcept nogil:
    """The next of its list has begun, or it has ended: that is told."""
    cdef const playback_t* play = p.playback
    if play.at.item != p.file_item:
        p.file_item = play.at.item
        fact_put(m, FACT_FILE_NEXT_, e.handle, p.file_item, 0)
    if play.ended:
        p.file_ended = play.ended
        fact_put(m, FACT_FILE_ENDED_, e.handle, p.file_ended == FILE_FAILED, p.file_item)
    return p.file_ended != 0


cdef bint file_frame(
    media_t* m, bus_t* b, endpoint_t* e, endpoint_private_t* p, int64_t tick
) noexcept nogil:
    cdef playback_t* play = p.playback
    cdef bint wide = (b.rates & RATE_16K) != 0
    cdef bint silent = p.file_paused and p.file_ramp == 0
    if p.file_ended:
        return False
    if silent and not play.shared:
        playback_settle(play)
        play.tick = tick + 1
        return False
    if tick >= play.tick:                       # else another one found it missing on this tick
        playback_advance(play, tick)
    if file_over(m, e, p) or silent:
        return False
    if tick < play.tick or not playback_copy(play, p.pcm8, p.pcm16 if wide else NULL):
        count(m, COUNT_FILE_UNDERRUNS)
        p.file_underruns += 1
        ramp_to(p, p.file_gain_to, 0)
        play.tick = tick + 1
        return False
    play.taken = 1
    frame_shape(m, p, wide)
    if p.file_started_us == 0:
        p.file_started_us = m.tick_us
        fact_put(m, FACT_FILE_STARTED_, e.handle, p.file_started_us, 0)
    return True


# -- edits -------------------------------------------------------------------------------------------------------------

cdef void file_open(media_t* m, endpoint_t* e, const edit_t* d, int64_t now_us) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    memset(p, 0, sizeof(endpoint_private_t))
    p.playback = <playback_t*> d.address
    p.file_item = p.playback.at.item
    p.file_volume = <float> d.x
    ramp_to(p, p.file_volume, 0)
    e.born_us = now_us


cdef void file_seek(media_t* m, endpoint_t* e, uint32_t item, int64_t position) noexcept nogil:
    cdef playback_t* play = m.privates[endpoint_index(e)].playback
    if e.kind != KIND_FILE or play.ended:
        return
    playback_settle(play)
    if play.at.position > length_of(track_of(play, play.at.item)):
        place_settle(play, &play.at)            # it was in what follows already
    play.at.item, play.at.position = item, position
    play.tick = 0


cdef void file_pause(media_t* m, endpoint_t* e, bint paused) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    p.file_paused = paused
    ramp_to(p, 0 if paused else p.file_volume, FADE_MS if p.file_started_us else 0)


cdef void file_gain(media_t* m, endpoint_t* e, float gain, uint32_t ramp_ms) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    p.file_volume = gain
    if not p.file_paused:
        ramp_to(p, gain, ramp_ms if p.file_started_us else 0)
