"""Numbers in files: the least byte first, at any address."""

from libc.stdint cimport uint8_t, uint32_t


cdef inline void little16(uint8_t* at, uint32_t value) noexcept nogil:
    at[0] = value & 0xFF
    at[1] = value >> 8 & 0xFF


cdef inline void little32(uint8_t* at, uint32_t value) noexcept nogil:
    little16(at, value & 0xFFFF)
    little16(at + 2, value >> 16)
