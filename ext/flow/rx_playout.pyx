"""Write by timestamp, read by tick."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from roomtone.ext.base.types cimport RT_EMPTY, RT_LATE, RT_LENGTH, RT_OK, rt_unlikely, ts_diff
from roomtone.ext.codec.codec cimport codec_get, codec_t
from roomtone.ext.codec.comfort_noise cimport NOISE_LEVEL_MASK
from roomtone.ext.dsp.dispatch cimport kernel_get
from roomtone.ext.flow.constants cimport (
    FRAME_16K,
    LINE_BYTES,
    LINE_SAMPLES_8K,
    LINE_SAMPLES_16K,
    PHASE_US,
    PHASES,
    PLAYOUT_WORDS,
    PRESENT_WORDS,
    READ_AGE_US,
    TICK_US,
)
from roomtone.ext.flow.counters cimport (
    COUNT_CONCEALED,
    COUNT_RESYNCS,
    DROP_EMPTY,
    DROP_LINE_RANGE,
    DROP_PLAYOUT_LATE,
    worker_t,
)
from roomtone.ext.flow.endpoint cimport NOISE_TOLD, endpoint_index, endpoint_t
from roomtone.ext.flow.graph cimport bus_t, count, drop, media_t
from roomtone.ext.flow.rx_socket cimport rx_arrival_us


cdef enum:
    GRANULES = 256                  # a line of 512 ms in granules of 2 ms
    GRANULES_A_TICK = 10
    TICK_MASK = 0x3FF               # as many bits
    SKEW_STEP = 148                 # granules from one endpoint's beginning to the next one's; 4 x 37: whole cache lines
    TARGET_TICKS = 2                # TARGET_MS
    # A late packet weighs as much as ten in time: three in a row, or more than a tenth for some seconds, mean that the
    # delay has grown: start anew.
    LATE_WEIGHT = 10
    LATE_LIMIT = 30
    LEVEL_GRANULES = (TARGET_TICKS + 1) * GRANULES_A_TICK   # before a take: the target and the frame to be taken
    SPARE_GRANULES = 10             # 20 ms more than that, for a whole second: the surplus is taken out
    LEVEL_WINDOW_TICKS = 50
    IDLE_TICKS = 50                 # nothing to play for a second: wait for a first packet again


cdef inline int line_samples(const codec_t* c) noexcept nogil:
    return LINE_SAMPLES_16K if c.sample_rate_hz == 16000 else LINE_SAMPLES_8K


cdef inline int granule_samples(const codec_t* c) noexcept nogil:
    return line_samples(c) // GRANULES


cdef inline uint8_t* line_of(media_t* m, endpoint_t* e) noexcept nogil:
    return m.lines + <size_t> endpoint_index(e) * LINE_BYTES


cdef void line_over(endpoint_t* e) noexcept nogil:
    e.playing = PLAYOUT_EMPTY
    e.late_run = 0
    e.quiet_granules = 0


cdef void playout_reset(endpoint_t* e) noexcept nogil:
    line_over(e)
    e.noise = 0


cdef int64_t first_take_us(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil:
    """From the arrival of the packet at hand to the tick that takes the first frame."""
    cdef int64_t arrival_us
    cdef int64_t phase = m.buses[e.bus].phase
    if m.tick_us:                           # read on that very tick, after a wait
        arrival_us = rx_arrival_us(m, e)
        return now_us - arrival_us if 0 < arrival_us < now_us else 0
    return (m.next_ms + (phase - m.next_ms % PHASES + PHASES) % PHASES) * PHASE_US - now_us


cdef void playout_begin(media_t* m, endpoint_t* e, const codec_t* c, uint32_t timestamp, int64_t now_us) noexcept nogil:
    """An empty line; the packet at hand is played by the tick nearest to TARGET_MS from its arrival."""
    cdef int ticks = TARGET_TICKS - <int> ((first_take_us(m, e, now_us) + TICK_US // 2) // TICK_US)
    # Sources that begin together write at different places of their lines: lines are a power of two apart, and the
    # same place in all of them would fall into the same sets of the cache.
    cdef uint32_t skew = (endpoint_index(e) * SKEW_STEP) & (GRANULES - 1)
    memset(playout_present(m, e), 0, PLAYOUT_WORDS * sizeof(uint64_t))
    e.play_anchor_ts = timestamp - skew * granule_samples(c)
    e.play_ts = timestamp - max(ticks, 0) * (c.sample_rate_hz // 50)
    e.play_end_ts = timestamp
    e.playing = PLAYOUT_ANCHORED
    if rt_unlikely(e.noise):
        m.privates[endpoint_index(e)].noise_ts = e.play_ts      # until this packet is reached
    e.late_run = 0
    e.level_min = GRANULES
    e.level_ticks = 0


cdef void present_set(uint64_t* present, uint32_t first, int n) noexcept nogil:
    cdef int here
    while n > 0:
        first &= GRANULES - 1
        here = min(n, <int> (64 - (first & 63)))
        present[first >> 6] |= (~<uint64_t> 0 >> (64 - here)) << (first & 63)
        first += here
        n -= here


cdef bint present_at(const uint64_t* present, uint32_t i) noexcept nogil:
    i &= GRANULES - 1
    return present[i >> 6] >> (i & 63) & 1


cdef uint32_t present_take(uint64_t* present, uint32_t first) noexcept nogil:
    """Which of a tick's granules are there, a bit each; they are there no more."""
    cdef uint32_t word
    cdef uint32_t shift
    cdef uint64_t bits
    first &= GRANULES - 1
    word = first >> 6
    shift = first & 63
    bits = present[word] >> shift & TICK_MASK
    present[word] &= ~(<uint64_t> TICK_MASK << shift)
    if shift > 64 - GRANULES_A_TICK:
        word = word + 1 & PRESENT_WORDS - 1
        bits |= present[word] << (64 - shift) & TICK_MASK
        present[word] &= ~(<uint64_t> TICK_MASK >> (64 - shift))
    return <uint32_t> bits


