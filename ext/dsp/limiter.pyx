"""The mixer's limiter.

The whole frame is known, so the gain can fall before the peak comes.  The frame is cut into blocks of 4 ms;
the gain runs in straight lines from block to block and at every block's start is already low enough for that
block.  Only the first block of a frame can come as a surprise; there the line is as steep as its samples
demand and no steeper.  After the last peak above full scale the gain climbs back in a straight line that
takes a quarter of a second whatever the depth: slow against the lowest voice, so that a steady tone keeps its
shape.
"""

from libc.math cimport fabsf
from libc.stdint cimport int16_t, int32_t

from roomtone.ext.dsp.dispatch cimport kernel_get, kernel_t


cdef enum:
    FULL_SCALE = 32767
    # What a limited peak is brought to: below the top interval of either G.711 law (from 31612 on, mu-law),
    # so that peaks close to each other do not leave as a run of the highest code.
    CEILING = 31600
    BLOCKS_PER_S = 250          # blocks of 4 ms: an attack that is no click, and whole vectors of samples
    RECOVERIES_PER_S = 4        # full recovery in 250 ms


cdef void limiter_reset(limiter_t* limiter) noexcept nogil:
    limiter.gain = 1
    limiter.release_per_s = 0


cdef void limiter_run(
    limiter_t* limiter, int16_t* pcm, const int32_t* sum_, int n, int rate_hz
) noexcept nogil:
    cdef const kernel_t* kernel = kernel_get()
    if n <= 0:
        return
    if limiter.gain == 1 and kernel.mix_peak(sum_, n) <= FULL_SCALE:
        kernel.mix_narrow(pcm, sum_, n)
    else:
        limit_frame(limiter, pcm, sum_, n, rate_hz)


cdef inline float gain_for(const int32_t* sum_, int n) noexcept nogil:
    """The highest gain that brings these samples under full scale; 1 for none."""
    cdef int32_t peak = kernel_get().mix_peak(sum_, n)
    return 1 if peak <= FULL_SCALE else <float> CEILING / <float> peak


cdef void limit_frame(
    limiter_t* limiter, int16_t* pcm, const int32_t* sum_, int n, int rate_hz
) noexcept nogil:
    cdef int block = rate_hz // BLOCKS_PER_S if rate_hz > BLOCKS_PER_S else 1
    cdef int start = 0
    cdef int length = block if block < n else n
    cdef int following
    cdef float here = gain_for(sum_, length)
    cdef float ahead
    while length > 0:
        following = n - start - length
        following = following if following < block else block
        ahead = gain_for(sum_ + start + length, following)
        limit_block(limiter, pcm + start, sum_ + start, length, rate_hz, here, ahead)
        start += length
        length = following
        here = ahead


cdef void limit_block(
    limiter_t* limiter, int16_t* pcm, const int32_t* sum_, int n, int rate_hz, float here, float ahead
) noexcept nogil:
    """One block: `here` is the highest gain it bears, `ahead` the next one's, to be reached at its end."""
    cdef float gain = limiter.gain
    cdef float target = here if here < ahead else ahead
    cdef float floor, step
    if gain >= target and target < 1:               # attack, or held down
        step = (target - gain) / <float> n
        if gain > here:
            step = surprise_step(sum_, n, gain, step)
        floor = target
        limiter.gain = target
        limiter.release_per_s = (1 - target) * <float> RECOVERIES_PER_S
    else:                                           # recovery
        limiter.gain = gain + limiter.release_per_s * <float> n / <float> rate_hz
        limiter.gain = limiter.gain if limiter.gain < target else target
        step = (limiter.gain - gain) / <float> n
        floor = gain
    kernel_get().limit_ramp(pcm, sum_, n, gain, step, floor)


cdef float surprise_step(const int32_t* sum_, int n, float gain, float step) noexcept nogil:
    """The gentlest line from `gain` that no sample of the block crosses, at least as steep as `step`."""
    cdef float magnitude, needed
    cdef int i
    for i in range(n):
        magnitude = fabsf(<float> sum_[i])
        if magnitude * gain > <float> FULL_SCALE:
            needed = (<float> FULL_SCALE / magnitude - gain) / <float> (i + 1)
            step = needed if needed < step else step
    return step


# -- for tests and tools --

cdef class Limiter:
    """A limiter for one bus: `run(pcm, sum, rate_hz)`."""

    cdef limiter_t state

    def __cinit__(self) -> None:
        limiter_reset(&self.state)

    @property
    def gain(self) -> float:
        return self.state.gain

    def run(self, int16_t[::1] pcm, const int32_t[::1] sum_, int rate_hz, int times=1) -> None:
        cdef int n = <int> sum_.shape[0]
        if pcm.shape[0] != n:
            raise ValueError("lengths differ")
        if n:
            with nogil:
                for _ in range(times):
                    limiter_run(&self.state, &pcm[0], &sum_[0], n, rate_hz)
