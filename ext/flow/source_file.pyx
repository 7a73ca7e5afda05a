"""Where a file stands follows from the tick's number: all who share a playback hear the same, whatever their phase."""

from libc.stdint cimport int16_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

from roomtone.ext.base.types cimport rt_load_acquire64
from roomtone.ext.flow.constants cimport CHUNK_8K, FRAME_8K, FRAME_16K
from roomtone.ext.flow.counters cimport COUNT_FILE_UNDERRUNS
from roomtone.ext.flow.endpoint cimport KIND_FILE, endpoint_index, endpoint_t
from roomtone.ext.flow.fact cimport fact_put
from roomtone.ext.flow.graph cimport bus_t, count, endpoint_private_t, media_t
from roomtone.ext.flow.handover cimport FACT_FILE_ENDED_, FACT_FILE_STARTED_, edit_t
from roomtone.ext.flow.playback cimport FILE_COMPLETED, FILE_FAILED, chunk_t, playback_t, track_t


cdef enum:
    RATE_16K = 2


cdef inline int64_t length_of(const track_t* track) noexcept nogil:
    return <int64_t> rt_load_acquire64(<const unsigned long*> &track.samples)


cdef inline const chunk_t* chunk_at(const track_t* track, int64_t position) noexcept nogil:
    cdef int64_t i = position // CHUNK_8K
    if i >= track.chunk_count:
        return NULL
    return <const chunk_t*> <uint64_t> rt_load_acquire64(<const unsigned long*> &track.chunks[i])


cdef void playback_wrap(playback_t* play, int64_t length) noexcept nogil:
    """The place is at or behind the end: it is in the next round, or nowhere."""
    cdef int64_t rounds
    if play.track.failed or length == 0:
        play.ended = FILE_FAILED if play.track.failed else FILE_COMPLETED
        return
    rounds = play.position // length
    if 0 <= play.loops_left < rounds:
        play.ended = FILE_COMPLETED
        return
    play.position -= rounds * length
    if play.loops_left > 0:
        play.loops_left -= rounds


cdef void playback_advance(playback_t* play, int64_t tick) noexcept nogil:
    """To the place of this tick; ticks that were missed are passed over, as they are everywhere."""
    cdef int64_t length
    if play.tick == 0:
        play.tick = tick
    if tick > play.tick:
        play.position += (tick - play.tick) * FRAME_8K
        play.tick = tick
        play.taken = 0
    length = length_of(play.track)
    if 0 <= length <= play.position:
        playback_wrap(play, length)


cdef void playback_settle(playback_t* play) noexcept nogil:
    """The frame that was played last is behind."""
    if play.taken:
        play.position += FRAME_8K
        play.taken = 0


cdef bint playback_copy(const playback_t* play, int16_t* pcm8, int16_t* pcm16) noexcept nogil:
    """A frame from the place on, over the end into the next round.  pcm16 may be NULL.  False: a part is missing."""
    cdef int64_t length = length_of(play.track)
    cdef int64_t position = play.position
    cdef int64_t loops_left = play.loops_left
    cdef const chunk_t* chunk
    cdef int64_t at, n
    cdef int64_t done = 0
    while done < FRAME_8K:
        if 0 <= length <= position:         # behind it when the end became known since the place was taken
            if loops_left == 0 or play.track.failed:
                memset(pcm8 + done, 0, 2 * (FRAME_8K - done))
                if pcm16 != NULL:
                    memset(pcm16 + 2 * done, 0, 4 * (FRAME_8K - done))
                return True
            position = 0
            loops_left -= loops_left > 0
        chunk = chunk_at(play.track, position)
        if chunk == NULL:
            return False
        at = position % CHUNK_8K
        n = min(FRAME_8K - done, CHUNK_8K - at)
        if length >= 0:
            n = min(n, length - position)
        memcpy(pcm8 + done, &chunk.pcm8[at], 2 * n)
        if pcm16 != NULL:
            memcpy(pcm16 + 2 * done, &chunk.pcm16[2 * at], 4 * n)
        position += n
        done += n
    return True


cdef void file_tell(media_t* m, endpoint_t* e, endpoint_private_t* p) noexcept nogil:
    p.file_ended = p.playback.ended
    fact_put(m, FACT_FILE_ENDED_, e.handle, p.file_ended == FILE_FAILED, 0)


cdef bint file_frame(
    media_t* m, bus_t* b, endpoint_t* e, endpoint_private_t* p, int64_t tick
) noexcept nogil:
    cdef playback_t* play = p.playback
    cdef bint wide = (b.rates & RATE_16K) != 0
    if p.file_ended:
        return False
    if p.file_paused and not play.shared:
        playback_settle(play)
        play.tick = tick + 1
        return False
    if tick >= play.tick:                       # else another one found it missing on this tick
        playback_advance(play, tick)
    if play.ended:
        file_tell(m, e, p)
        return False
    if p.file_paused:
        return False
    if tick < play.tick or not playback_copy(play, p.pcm8, p.pcm16 if wide else NULL):
        count(m, COUNT_FILE_UNDERRUNS)
        play.tick = tick + 1
        return False
    play.taken = 1
    if p.file_gain != 1:
        m.kernel.gain_ramp(p.pcm8, FRAME_8K, p.file_gain, p.file_gain)
        if wide:
            m.kernel.gain_ramp(p.pcm16, FRAME_16K, p.file_gain, p.file_gain)
    if p.file_started_us == 0:
        p.file_started_us = m.tick_us
        fact_put(m, FACT_FILE_STARTED_, e.handle, p.file_started_us, 0)
    return True


cdef void file_open(media_t* m, endpoint_t* e, const edit_t* d, int64_t now_us) noexcept nogil:
    cdef endpoint_private_t* p = &m.privates[endpoint_index(e)]
    memset(p, 0, sizeof(endpoint_private_t))
    p.playback = <playback_t*> d.address
    p.file_gain = <float> d.x
    e.born_us = now_us


cdef void file_seek(media_t* m, endpoint_t* e, int64_t position) noexcept nogil:
    cdef playback_t* play = m.privates[endpoint_index(e)].playback
    cdef int64_t length
    if e.kind != KIND_FILE or play.ended:
        return
    length = length_of(play.track)
    playback_settle(play)
    if play.loops_left > 0 and 0 < length < play.position:      # it was in the next round already
        play.loops_left = max(<int64_t> 0, play.loops_left - (play.position - 1) // length)
    play.position = position
    play.tick = 0


cdef void file_pause(media_t* m, endpoint_t* e, bint paused) noexcept nogil:
    m.privates[endpoint_index(e)].file_paused = paused
