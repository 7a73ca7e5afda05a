"""One frame a tick to the detectors that are in force."""

from libc.stdint cimport int16_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from roomtone.ext.base.ring cimport ring_push, ring_slot
from roomtone.ext.base.types cimport rt_fence_acquire, rt_fence_release, rt_load_acquire64, rt_store_release64
from roomtone.ext.dsp.dtmf_detect cimport DTMF_END, dtmf_frame, dtmf_press_t, dtmf_reset
from roomtone.ext.dsp.fax_detect cimport FAX_CED, FAX_CNG, fax_frame, fax_reset
from roomtone.ext.dsp.vad cimport vad_frame, vad_log_odds, vad_reset
from roomtone.ext.flow.constants cimport EVENT_TYPES
from roomtone.ext.flow.counters cimport COUNT_FRAMES_LOST, COUNT_KEYS, COUNT_WATCHED
from roomtone.ext.flow.endpoint cimport (
    EP_WATCHED,
    EP_WATCH_FAX,
    EP_WATCH_FRAMES,
    EP_WATCH_KEYS,
    EP_WATCH_SPEECH,
    NO_TYPE,
    endpoint_index,
    endpoint_t,
)
from roomtone.ext.flow.fact cimport fact_put
from roomtone.ext.flow.graph cimport count, media_t
from roomtone.ext.flow.handover cimport FACT_HEARD_, FACT_INBAND_KEY_, edit_t
from roomtone.ext.flow.route cimport source_watch
from roomtone.ext.flow.tap_state cimport tap_frame_t, tap_ring_t, tap_t


cdef inline tap_t* tap_of(media_t* m, endpoint_t* e) noexcept nogil:
    return m.taps + endpoint_index(e)


cdef void speech_put(media_t* m, endpoint_t* e, tap_t* t, int64_t at_us) noexcept nogil:
    """A frame with speech in it."""
    cdef bint begins = t.speech_began_us == 0 or at_us - t.speech_last_us >= TAP_HANGOVER_US
    if begins:
        rt_store_release64(<unsigned long*> &t.speech_before_us, t.speech_last_us)
        rt_store_release64(<unsigned long*> &t.speech_began_us, at_us)
    rt_store_release64(<unsigned long*> &t.speech_last_us, at_us)
    if begins:
        fact_put(m, FACT_HEARD_, e.handle, 0, 0)


cdef void keys_put(media_t* m, endpoint_t* e, tap_t* t, int16_t* pcm8) noexcept nogil:
    cdef dtmf_press_t press
    if dtmf_frame(&t.dtmf, pcm8, &press) == DTMF_END:
        count(m, COUNT_KEYS)
        fact_put(m, FACT_INBAND_KEY_, e.handle, press.digit, press.duration_ms)


cdef void fax_put(media_t* m, endpoint_t* e, tap_t* t, int16_t* pcm8) noexcept nogil:
    cdef int heard = fax_frame(&t.fax, pcm8)
    if heard == 0:
        return
    if heard & FAX_CNG:
        t.cng_heard += 1
    if heard & FAX_CED:
        t.ced_heard += 1
    fact_put(m, FACT_HEARD_, e.handle, 0, 0)


cdef void frames_put(media_t* m, tap_t* t, int16_t* pcm8, int64_t at_us) noexcept nogil:
    cdef tap_frame_t* frame = <tap_frame_t*> ring_slot(&t.frames.ring)
    if frame == NULL:
        count(m, COUNT_FRAMES_LOST)
        return
    frame.at_us = at_us
    memcpy(frame.pcm8, pcm8, sizeof(frame.pcm8))
    ring_push(&t.frames.ring)


cdef void tap_frame(media_t* m, endpoint_t* e, int16_t* pcm8, bint came, int64_t tick, int64_t at_us) noexcept nogil:
    cdef tap_t* t = tap_of(m, e)
    cdef uint32_t watch = e.flags & m.watch
    if came:
        t.missing = 0
    else:
        t.missing += 1
        if t.missing <= TAP_PATIENCE or t.missing > TAP_FORGET:
            return
    if <uint32_t> tick - t.tick_low > TAP_FORGET:           # nothing was looked at for a while: what was heard is over
        dtmf_reset(&t.dtmf)
        fax_reset(&t.fax)
    t.tick_low = <uint32_t> tick
    count(m, COUNT_WATCHED)
    if watch & EP_WATCH_SPEECH and vad_frame(&t.vad, pcm8) >= t.threshold and came:
        speech_put(m, e, t, at_us)
    if watch & EP_WATCH_KEYS:
        keys_put(m, e, t, pcm8)
    if watch & EP_WATCH_FAX:
        fax_put(m, e, t, pcm8)
    if watch & EP_WATCH_FRAMES:
        frames_put(m, t, pcm8, at_us)


cdef void tap_negotiated(media_t* m, endpoint_t* e) noexcept nogil:
    cdef bint events = False
    cdef int i
    for i in range(EVENT_TYPES):
        if e.event_type[i] != NO_TYPE:
            events = True
    if events:
        source_watch(m, e, e.flags & EP_WATCHED & ~<uint32_t> EP_WATCH_KEYS)
    elif not e.flags & EP_WATCH_KEYS:
        dtmf_reset(&tap_of(m, e).dtmf)
        source_watch(m, e, e.flags & EP_WATCHED | EP_WATCH_KEYS)


cdef void tap_watch(media_t* m, endpoint_t* e, const edit_t* d) noexcept nogil:
    """a: bits; x: threshold; address: the ring of frames; b: serial of what is asked about speech."""
    cdef tap_t* t = tap_of(m, e)
    if t.serial != <uint64_t> d.b:
        rt_store_release64(<unsigned long*> &t.serial, 0)
        rt_fence_release()
        t.speech_began_us = t.speech_last_us = t.speech_before_us = 0
        t.threshold = vad_log_odds(d.x)
        vad_reset(&t.vad)
        rt_store_release64(<unsigned long*> &t.serial, <uint64_t> d.b)
    if d.a & EP_WATCH_FAX and not e.flags & EP_WATCH_FAX:
        fax_reset(&t.fax)
    t.frames = <tap_ring_t*> d.address
    source_watch(m, e, e.flags & EP_WATCH_KEYS | <uint32_t> d.a)


cdef speech_t tap_speech(const tap_t* t) noexcept nogil:
    cdef speech_t seen
    while True:
        seen.serial = rt_load_acquire64(<const unsigned long*> &t.serial)
        seen.began_us = <int64_t> rt_load_acquire64(<const unsigned long*> &t.speech_began_us)
        seen.before_us = <int64_t> rt_load_acquire64(<const unsigned long*> &t.speech_before_us)
        seen.last_us = <int64_t> rt_load_acquire64(<const unsigned long*> &t.speech_last_us)
        rt_fence_acquire()
        if (seen.serial == rt_load_acquire64(<const unsigned long*> &t.serial)
                and seen.began_us == <int64_t> rt_load_acquire64(<const unsigned long*> &t.speech_began_us)):
            return seen
