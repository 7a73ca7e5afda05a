"""libsndfile decodes, the channels are averaged, libsoxr makes two rates of it."""

from libc.math cimport lrintf
from libc.stdint cimport int16_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memmove, memset

from posix.stat cimport S_IRUSR, S_ISVTX, S_IWUSR, fstat, struct_stat
from posix.unistd cimport pread, usleep

import ctypes
import ctypes.util
import importlib.util
import math
import os
from pathlib import Path

from roomtone.ext.file._sndfile cimport (
    SF_COUNT_MAX,
    SF_SEEK_CUR,
    SF_SEEK_END,
    SF_SEEK_SET,
    SF_VIRTUAL_IO,
    SFM_READ,
    sf_close_t,
    sf_error_number_t,
    sf_error_t,
    sf_open_virtual_t,
    sf_readf_float_t,
    sf_seek_t,
)
from roomtone.ext.file._soxr cimport soxr_create_t, soxr_delete_t, soxr_process_t

cdef enum:
    BLOCKS_A_SECOND = 5                 # decoded in one piece: 200 ms
    SETTLES_A_SECOND = 10               # at least 100 ms before a second that does not follow the last one
    SECONDS_A_RUN = 8
    ROOM_SAMPLES = NARROW_HZ + WIDE_HZ
    CHANNELS_MAX = 16
    RATE_MIN_HZ = 4000
    RATE_MAX_HZ = 192000
    TAG_BYTES = 128                     # ID3v1, at the end of an MP3
    LOUDEST = 16                        # full scales; what is above cannot be meant
    MOST_SAMPLES = 1 << 29
    LOOK_US = 20000                     # how often it is looked whether a file has grown

RUN_MAX = SECONDS_A_RUN
ANY_SIZE = 1 << 40
SECOND_BYTES = 2 * ROOM_SAMPLES


def library(package, pattern, name, symbol):
    """The library in a package's folder, without importing the package; else the system's.  OSError: there is none."""
    spec = importlib.util.find_spec(package)
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        for path in sorted(Path(folder).glob(pattern)):
            found = ctypes.CDLL(str(path))
            if hasattr(found, symbol):
                return found
    return ctypes.CDLL(ctypes.util.find_library(name) or f"lib{name}.so")


cdef size_t address(library, str name) except 0:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value


_sndfile = library("_soundfile_data", "libsndfile*.so*", "sndfile", "sf_open_virtual")
_soxr = library("soxr", "soxr_ext*.so", "soxr", "soxr_create")
cdef sf_open_virtual_t sf_open_virtual = <sf_open_virtual_t> address(_sndfile, "sf_open_virtual")
cdef sf_readf_float_t sf_readf_float = <sf_readf_float_t> address(_sndfile, "sf_readf_float")
cdef sf_seek_t sf_seek = <sf_seek_t> address(_sndfile, "sf_seek")
cdef sf_error_t sf_error = <sf_error_t> address(_sndfile, "sf_error")
cdef sf_error_number_t sf_error_number = <sf_error_number_t> address(_sndfile, "sf_error_number")
cdef sf_close_t sf_close = <sf_close_t> address(_sndfile, "sf_close")
cdef soxr_create_t soxr_create = <soxr_create_t> address(_soxr, "soxr_create")
cdef soxr_process_t soxr_process = <soxr_process_t> address(_soxr, "soxr_process")
cdef soxr_delete_t soxr_delete = <soxr_delete_t> address(_soxr, "soxr_delete")


# -- reading -----------------------------------------------------------------------------------------------------------

cdef int64_t input_size(void* user) noexcept nogil:
    return (<input_t*> user).size


cdef int64_t input_seek(int64_t offset, int whence, void* user) noexcept nogil:
    cdef input_t* input = <input_t*> user
    offset += input.position if whence == SF_SEEK_CUR else input.size if whence == SF_SEEK_END else 0
    if offset < 0:
        return -1
    input.position = offset
    return offset


