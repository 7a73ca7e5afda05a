"""CLOCK_MONOTONIC and CLOCK_REALTIME in microseconds."""

from libc.stdint cimport int64_t

from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec


cdef extern from "<time.h>" nogil:
    int CLOCK_MONOTONIC
    int TIMER_ABSTIME
    int clock_nanosleep(int clock, int flags, const timespec* until, timespec* rest)


cdef int64_t clock_us() noexcept nogil:
    cdef timespec ts
    clock_gettime(CLOCK_MONOTONIC, &ts)
    return <int64_t> ts.tv_sec * 1000000 + ts.tv_nsec // 1000


cdef int64_t clock_wall_us() noexcept nogil:
    cdef timespec ts
    clock_gettime(CLOCK_REALTIME, &ts)
    return <int64_t> ts.tv_sec * 1000000 + ts.tv_nsec // 1000


cdef void clock_sleep_until(int64_t us) noexcept nogil:
    cdef timespec ts
    ts.tv_sec = us // 1000000
    ts.tv_nsec = us % 1000000 * 1000
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL)


# -- for tests and tools -----------------------------------------------------------------------------------------------

def now_us():
    return clock_us()


def ntp(int64_t wall_us):
    """(seconds, fraction, middle 32 bits) of a wall-clock time."""
    return ntp_seconds(wall_us), ntp_fraction(wall_us), ntp_middle(wall_us)


def bench(int n):
    """n readings; the last one."""
    cdef int64_t now = 0
    cdef int _n
    with nogil:
        for _n in range(n):
            now = clock_us()
    return now
