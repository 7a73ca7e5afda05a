"""Voice activity, the cheap tier.

Eight bands of 10 ms windows, two a frame (ext/dsp/tone_bank), give their levels; what speech is told by are a
band's height over its noise floor, its place in the spectrum, how fast it moves and how far it swings, which a
small network of one hidden layer weighs (bench/vad_training.py made the weights).  Noise of any colour stands
still, hum and tones stand still in few bands, keys are gone after a frame; speech moves in syllables.

Levels are log2 of power: one is 3 dB.  Frames below QUIET are not looked at and are no speech.
"""

from libc.math cimport INFINITY, exp, fabsf, log
from libc.stdint cimport int16_t, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from roomtone.ext.dsp.dispatch cimport (
    BANK_SAMPLES, BANK_TONES, DENSE_OUT, bank_t, bank_view_t, kernel_get, kernel_t, window_t,
)
from roomtone.ext.dsp.tone_bank cimport BANK_ENERGY, BANK_POWER, bank_make, view_power
from roomtone.ext.dsp.vad_weights cimport VAD_BIAS, VAD_HIDDEN, VAD_OUT, VAD_OUT_BIAS


cdef extern from *:
    """
    /* log2 of a positive normal number, wrong by 0.01 at most: exponent and a parabola through the mantissa. */
    static inline float rt_log2(float x) {
        union { float f; unsigned u; } v = { x };
        int exponent = (int) (v.u >> 23) - 128;
        v.u = (v.u & 0x7FFFFF) | 0x3F800000;
        return (float) exponent + ((-1.0f / 3) * v.f + 2) * v.f - 2.0f / 3;
    }
    /* Sums in one fixed order that does not wait for every addition. */
    typedef float rt_four __attribute__((vector_size(16), aligned(4), may_alias));
    typedef int rt_mask __attribute__((vector_size(16)));
    static inline float rt_across(rt_four v) {
        return (v[0] + v[2]) + (v[1] + v[3]);
    }
    static inline float rt_sum8(const float* x) {
        return rt_across(*(const rt_four*) x + *(const rt_four*) (x + 4));
    }
    /* sum max(x, 0) * weight; n a multiple of 4 */
    static inline float rt_relu_dot(const float* x, const float* weights, int n) {
        rt_four sum = {0};
        for (int i = 0; i < n; i += 4) {
            rt_four v = *(const rt_four*) (x + i);
            v = (rt_four) ((rt_mask) v & (v > (rt_four) {0}));
            sum += v * *(const rt_four*) (weights + i);
        }
        return rt_across(sum);
    }
    """
    float rt_log2(float x) noexcept nogil
    float rt_sum8(const float* x) noexcept nogil
    float rt_relu_dot(const float* x, const float* weights, int n) noexcept nogil


cdef enum:
    VIEWS = 2
    KINDS = 7                       # of facts a band
    INPUTS = 56                     # KINDS * BANK_TONES

cdef double[BANK_TONES] BAND_HZ = [170, 380, 620, 920, 1320, 1850, 2500, 3250]

# -62 dBm0: below any telephone speech, above the noise of silence through G.711.
cdef int64_t QUIET = 160 * 203
# Added to the power of a band, so that digital silence has a level: some -68 dBm0.
cdef float FLOOR_POWER = 40 * BANK_POWER
cdef float FLOOR_RISE = <float> 0.02        # 3 dB a second
cdef float FLOOR_FALL = <float> 0.25
cdef float MEAN_RATE = <float> 0.02         # 1 s
cdef float MOTION_RATE = <float> 0.12       # 160 ms
cdef float MAX_HEIGHT = 10                  # 30 dB
cdef float HELD = <float> 0.93              # of a height, after a frame: 280 ms
cdef float RISEN_HEIGHT = <float> 2         # 6 dB
cdef float SCALE = <float> 0.25

cdef bank_t BANK


cdef void vad_reset(vad_t* vad) noexcept nogil:
    memset(vad, 0, sizeof(vad_t))


cdef float vad_frame(vad_t* vad, const int16_t* pcm8) noexcept nogil:
    cdef float[INPUTS] facts
    cdef float[DENSE_OUT] hidden
    cdef int i
    if not vad_look(vad, pcm8, facts):
        return -INFINITY
    for i in range(DENSE_OUT):
        hidden[i] = VAD_BIAS[i]
    kernel_get().dense(hidden, facts, VAD_HIDDEN, INPUTS)
    return VAD_OUT_BIAS + rt_relu_dot(hidden, VAD_OUT, DENSE_OUT)


cdef float vad_log_odds(double probability) noexcept nogil:
    return <float> log(probability / (1 - probability))