cdef void growing_look(growing_t* g) noexcept nogil:
    """Its mode says what becomes of it: who writes it may write until it is whole, and nobody may read what is broken."""
    cdef struct_stat about
    if g.state == FILE_GROWS and fstat(g.fd, &about) == 0 and not about.st_mode & S_IWUSR:
        g.state = FILE_WHOLE if about.st_mode & S_IRUSR else FILE_BROKE


cdef int64_t growing_read(growing_t* g, void* to, int64_t count, int64_t at, bint wait) noexcept nogil:
    """All of it, if need be when it has come; less: that is the end, or there is no need to wait."""
    cdef int64_t n
    while True:
        growing_look(g)                 # first: what was whole then is whole when it is read
        n = pread(g.fd, to, count, at)
        if n == count or g.state != FILE_GROWS or g.given_up or not wait:
            return n
        usleep(LOOK_US)


cdef int64_t input_read(void* to, int64_t count, void* user) noexcept nogil:
    cdef input_t* input = <input_t*> user
    cdef bint jumped = input.opening and input.position != input.reached
    cdef int64_t n = growing_read(input.file, to, count, input.position, not jumped)
    if n <= 0 and count == TAG_BYTES and input.position == input.size - TAG_BYTES:
        memset(to, 0, count)            # where the end is said to be, and is not: no tag
        n = count
    if n > 0:
        input.position += n
        input.reached = input.position
    return max(<int64_t> 0, n)


cdef int64_t input_write(const void* from_, int64_t count, void* user) noexcept nogil:
    return 0


cdef int64_t input_tell(void* user) noexcept nogil:
    return (<input_t*> user).position


cdef SF_VIRTUAL_IO INPUT = SF_VIRTUAL_IO(input_size, input_seek, input_read, input_write, input_tell)


# -- one rate ----------------------------------------------------------------------------------------------------------

cdef void line_close(line_t* line) noexcept nogil:
    if line.resampler != NULL:
        soxr_delete(line.resampler)
        line.resampler = NULL


cdef bint line_begin(line_t* line, int rate_hz, int64_t unwanted) noexcept nogil:
    """Nothing waits; of what comes, what `unwanted` frames of the file become is not wanted.  False: no memory."""
    line_close(line)
    line.count = 0
    line.skip = unwanted * line.rate_hz // rate_hz
    if line.rate_hz != rate_hz:
        line.resampler = soxr_create(rate_hz, line.rate_hz, 1, NULL, NULL, NULL, NULL)
        return line.resampler != NULL
    return True


cdef void line_came(line_t* line, int64_t n) noexcept nogil:
    """n samples stand behind those that wait."""
    cdef int64_t skipped = min(n, line.skip)
    line.skip -= skipped
    if skipped:
        memmove(line.waiting + line.count, line.waiting + line.count + skipped, (n - skipped) * sizeof(float))
    line.count += n - skipped


cdef void line_put(line_t* line, const float* pcm, int64_t n, bint last) noexcept nogil:
    cdef size_t taken = 0
    cdef size_t made = 0
    if line.resampler == NULL:
        n = min(n, line.capacity - line.count)
        memcpy(line.waiting + line.count, pcm, n * sizeof(float))
        line_came(line, n)
        return
    while n > 0:
        soxr_process(line.resampler, pcm, n, &taken, line.waiting + line.count, line.capacity - line.count, &made)
        line_came(line, made)
        pcm += taken
        n -= taken
        if taken == 0 and made == 0:
            break                       # no room; cannot be, see capacity
    while last:
        soxr_process(line.resampler, NULL, 0, NULL, line.waiting + line.count, line.capacity - line.count, &made)
        line_came(line, made)
        if made == 0:
            break


cdef int64_t line_take(line_t* line, int16_t* pcm, int64_t n) noexcept nogil:
    """Up to n samples, the rest silence; returns how many."""
    cdef int64_t made = min(n, line.count)
    cdef float value
    cdef int64_t i
    for i in range(made):
        value = line.waiting[i] * 32768
        if value >= 32767:
            pcm[i] = 32767
        elif value > -32768:
            pcm[i] = <int16_t> lrintf(value)
        else:
            pcm[i] = -32768 if value <= -32768 else 0       # 0: not a number
    memset(pcm + made, 0, (n - made) * sizeof(int16_t))
    line.count -= made
    memmove(line.waiting, line.waiting + made, line.count * sizeof(float))
    return made