cdef void line_write(uint8_t* line, int capacity, uint32_t at, const uint8_t* payload, int n) noexcept nogil:
    """n bytes at byte `at` of a circular line of `capacity` bytes."""
    cdef int first = capacity - <int> at
    if n <= first:
        memcpy(line + at, payload, n)
    else:
        memcpy(line + at, payload, first)
        memcpy(line, payload + first, n - first)


cdef void line_edge(media_t* m, endpoint_t* e, const codec_t* c, uint32_t granule) noexcept nogil:
    """A granule that will be there in part: what it lacks is silence."""
    cdef int n = granule_samples(c) * c.bytes_per_sample
    granule &= GRANULES - 1
    if not present_at(playout_present(m, e) + PRESENT_WORDS, granule):
        memset(line_of(m, e) + granule * n, c.silence, n)


cdef void line_read(const uint8_t* line, const codec_t* c, uint32_t granule, uint32_t there, uint8_t* out) noexcept nogil:
    """The tick's granules from `granule` on; those that are not `there` are silence, whatever the line holds."""
    cdef int n = granule_samples(c) * c.bytes_per_sample
    cdef int k
    if there == TICK_MASK and (granule & GRANULES - 1) + GRANULES_A_TICK <= GRANULES:
        memcpy(out, line + (granule & GRANULES - 1) * n, n * GRANULES_A_TICK)
        return
    for k in range(GRANULES_A_TICK):
        if there >> k & 1:
            memcpy(out + k * n, line + (granule + k & GRANULES - 1) * n, n)
        else:
            memset(out + k * n, c.silence, n)


cdef bint is_quiet(media_t* m, endpoint_t* e, const codec_t* c, const uint8_t* payload, int samples) noexcept nogil:
    """The packet is silence, and so was all that came before it for QUIET_GRANULES."""
    cdef int quiet
    if samples > FRAME_16K:
        e.quiet_granules = 0
        return False
    c.decode(payload, samples * c.bytes_per_sample, m.pcm_in)
    if m.kernel.level_energy(m.pcm_in, samples) > <int64_t> SILENCE_RMS * SILENCE_RMS * samples:
        e.quiet_granules = 0
        return False
    if e.quiet_granules >= QUIET_GRANULES:
        return True
    quiet = e.quiet_granules + samples // granule_samples(c)
    e.quiet_granules = <uint8_t> min(quiet, QUIET_GRANULES)
    return False


