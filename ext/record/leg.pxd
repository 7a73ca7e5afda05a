"""One endpoint's part of a recording.  For a WAV: its sound, put in order and in time before it is written."""

from libc.stdint cimport int16_t

from roomtone.ext.record.capture cimport capture_t
from roomtone.ext.record.recording cimport WINDOW_BLOCKS, leg_t


# Put what a packet or frame says into the window, which begins at block `recording.blocks`.  RT_OK; RT_LATE: that part
# of the file is written, or lies beyond the window; RT_EMPTY: no sound in it.
cdef int leg_put(leg_t* leg, const capture_t* record) noexcept nogil
# Write the block that is due into every `channels`th sample from `interleaved` on, and clear it; a silent one is left out.
# Packets that began in it.
cdef int leg_take(leg_t* leg, int16_t* interleaved, int channels) noexcept nogil


cdef inline bint leg_sounds(const leg_t* leg) noexcept nogil:
    """Something was put into the block that is due."""
    return leg.touched >> (leg.recording.blocks % WINDOW_BLOCKS) & 1
