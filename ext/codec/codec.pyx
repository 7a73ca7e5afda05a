"""The table of codecs, filled at import with the rows of the instruction level in force."""

from libc.stdint cimport int16_t, uint8_t
from libc.string cimport memset

from roomtone.ext.base.cpu cimport kernel_table

from roomtone.ext.base import cpu


cdef codec_t[CODEC_COUNT] TABLE


cdef const codec_t* codec_get(int codec_id) noexcept nogil:
    """The codec's row, or NULL for an id that is not one."""
    if codec_id <= CODEC_NONE or codec_id >= CODEC_COUNT:
        return NULL
    return &TABLE[codec_id]


cdef int fill(codec_t* table, str level_name) except -1:
    """Copy the rows of one level into table[CODEC_COUNT]."""
    cdef codec_t* g711 = <codec_t*> kernel_table("roomtone.ext.codec.g711", level_name)
    cdef codec_t* l16 = <codec_t*> kernel_table("roomtone.ext.codec.l16", level_name)
    memset(table, 0, CODEC_COUNT * sizeof(codec_t))
    table[CODEC_PCMU] = g711[0]
    table[CODEC_PCMA] = g711[1]
    table[CODEC_L16_8K] = l16[0]
    table[CODEC_L16_16K] = l16[1]
    return 0


cdef str LEVEL = cpu.level()
fill(TABLE, LEVEL)


def level() -> str:
    """The instruction level whose rows are in the table."""
    return LEVEL


# -- for tests and tools --

PCMU, PCMA, L16_8K, L16_16K = CODEC_PCMU, CODEC_PCMA, CODEC_L16_8K, CODEC_L16_16K


cdef codec_t row_of(int codec_id, str level_name) except *:
    cdef codec_t[CODEC_COUNT] table
    if codec_get(codec_id) == NULL:
        raise ValueError(f"no codec {codec_id}")
    fill(table, level_name)
    return table[codec_id]


def row(int codec_id) -> tuple[int, int, int, int] | None:
    """(clock_rate_hz, sample_rate_hz, bytes_per_sample, silence) or None."""
    cdef const codec_t* found = codec_get(codec_id)
    if found == NULL:
        return None
    return found.clock_rate_hz, found.sample_rate_hz, found.bytes_per_sample, found.silence


def decode(int codec_id, const uint8_t[::1] payload, int16_t[::1] pcm, str level_name="", int times=1) -> int:
    """Decode `payload` into `pcm`, `times` over; returns the samples of one run."""
    cdef codec_t codec = row_of(codec_id, level_name)
    cdef int n = <int> payload.shape[0]
    cdef int out = 0
    if pcm.shape[0] < n // codec.bytes_per_sample:
        raise ValueError("pcm is too short")
    if n == 0 or pcm.shape[0] == 0:
        return codec.decode(NULL, 0, NULL)
    with nogil:
        for _ in range(times):
            out = codec.decode(&payload[0], n, &pcm[0])
    return out


def encode(int codec_id, const int16_t[::1] pcm, uint8_t[::1] payload, str level_name="", int times=1) -> int:
    """Encode `pcm` into `payload`, `times` over; returns the bytes of one run."""
    cdef codec_t codec = row_of(codec_id, level_name)
    cdef int n = <int> pcm.shape[0]
    cdef int out = 0
    if payload.shape[0] < n * codec.bytes_per_sample:
        raise ValueError("payload is too short")
    if n == 0:
        return codec.encode(NULL, 0, NULL)
    with nogil:
        for _ in range(times):
            out = codec.encode(&pcm[0], n, &payload[0])
    return out
