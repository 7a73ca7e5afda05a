"""The tap: what a watched source says goes to the detectors, whoever else hears it.

A source is watched when it has a bit of EP_WATCHED: because somebody asked for it, or, for keys, because its peer
negotiated no telephone-event.  Its frame of the tick comes here as it was decoded, before silence is left out of the sum;
at 8 kHz, whatever the codec.  A relayed source stays a relay: its packets go into the playout line as well, and its bus
ticks for the tap alone.

A packet that was lost is no silence: for TAP_PATIENCE ticks the detectors wait, so that a press is not heard as two.  Then
silence is what they are given, until TAP_FORGET.

Of speech the tap keeps when the latest utterance began and when speech was last heard; how long silence lasts is counted
by the clock, in the Python thread (engine/silence.py), so that it runs on when packets stop, when the bus does not tick,
and while the endpoint changes its bus.
"""

from libc.stdint cimport int16_t, int64_t, uint64_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport media_t
from roomtone.ext.flow.handover cimport edit_t
from roomtone.ext.flow.tap_state cimport tap_t


cdef enum:
    TAP_HANGOVER_US = 320000            # websocket.md section 5: speech that pauses no longer goes on
    TAP_PATIENCE = 3                    # ticks
    TAP_FORGET = 50                     # ticks without a packet: there is nothing left to wait for


# The tick's frame of a watched source.  came: there was a packet for it (else pcm8 is silence).
cdef void tap_frame(media_t* m, endpoint_t* e, int16_t* pcm8, bint came, int64_t tick, int64_t at_us) noexcept nogil
# What negotiation agreed has changed: keys are looked for in the audio of those who cannot send them otherwise.
cdef void tap_negotiated(media_t* m, endpoint_t* e) noexcept nogil
# EDIT_WATCH: what is to be watched of this source from now on; keys apart.
cdef void tap_watch(media_t* m, endpoint_t* e, const edit_t* d) noexcept nogil


cdef struct speech_t:
    uint64_t serial
    int64_t began_us
    int64_t last_us
    int64_t before_us


# Any thread: a consistent look.
cdef speech_t tap_speech(const tap_t* t) noexcept nogil