# -- a file ------------------------------------------------------------------------------------------------------------

cdef void average(float* mono, const float* block, int64_t frames, int channels) noexcept nogil:
    cdef float total
    cdef int64_t i
    cdef int channel
    for i in range(frames):
        total = 0
        for channel in range(channels):
            total += block[i * channels + channel]
        total /= channels
        if total != total:
            total = 0
        mono[i] = LOUDEST if total > LOUDEST else -LOUDEST if total < -LOUDEST else total


cdef bint sound_begin(sound_t* s, int64_t unwanted) noexcept nogil:
    cdef bint narrow = line_begin(&s.narrow, s.info.samplerate, unwanted)
    return line_begin(&s.wide, s.info.samplerate, unwanted) and narrow


cdef bint sound_room(sound_t* s) noexcept nogil:
    """False: no memory."""
    s.block_frames = (s.info.samplerate + BLOCKS_A_SECOND - 1) // BLOCKS_A_SECOND
    s.block = <float*> malloc(s.block_frames * s.info.channels * sizeof(float))
    s.mono = <float*> malloc(s.block_frames * sizeof(float))
    s.narrow.rate_hz = NARROW_HZ
    s.wide.rate_hz = WIDE_HZ
    # A second, and what several blocks and the filter's delay may bring at once.
    s.narrow.capacity = 3 * NARROW_HZ
    s.wide.capacity = 3 * WIDE_HZ
    s.narrow.waiting = <float*> calloc(s.narrow.capacity, sizeof(float))
    s.wide.waiting = <float*> calloc(s.wide.capacity, sizeof(float))
    return s.block != NULL and s.mono != NULL and s.narrow.waiting != NULL and s.wide.waiting != NULL


cdef void sound_close(sound_t* s) noexcept nogil:
    line_close(&s.narrow)
    line_close(&s.wide)
    if s.file != NULL:
        sf_close(s.file)
        s.file = NULL


cdef void sound_seek(sound_t* s, int64_t number) noexcept nogil:
    cdef int64_t target = number * s.info.samplerate
    cdef int64_t begin = max(<int64_t> 0, target - s.settle)
    s.failed = 0
    s.over = not sound_begin(s, target - begin) or 0 <= s.declared <= target
    s.done = target if s.over else begin
    if not s.over and sf_seek(s.file, begin, SF_SEEK_SET) < 0:
        s.failed = sf_error(s.file)
        s.over = True


cdef void sound_decode(sound_t* s) noexcept nogil:
    """The next block.  At the end, what the filters hold."""
    cdef int64_t n = max(<int64_t> 0, sf_readf_float(s.file, s.block, s.block_frames))
    s.failed = sf_error(s.file)
    s.over = n == 0 or s.failed
    s.done += n
    average(s.mono, s.block, n, s.info.channels)
    line_put(&s.narrow, s.mono, n, s.over)
    line_put(&s.wide, s.mono, n, s.over)


cdef int64_t sound_second(sound_t* s, int64_t number, int16_t* pcm8, int16_t* pcm16) noexcept nogil:
    cdef int64_t made
    if number != s.next:
        sound_seek(s, number)
    while not s.over and (s.narrow.count < NARROW_HZ or s.wide.count < WIDE_HZ):
        sound_decode(s)
    s.next = number + 1
    line_take(&s.wide, pcm16, WIDE_HZ)
    made = line_take(&s.narrow, pcm8, NARROW_HZ)
    memset(pcm16 + 2 * made, 0, (WIDE_HZ - 2 * made) * sizeof(int16_t))
    return made


