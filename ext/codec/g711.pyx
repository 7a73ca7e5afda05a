"""ITU-T G.711: mu-law and A-law, without tables and without branches, so that the loops become vector code.

Compiled once an instruction level.  A G.711 magnitude is a small floating-point number: three bits of
exponent and four of mantissa.  In the bits of an IEEE 754 single both stand side by side, so one shift turns
the code into a float and a conversion gives the value; the other way round, the top bits of the converted
sample are the code.  Where the vector unit shifts 16-bit lanes by different amounts, decoding does that
instead: twice the lanes.

The standard's decision values (tables 1a to 2b) leave open to which side a sample exactly on one belongs.  We
take, as the usual implementations do: mu-law by magnitude, so that encode(-x) is encode(x) with the other
sign; A-law by the one's complement, so that -1 is the smallest negative value and 0 the smallest positive
one.

The casts to 8 and 16 bits are there for the vectoriser: the narrower the lanes, the more of them.
"""

from libc.stdint cimport int8_t, int16_t, int32_t, uint8_t, uint16_t, uint32_t

from roomtone.ext.codec.codec cimport codec_t


cdef extern from *:
    """
    static inline unsigned rt_float_bits(float f) { unsigned u; __builtin_memcpy(&u, &f, 4); return u; }
    static inline float rt_bits_float(unsigned u) { float f; __builtin_memcpy(&f, &u, 4); return f; }
    #ifdef __AVX512BW__
    #define RT_LANE_SHIFT16 1
    #else
    #define RT_LANE_SHIFT16 0
    #endif
    """
    uint32_t rt_float_bits(float f) noexcept nogil
    float rt_bits_float(uint32_t u) noexcept nogil
    bint RT_LANE_SHIFT16            # 16-bit lanes can be shifted by different amounts


cdef enum:
    CLOCK_RATE_HZ = 8000            # RFC 3551 section 4.5.14
    SILENCE_ULAW = 0xFF             # code of +0
    SILENCE_ALAW = 0xD5             # code of the smallest positive value

    SIGN = 0x80                     # bit of the code; after the inversions 1 is negative
    MAGNITUDE = 0x7F                # exponent and mantissa of the code
    MANTISSA = 0x0F
    EXPONENT_SHIFT = 4
    ULAW_INVERT = 0xFF              # G.711 table 2: all bits are sent inverted
    ALAW_INVERT = 0xD5              # G.711 table 1: even bits are sent inverted, and 1 is the positive sign

    ULAW_BIAS = 132                 # 33 in the standard's 14 bits: makes every segment a power of two
    ULAW_CLIP = 32635               # 32767 - ULAW_BIAS: the largest magnitude that needs no ninth segment
    ULAW_STEP_SHIFT = 3             # a step of the first segment is 8 of 16 bits
    ALAW_STEP_SHIFT = 4             # 16
    ALAW_HALF_STEP = 8
    ALAW_SEGMENT = 256              # where the first segment with an exponent starts

    CODE_SHIFT = 19                 # 23 bits of IEEE mantissa less the 4 of the code
    # Float of a code: exponent 2^(7 + segment); bit 18 adds the half step that puts the value amid its
    # interval.
    DECODE_BITS = ((127 + 7) << 23) | (1 << 18)
    # A-law's first segment has no exponent.  The float gives 8 m + 132 for it, the standard 16 m + 8.
    ALAW_FIRST_EXCESS = 124
    # Float bits of the segment's lowest magnitude: mu-law's first segment starts at 2^7 (132 is in it),
    # A-law's second one, which is the first with an exponent, at 2^4 of the 11-bit magnitude; it must come
    # out as 1 << 4.
    ULAW_ENCODE_ORIGIN = (127 + 7) << 4
    ALAW_ENCODE_ORIGIN = (127 + 4 - 1) << 4
    ALAW_LINEAR_END = 32            # 11-bit magnitudes below are their own code


cdef int ulaw_decode(const uint8_t* payload, int n_bytes, int16_t* pcm) noexcept nogil:
    """int16[n_bytes] of mu-law codes; +-32124 at most (the standard's 14 bits, shifted to 16)."""
    cdef Py_ssize_t i
    cdef uint16_t code, magnitude
    cdef int16_t value, sign
    cdef int32_t wide, wide_sign
    if RT_LANE_SHIFT16:
        for i in range(n_bytes):
            code = <uint16_t> (payload[i] ^ ULAW_INVERT)
            magnitude = <uint16_t> (((code & MANTISSA) << ULAW_STEP_SHIFT) + ULAW_BIAS)
            magnitude = <uint16_t> (magnitude << <uint16_t> ((code & MAGNITUDE) >> EXPONENT_SHIFT))
            value = <int16_t> (magnitude - ULAW_BIAS)
            sign = <int16_t> (-<int16_t> (code >> 7))
            pcm[i] = <int16_t> ((value ^ sign) - sign)
    else:
        for i in range(n_bytes):
            wide = <int8_t> (payload[i] ^ ULAW_INVERT)
            wide_sign = wide >> 31
            wide = <int32_t> rt_bits_float(((wide & MAGNITUDE) << CODE_SHIFT) + DECODE_BITS) - ULAW_BIAS
            pcm[i] = <int16_t> ((wide ^ wide_sign) - wide_sign)
    return n_bytes if n_bytes > 0 else 0