cdef int playout_put(media_t* m, endpoint_t* e, const codec_t* c, uint32_t timestamp, const uint8_t* payload,
                     int n_bytes, int64_t now_us) noexcept nogil:
    cdef:
        uint64_t* present = playout_present(m, e)
        int bps = c.bytes_per_sample
        int capacity = line_samples(c)
        int samples = n_bytes // bps
        int32_t ahead
        uint32_t position
        uint32_t first
        int granules
        int granule = granule_samples(c)
    if samples == 0 or samples > capacity // 2:
        drop(m, DROP_EMPTY if samples == 0 else DROP_LINE_RANGE)
        return RT_LENGTH
    if e.playing == PLAYOUT_EMPTY:
        playout_begin(m, e, c, timestamp, now_us)
    ahead = ts_diff(timestamp, e.play_ts)
    if ahead + samples > capacity or ahead < -capacity:
        playout_begin(m, e, c, timestamp, now_us)       # the timestamps jumped
        count(m, COUNT_RESYNCS)
        ahead = ts_diff(timestamp, e.play_ts)
    elif ahead + samples <= 0:
        e.late_run += LATE_WEIGHT
        if e.late_run < LATE_LIMIT:
            e.rx_late += 1
            drop(m, DROP_PLAYOUT_LATE)
            return RT_LATE
        playout_begin(m, e, c, timestamp, now_us)
        count(m, COUNT_RESYNCS)
        ahead = ts_diff(timestamp, e.play_ts)
    elif e.late_run:
        e.late_run -= 1
    e.ahead_granules = <uint8_t> max(0, min(ahead // granule, 255))
    if not m.tick_us:
        e.read_age = <uint8_t> max(<int64_t> 0, min(first_take_us(m, e, now_us) // READ_AGE_US, <int64_t> 255))
    if ahead < 0:                               # its first part is late
        payload += -ahead * bps
        samples += ahead
        timestamp = e.play_ts
    position = (timestamp - e.play_anchor_ts) & (capacity - 1)
    first = position // granule
    granules = (position % granule + samples + granule - 1) // granule
    if not is_quiet(m, e, c, payload, samples):
        if position % granule:
            line_edge(m, e, c, first)
        if (position + samples) % granule:
            line_edge(m, e, c, (position + samples) // granule)
        line_write(line_of(m, e), capacity * bps, position * bps, payload, samples * bps)
        present_set(present + PRESENT_WORDS, first, granules)
    present_set(present, first, granules)
    if ts_diff(timestamp + samples, e.play_end_ts) > 0:
        e.play_end_ts = timestamp + samples
    return RT_OK


cdef void playout_noise(media_t* m, endpoint_t* e, uint32_t timestamp, uint8_t level) noexcept nogil:
    cdef uint32_t* since = &m.privates[endpoint_index(e)].noise_ts
    cdef bint goes_on = e.noise and (e.playing == PLAYOUT_EMPTY or ts_diff(since[0], e.play_end_ts) >= 0)
    if e.playing != PLAYOUT_EMPTY and ts_diff(timestamp, e.play_end_ts) < 0:
        drop(m, DROP_PLAYOUT_LATE)
        return
    e.noise = NOISE_TOLD | level & NOISE_LEVEL_MASK
    if not goes_on:
        since[0] = timestamp


cdef inline bint noise_begun(media_t* m, endpoint_t* e) noexcept nogil:
    """Of a source whose silence was told: the cursor has reached it."""
    return ts_diff(e.play_ts, m.privates[endpoint_index(e)].noise_ts) >= 0


cdef inline int nothing(const endpoint_t* e) noexcept nogil:
    """What an empty line gives."""
    return PLAYOUT_TOLD if e.noise else RT_EMPTY


cdef inline uint32_t granule_at(const endpoint_t* e, const codec_t* c) noexcept nogil:
    """The granule of the line that the cursor stands at."""
    return ((e.play_ts - e.play_anchor_ts) & (line_samples(c) - 1)) // granule_samples(c)


cdef void playout_skip(media_t* m, endpoint_t* e, const codec_t* c, uint32_t ticks) noexcept nogil:
    """Ticks that were missed, or frames taken out: the cursor moves on, what it passes is gone."""
    cdef uint64_t* present = playout_present(m, e)
    cdef uint32_t _tick
    for _tick in range(ticks):
        present_take(present, granule_at(e, c))
        present_take(present + PRESENT_WORDS, granule_at(e, c))
        e.play_ts += c.sample_rate_hz // 50


cdef void level_watch(media_t* m, endpoint_t* e, const codec_t* c) noexcept nogil:
    """A line that was never near its target for a second holds too much: the surplus goes, in one piece."""
    cdef int32_t level = ts_diff(e.play_end_ts, e.play_ts) // granule_samples(c)
    if level < <int32_t> e.level_min:
        e.level_min = <unsigned short> level if level > 0 else 0
    e.level_ticks += 1
    if e.level_ticks >= LEVEL_WINDOW_TICKS:
        if e.level_min > LEVEL_GRANULES + SPARE_GRANULES:
            playout_skip(m, e, c, (e.level_min - LEVEL_GRANULES) // GRANULES_A_TICK)
            count(m, COUNT_RESYNCS)
        e.level_ticks = 0
        e.level_min = GRANULES


cdef void playout_rephase(media_t* m, endpoint_t* e, uint32_t was, uint32_t phase) noexcept nogil:
    """The next take comes up to 19 ms sooner or later than it would have: a tick is waited or passed over when the delay
    would leave its target by more than half a tick below, or a tick above."""
    cdef const codec_t* c = codec_get(e.rx_codec)
    cdef int64_t over_us
    if e.playing <= PLAYOUT_ANCHORED:
        return
    over_us = playout_delay_us(e, c) + (<int64_t> phase - <int64_t> was) * PHASE_US - TARGET_MS * 1000
    if over_us < -TICK_US // 2:
        e.play_ts -= c.sample_rate_hz // 50
    elif over_us > TICK_US:
        playout_skip(m, e, c, 1)


cdef int playout_get(media_t* m, endpoint_t* e, const codec_t* c, int64_t tick) noexcept nogil:
    cdef:
        int frame = c.sample_rate_hz // 50
        uint64_t* present = playout_present(m, e)
        uint32_t there
        uint32_t heard
        uint32_t granule
        uint32_t passed
        bint told = False
    if e.playing == PLAYOUT_EMPTY:
        return nothing(e)
    if e.playing == PLAYOUT_ANCHORED:
        e.playing = PLAYOUT_FILLING
    else:
        passed = <uint32_t> tick - e.play_tick_low
        if passed == 0:                     # it came from a bus that has ticked already
            return 0
        if passed > 1:
            if passed > IDLE_TICKS:
                line_over(e)
                return nothing(e)
            playout_skip(m, e, c, passed - 1)
        level_watch(m, e, c)
    e.play_tick_low = <uint32_t> tick
    if ts_diff(e.play_ts, e.play_end_ts) > IDLE_TICKS * frame:
        line_over(e)
        return nothing(e)
    granule = granule_at(e, c)
    there = present_take(present, granule)
    heard = present_take(present + PRESENT_WORDS, granule)
    if rt_unlikely(e.noise):
        told = noise_begun(m, e)
        if there and told:                  # it speaks again
            e.noise = 0
    if there:
        e.playing = PLAYOUT_RUNNING
        if heard:
            line_read(line_of(m, e), c, granule, heard, m.frame)
    elif e.playing == PLAYOUT_RUNNING and not told:
        e.concealed_frames += 1
        count(m, COUNT_CONCEALED)
    e.play_ts += frame
    if heard:
        return frame * c.bytes_per_sample
    if there:
        return 0
    return PLAYOUT_TOLD if told else RT_EMPTY


cdef int64_t playout_delay_us(const endpoint_t* e, const codec_t* c) noexcept nogil:
    if e.playing == PLAYOUT_EMPTY:
        return 0
    return <int64_t> e.ahead_granules * granule_samples(c) * 1000000 // c.sample_rate_hz + e.read_age * READ_AGE_US


# -- for tests and tools -----------------------------------------------------------------------------------------------

def bench(int codec_id, int sources, int ticks):
    """put and get of one frame for each of so many lines in turn, ticks times over; returns the frames that were heard."""
    cdef const codec_t* c = codec_get(codec_id)
    cdef media_t* m = <media_t*> calloc(1, sizeof(media_t))
    cdef worker_t* stats = <worker_t*> calloc(1, sizeof(worker_t))
    cdef endpoint_t* endpoints = <endpoint_t*> calloc(sources, sizeof(endpoint_t))
    cdef bus_t* bus = <bus_t*> calloc(1, sizeof(bus_t))
    cdef uint64_t* present = <uint64_t*> calloc(sources, PLAYOUT_WORDS * sizeof(uint64_t))
    cdef uint8_t* lines = <uint8_t*> calloc(sources, LINE_BYTES)
    cdef uint8_t[1024] payload
    cdef int64_t heard = 0
    cdef int frame = c.sample_rate_hz // 50
    cdef int tick, i
    try:
        if m == NULL or bus == NULL or stats == NULL or endpoints == NULL or present == NULL or lines == NULL:
            raise MemoryError
        memset(payload, 1, sizeof(payload))
        m.kernel = kernel_get()
        m.buses, m.stats, m.endpoints, m.present, m.lines = bus, stats, endpoints, present, lines
        for i in range(sources):
            endpoints[i].handle = 1 << 20 | <uint32_t> i
        with nogil:
            for tick in range(ticks):
                for i in range(sources):
                    playout_put(m, &endpoints[i], c, <uint32_t> (tick * frame), payload, frame * c.bytes_per_sample, 0)
                    heard += playout_get(m, &endpoints[i], c, tick) > 0
    finally:
        free(m)
        free(bus)
        free(stats)
        free(endpoints)
        free(present)
        free(lines)
    return heard
