"""The only reader of time below `engine`.  Everything else takes `now_us` as an argument."""

from libc.stdint cimport int64_t, uint32_t


cdef int64_t clock_us() noexcept nogil          # CLOCK_MONOTONIC, microseconds
cdef int64_t clock_wall_us() noexcept nogil     # CLOCK_REALTIME, microseconds since 1970
cdef void clock_sleep_until(int64_t us) noexcept nogil      # of CLOCK_MONOTONIC; a signal may end it early


cdef enum:
    NTP_UNIX_OFFSET_S = 2208988800              # RFC 5905: seconds from 1900 to 1970


cdef inline uint32_t ntp_seconds(int64_t wall_us) noexcept nogil:
    return <uint32_t> (wall_us // 1000000 + NTP_UNIX_OFFSET_S)


cdef inline uint32_t ntp_fraction(int64_t wall_us) noexcept nogil:
    return <uint32_t> (((wall_us % 1000000) << 32) // 1000000)


cdef inline uint32_t ntp_middle(int64_t wall_us) noexcept nogil:
    """The middle 32 bits of the NTP time: 16.16 seconds, as LSR and DLSR use (RFC 3550 section 4)."""
    return (ntp_seconds(wall_us) << 16) | (ntp_fraction(wall_us) >> 16)