cdef class Growing:
    """See decoder.pyi."""

    def __cinit__(self, int fd):
        self.g.fd = fd
        self.copy = os.fstat(fd).st_mode & S_ISVTX != 0
        self.g.state = FILE_GROWS if self.copy else FILE_WHOLE
        growing_look(&self.g)

    @property
    def grows(self):
        return self.g.state == FILE_GROWS

    @property
    def broke(self):
        return self.g.state == FILE_BROKE

    def give_up(self):
        self.g.given_up = 1

    def read(self, int count, int64_t at):
        cdef bytearray room = bytearray(count)
        cdef char* to = room
        cdef int64_t n
        with nogil:
            n = growing_read(&self.g, to, count, at, True)
        return bytes(room[:max(<int64_t> 0, n)])

    def settle(self):
        with nogil:
            while self.g.state == FILE_GROWS and not self.g.given_up:
                growing_look(&self.g)
                usleep(LOOK_US)


cdef class SoundFile:
    """See decoder.pyi."""

    def __cinit__(self, Growing file not None, *, int64_t size, bint size_tells):
        cdef sound_t* s = &self.s
        cdef int64_t rate
        self.file = file
        s.input.file = &file.g
        s.input.size = size
        s.input.opening = True
        with nogil:
            s.file = sf_open_virtual(&INPUT, SFM_READ, &s.info, &s.input)
        s.input.opening = False
        if s.file == NULL:
            raise ValueError(words(sf_error(NULL)))
        if not 1 <= s.info.channels <= CHANNELS_MAX:
            raise ValueError(f"{s.info.channels} channels are not supported")
        if not RATE_MIN_HZ <= s.info.samplerate <= RATE_MAX_HZ:
            raise ValueError(f"a sample rate of {s.info.samplerate} Hz is not supported")
        s.declared = s.info.frames if size_tells and 0 <= s.info.frames < SF_COUNT_MAX else -1
        if size == ANY_SIZE and s.declared * s.info.channels >= MOST_SAMPLES:
            s.declared = -1             # how a WAV that was made as a stream says that it does not know
        # Outputs begin on a sample only where samples of all rates coincide: every so many frames.
        rate = s.info.samplerate
        grid = rate // math.gcd(rate, NARROW_HZ)
        s.settle = -(-(rate // SETTLES_A_SECOND) // grid) * grid
        if not sound_room(s) or not sound_begin(s, 0):
            raise MemoryError

    def __dealloc__(self):
        sound_close(&self.s)
        free(self.s.block)
        free(self.s.mono)
        free(self.s.narrow.waiting)
        free(self.s.wide.waiting)

    def close(self):
        cdef sound_t* s = &self.s
        with nogil:
            sound_close(s)

    def run(self, int64_t first, list rooms not None):
        cdef sound_t* s = &self.s
        cdef int16_t* at[SECONDS_A_RUN]
        cdef int64_t made[SECONDS_A_RUN]
        cdef uint8_t[::1] room
        cdef int count = len(rooms)
        cdef int done = 0
        if s.file == NULL or first < 0 or not 0 < count <= SECONDS_A_RUN:
            raise ValueError(f"1 to {SECONDS_A_RUN} seconds of an open file")
        for i in range(count):
            room = rooms[i]
            if len(room) < SECOND_BYTES:
                raise ValueError("the room is too small")
            at[i] = <int16_t*> &room[0]
        with nogil:
            while done < count:
                made[done] = sound_second(s, first + done, at[done], at[done] + NARROW_HZ)
                done += 1
                if made[done - 1] < NARROW_HZ:
                    break
        return [made[i] for i in range(done)]

    @property
    def rate_hz(self):
        return self.s.info.samplerate

    @property
    def channels(self):
        return self.s.info.channels

    @property
    def frames(self):
        return None if self.s.declared < 0 else self.s.declared

    @property
    def read(self):
        return self.s.done

    @property
    def error(self):
        return words(self.s.failed) if self.s.failed else None


cdef str words(int error):
    """libsndfile's, without its full stop."""
    return (<bytes> sf_error_number(error)).decode("utf-8", "replace").rstrip(". \n")