cdef int ulaw_encode(const int16_t* pcm, int n_samples, uint8_t* payload) noexcept nogil:
    """uint8[n_samples] of mu-law codes."""
    cdef Py_ssize_t i
    cdef uint8_t code
    cdef int32_t value, magnitude
    for i in range(n_samples):
        value = pcm[i]
        magnitude = value if value >= 0 else -value
        magnitude = magnitude if magnitude < ULAW_CLIP else ULAW_CLIP
        code = <uint8_t> (rt_float_bits(<float> (magnitude + ULAW_BIAS)) >> CODE_SHIFT)
        code = <uint8_t> (code - <uint8_t> ULAW_ENCODE_ORIGIN) | <uint8_t> (<uint16_t> value >> 8 & SIGN)
        payload[i] = code ^ ULAW_INVERT
    return n_samples if n_samples > 0 else 0


cdef int alaw_decode(const uint8_t* payload, int n_bytes, int16_t* pcm) noexcept nogil:
    """int16[n_bytes] of A-law codes; +-32256 at most (the standard's 13 bits, shifted to 16)."""
    cdef Py_ssize_t i
    cdef uint16_t code, exponent, magnitude
    cdef int16_t value, sign
    cdef int32_t wide, wide_sign, excess
    if RT_LANE_SHIFT16:
        for i in range(n_bytes):
            code = <uint16_t> (payload[i] ^ ALAW_INVERT)
            exponent = <uint16_t> ((code & MAGNITUDE) >> EXPONENT_SHIFT)
            magnitude = <uint16_t> (((code & MANTISSA) << ALAW_STEP_SHIFT) + ALAW_HALF_STEP)
            magnitude = <uint16_t> (magnitude + ALAW_SEGMENT) if exponent > 0 else magnitude
            exponent = <uint16_t> (exponent - 1) if exponent > 0 else exponent
            value = <int16_t> (magnitude << exponent)
            sign = <int16_t> (-<int16_t> (code >> 7))
            pcm[i] = <int16_t> ((value ^ sign) - sign)
    else:
        for i in range(n_bytes):
            wide = <int8_t> (payload[i] ^ ALAW_INVERT)
            wide_sign = wide >> 31
            wide &= MAGNITUDE
            excess = ALAW_FIRST_EXCESS - (wide << 3)        # positive in the first segment alone
            excess = excess if excess > 0 else 0
            wide = <int32_t> rt_bits_float((wide << CODE_SHIFT) + DECODE_BITS) - excess
            pcm[i] = <int16_t> ((wide ^ wide_sign) - wide_sign)
    return n_bytes if n_bytes > 0 else 0


cdef int alaw_encode(const int16_t* pcm, int n_samples, uint8_t* payload) noexcept nogil:
    """uint8[n_samples] of A-law codes."""
    cdef Py_ssize_t i
    cdef uint16_t bits
    cdef int16_t value, sign, magnitude, code
    for i in range(n_samples):
        value = pcm[i]
        sign = value >> 15
        magnitude = <int16_t> ((value ^ sign) >> 4)
        bits = <uint16_t> (rt_float_bits(<float> <int32_t> magnitude) >> CODE_SHIFT)
        code = <int16_t> (bits - ALAW_ENCODE_ORIGIN)
        code = magnitude if magnitude < ALAW_LINEAR_END else code
        payload[i] = <uint8_t> (code ^ ALAW_INVERT ^ (sign & SIGN))
    return n_samples if n_samples > 0 else 0


cdef codec_t[2] ROWS                # PCMU, PCMA
ROWS[0] = codec_t(ulaw_decode, ulaw_encode, CLOCK_RATE_HZ, CLOCK_RATE_HZ, 1, SILENCE_ULAW)
ROWS[1] = codec_t(alaw_decode, alaw_encode, CLOCK_RATE_HZ, CLOCK_RATE_HZ, 1, SILENCE_ALAW)


def table_address() -> int:
    """Address of codec_t[2]: PCMU, PCMA.  Constant; lives as long as the process."""
    return <size_t> &ROWS[0]