cdef bint vad_look(vad_t* vad, const int16_t* pcm8, float* out) noexcept nogil:
    """The inputs of the network; False for a quiet frame."""
    cdef float[INPUTS] facts        # apart from the state to the compiler's eyes: loops over both become vectors
    cdef const kernel_t* kernel = kernel_get()
    cdef int64_t energy = kernel.level_energy(pcm8, VAD_FRAME)
    cdef window_t[VIEWS] windows = [pcm8, pcm8 + BANK_SAMPLES]
    cdef bank_view_t[VIEWS] views
    cdef float[BANK_TONES] first
    cdef float[BANK_TONES] second
    cdef float[BANK_TONES] level
    cdef int i
    if energy < QUIET:
        return False
    kernel.bank_view(views, windows, VIEWS, &BANK)
    for i in range(BANK_TONES):
        first[i] = view_power(&views[0], i)
        second[i] = view_power(&views[1], i)
        level[i] = rt_log2(first[i] + second[i] + FLOOR_POWER)
    if vad.frames == 0:
        for i in range(BANK_TONES):
            vad.last[i] = vad.floor[i] = vad.mean[i] = level[i]
    vad.frames += 1
    bands_step(vad, level, facts)
    whole_facts(vad, views, rt_sum8(first), rt_sum8(second), facts + (KINDS - 1) * BANK_TONES)
    memcpy(out, facts, sizeof(facts))
    return True


cdef inline void bands_step(vad_t* vad, const float* level, float* facts) noexcept nogil:
    cdef float middle = rt_sum8(level) / BANK_TONES
    cdef float[BANK_TONES] above
    cdef float height, away, risen
    cdef int i
    for i in range(BANK_TONES):
        height = level[i] - vad.floor[i]
        away = level[i] - vad.mean[i]
        vad.motion[i] += MOTION_RATE * (fabsf(level[i] - vad.last[i]) - vad.motion[i])
        vad.swing[i] += MEAN_RATE * (fabsf(away) - vad.swing[i])
        vad.mean[i] += MEAN_RATE * away
        vad.floor[i] += FLOOR_RISE if height > 0 else FLOOR_FALL * height
        vad.last[i] = level[i]
        height = SCALE * (height if height < MAX_HEIGHT else MAX_HEIGHT)
        vad.held[i] *= HELD
        vad.held[i] = height if height > vad.held[i] else vad.held[i]
        above[i] = 1 if height > SCALE * RISEN_HEIGHT else 0
        facts[i] = height
        facts[i + BANK_TONES] = SCALE * (level[i] - middle)
        facts[i + 2 * BANK_TONES] = SCALE * away
        facts[i + 3 * BANK_TONES] = vad.motion[i]
        facts[i + 4 * BANK_TONES] = vad.swing[i]
        facts[i + 5 * BANK_TONES] = vad.held[i]
    risen = rt_sum8(above) / BANK_TONES
    vad.risen_lately += MOTION_RATE * (risen - vad.risen_lately)
    vad.risen_long += MEAN_RATE * (risen - vad.risen_long)


cdef inline void whole_facts(
    const vad_t* vad, const bank_view_t* views, float seen_first, float seen_second, float* facts
) noexcept nogil:
    """What concerns all bands: loudness, how the two halves differ, how much of each lies at the bands' middles
    (a pure tone: all or nothing), how long it has been listening, how many bands stood above their floors."""
    cdef float first = views[0].energy + BANK_ENERGY
    cdef float second = views[1].energy + BANK_ENERGY
    facts[0] = SCALE * (rt_log2(first + second) - 20)
    facts[1] = SCALE * (rt_log2(second) - rt_log2(first))
    facts[2] = SCALE * rt_log2((seen_first + BANK_POWER) / first)
    facts[3] = SCALE * rt_log2((seen_second + BANK_POWER) / second)
    facts[4] = <float> vad.frames / (<float> vad.frames + 50)
    facts[5] = vad.risen_lately
    facts[6] = vad.risen_long
    facts[7] = 0


bank_make(&BANK, BAND_HZ)


# -- for tests and tools --

SIZE_BYTES = sizeof(vad_t)
FACTS = INPUTS


def probabilities(const int16_t[::1] pcm, float[::1] out) -> None:
    """out[i]: probability of frame i of a stream that begins here; pcm: int16[160 * len(out)]."""
    cdef vad_t vad
    cdef Py_ssize_t i
    if pcm.shape[0] < out.shape[0] * VAD_FRAME:
        raise ValueError(f"{pcm.shape[0]} samples for {out.shape[0]} frames")
    vad_reset(&vad)
    with nogil:
        for i in range(out.shape[0]):
            out[i] = <float> (1 / (1 + exp(-vad_frame(&vad, &pcm[i * VAD_FRAME]))))


def look(const int16_t[::1] pcm, float[:, ::1] facts, unsigned char[::1] loud) -> None:
    """What the network is given: facts float32[frames, FACTS]; loud 0: a quiet frame, without facts."""
    cdef vad_t vad
    cdef Py_ssize_t i
    if facts.shape[1] != INPUTS or pcm.shape[0] < facts.shape[0] * VAD_FRAME or loud.shape[0] < facts.shape[0]:
        raise ValueError("shapes do not fit")
    vad_reset(&vad)
    for i in range(facts.shape[0]):
        loud[i] = vad_look(&vad, &pcm[i * VAD_FRAME], &facts[i, 0])


def run_many(const int16_t[::1] pcm, int channels, int frames) -> None:
    """For benchmarks: `frames` rounds over all channels, each a frame further into pcm than the one before."""
    cdef vad_t* states = <vad_t*> calloc(channels, sizeof(vad_t))
    cdef Py_ssize_t total = pcm.shape[0] // VAD_FRAME
    cdef Py_ssize_t i, channel
    if states == NULL:
        raise MemoryError
    with nogil:
        for i in range(frames):
            for channel in range(channels):
                vad_frame(&states[channel], &pcm[(i + channel) % total * VAD_FRAME])
    free(states)
