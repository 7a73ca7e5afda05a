"""The Python face of ext/flow; the contract is media.pyi.

MediaMemory (media_memory.pyx) holds what the media thread works on, EditWriter (edit_writer.pyx) changes it, Media runs
it and reads it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

import socket

from roomtone.ext.base.ring cimport ring_peek, ring_pop
from roomtone.ext.base.types cimport rt_load_acquire64
from roomtone.ext.event.stats_record cimport stats_record_t
from roomtone.ext.flow.arena cimport addr_text
from roomtone.ext.flow.endpoint cimport addr_t, endpoint_t
from roomtone.ext.flow.graph cimport endpoint_private_t
from roomtone.ext.flow.handover cimport (
    FACT_BYE_,
    FACT_FILE_ENDED_,
    FACT_FILE_NEXT_,
    FACT_FILE_STARTED_,
    FACT_HEARD_,
    FACT_INBAND_KEY_,
    FACT_INJECT_DONE_,
    FACT_KEY_,
    FACT_PINNED_,
    FACT_PROBE_,
    FACT_RESYNC_,
    FACT_SEATED_,
    FACT_TONE_DONE_,
    fact_t,
)
from roomtone.ext.flow.loop cimport loop_run
from roomtone.ext.flow.playback cimport FILE_FAILED
from roomtone.ext.flow.snapshot cimport endpoint_record, endpoint_stats, silent_scan, worker_metrics
from roomtone.ext.flow.tap cimport speech_t, tap_speech
from roomtone.ext.flow.tap_state cimport TAP_FRAME, tap_frame_t, tap_ring_t, tap_t

from roomtone.ext.flow.arena import Arena, arena_bytes  # noqa: F401  # no-cython-lint

FACT_PINNED = FACT_PINNED_
FACT_KEY = FACT_KEY_
FACT_INJECT_DONE = FACT_INJECT_DONE_
FACT_TONE_DONE = FACT_TONE_DONE_
FACT_BYE = FACT_BYE_
FACT_PROBE = FACT_PROBE_
FACT_RESYNC = FACT_RESYNC_
FACT_FILE_STARTED = FACT_FILE_STARTED_
FACT_FILE_ENDED = FACT_FILE_ENDED_
FACT_FILE_NEXT = FACT_FILE_NEXT_
FACT_INBAND_KEY = FACT_INBAND_KEY_
FACT_HEARD = FACT_HEARD_
FACT_SEATED = FACT_SEATED_


cdef enum:
    INDEX_MASK = 0xFFFFF


cdef tuple addr_pair(const addr_t* a):
    if a.family == 6:
        return socket.inet_ntop(socket.AF_INET6, (<const uint8_t*> a.ip)[:16]), a.port
    return socket.inet_ntop(socket.AF_INET, (<const uint8_t*> a.ip)[:4]), a.port


cdef class Media(EditWriter):
    """One worker's media thread and its Python side.  See media.pyi."""

    def __cinit__(self):
        self.silences = {}

    def run(self):
        """The media thread: returns after stop()."""
        with nogil:
            loop_run(&self.m)

    def stop(self):
        self.m.stop = 1
        self.wake(True)

    cdef tuple fact_tuple(self, fact_t* f):
        if f.kind == FACT_PINNED_:
            return (f.kind, f.handle, *addr_pair(&f.addr))
        if f.kind == FACT_KEY_ or f.kind == FACT_INBAND_KEY_:
            return f.kind, f.handle, f.a, f.b
        if f.kind == FACT_FILE_STARTED_ or f.kind == FACT_FILE_NEXT_ or f.kind == FACT_SEATED_:
            return f.kind, f.handle, f.a
        if f.kind == FACT_FILE_ENDED_:
            return f.kind, f.handle, f.a, f.b
        if f.kind == FACT_BYE_:
            reason = None if f.text_bytes < 0 else f.text[:f.text_bytes].decode("utf-8", "replace")
            return f.kind, f.handle, [f.ssrcs[i] for i in range(f.ssrc_count)], reason
        return f.kind, f.handle

    def facts(self, int limit=4096):
        cdef fact_t* f
        out = []
        while len(out) < limit:
            f = <fact_t*> ring_peek(&self.m.facts)
            if f == NULL:
                break
            out.append(self.fact_tuple(f))
            ring_pop(&self.m.facts)
        return out

    def silent(self, int64_t limit_us):
        quiet = silent_scan(&self.m, limit_us, self.now())
        told = self.silences
        self.silences = {handle: since for handle, _, since in quiet}
        return [(handle, ms) for handle, ms, since in quiet if told.get(handle) != since]

    def stats(self, uint32_t handle):
        return endpoint_stats(self.slot(handle), self.now())

    def stats_records(self, list handles not None):
        cdef Py_ssize_t i
        cdef int64_t now_us = self.now()
        cdef bytes out = PyBytes_FromStringAndSize(NULL, len(handles) * <Py_ssize_t> sizeof(stats_record_t))
        for i in range(len(handles)):
            endpoint_record(self.slot(handles[i]), now_us, &(<stats_record_t*> PyBytes_AS_STRING(out))[i])
        return out

    def speech(self, uint32_t handle):
        cdef speech_t seen
        self.slot(handle)
        seen = tap_speech(self.m.taps + (handle & INDEX_MASK))
        return seen.serial, seen.began_us, seen.last_us, seen.before_us

    def fax_tones(self, uint32_t handle):
        cdef tap_t* t
        self.slot(handle)
        t = self.m.taps + (handle & INDEX_MASK)
        return (rt_load_acquire64(<const unsigned long*> &t.cng_heard),
                rt_load_acquire64(<const unsigned long*> &t.ced_heard))

    def watched_frames(self, uint64_t frames, int limit=64):
        cdef tap_ring_t* ring = <tap_ring_t*> frames
        cdef tap_frame_t* frame
        out = []
        while len(out) < limit:
            frame = <tap_frame_t*> ring_peek(&ring.ring)
            if frame == NULL:
                break
            out.append((frame.at_us, (<const uint8_t*> frame.pcm8)[:2 * TAP_FRAME]))
            ring_pop(&ring.ring)
        return out

    def line(self, uint32_t handle):
        cdef endpoint_t* e = self.slot(handle)
        return {"ssrc": e.tx_ssrc, "cname": e.cname[:e.cname_bytes].decode("ascii"),
                "remote": addr_text(&e.remote)}

    def file_state(self, uint32_t handle):
        cdef endpoint_private_t* p = self.m.privates + (self.slot(handle).handle & INDEX_MASK)
        return p.file_started_us, p.file_item, p.file_ended != 0, p.file_ended == FILE_FAILED

    def file_underruns(self, uint32_t handle):
        return self.m.privates[self.slot(handle).handle & INDEX_MASK].file_underruns

    def last_activity_us(self, uint32_t handle):
        cdef endpoint_t* e = self.slot(handle)
        return max(e.rx_last_us, e.tx_last_us)

    def last_heard_us(self, uint32_t handle):
        cdef endpoint_t* e = self.slot(handle)
        return max(e.rx_last_us, self.m.privates[e.handle & INDEX_MASK].rtcp_us)

    def metrics(self):
        out = worker_metrics(&self.m)
        # A late packet fills a gap that was counted: the total told never goes back.
        self.lost = max(self.lost, out["counters"].pop("rx_gaps") - out["counters"].pop("rx_gaps_filled"))
        out["counters"]["lost"] = self.lost
        return out
