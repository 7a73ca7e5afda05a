"""Names and small inline helpers that every compiled layer uses.  Knows nothing of RTP.

Errors are small negative numbers; a bad packet is one of these and a counter, never an exception.
"""

from libc.stdint cimport int16_t, int32_t, uint16_t, uint32_t


cdef enum:
    RT_OK = 0
    RT_SHORT = -1         # fewer bytes than the format needs
    RT_VERSION = -2       # wrong version bits
    RT_LENGTH = -3        # a length field contradicts the datagram
    RT_TYPE = -4          # a type this parser does not read
    RT_LATE = -5
    RT_DUPLICATE = -6
    RT_FULL = -7
    RT_EMPTY = -8
    RT_PROBATION = -9
    RT_BAD_SEQ = -10
    RT_RANGE = -11        # a value outside what the format allows


# A handle names a slot in a pool: 20 bits of index, 12 bits of generation.  0 is never a live handle.
ctypedef uint32_t handle_t

cdef enum:
    HANDLE_INDEX_BITS = 20
    HANDLE_INDEX_MASK = 0xFFFFF


cdef extern from *:
    """
    #define rt_load_acquire(p)      __atomic_load_n((p), __ATOMIC_ACQUIRE)
    #define rt_store_release(p, v)  __atomic_store_n((p), (v), __ATOMIC_RELEASE)
    #define rt_fence_acquire()      __atomic_thread_fence(__ATOMIC_ACQUIRE)
    #define rt_fence_release()      __atomic_thread_fence(__ATOMIC_RELEASE)
    #define rt_fence_full()         __atomic_thread_fence(__ATOMIC_SEQ_CST)
    // The empty statement keeps them: a function that only prefetches has no effect in the compiler's eyes, and goes.
    #define rt_prefetch(p)          ({ __builtin_prefetch((p), 0, 3); __asm__ volatile(""); })
    #define rt_prefetch_write(p)    ({ __builtin_prefetch((p), 1, 3); __asm__ volatile(""); })
    #define rt_likely(x)            __builtin_expect(!!(x), 1)
    #define rt_unlikely(x)          __builtin_expect(!!(x), 0)
    """
    unsigned int rt_load_acquire32 "rt_load_acquire"(const uint32_t* p) noexcept nogil
    unsigned long rt_load_acquire64 "rt_load_acquire"(const unsigned long* p) noexcept nogil
    void rt_store_release32 "rt_store_release"(uint32_t* p, uint32_t v) noexcept nogil
    void rt_store_release64 "rt_store_release"(unsigned long* p, unsigned long v) noexcept nogil
    void rt_fence_acquire() noexcept nogil
    void rt_fence_release() noexcept nogil
    void rt_fence_full() noexcept nogil
    void rt_prefetch(const void* p) noexcept nogil
    void rt_prefetch_write(const void* p) noexcept nogil
    bint rt_likely(bint x) noexcept nogil
    bint rt_unlikely(bint x) noexcept nogil


cdef inline int32_t ts_diff(uint32_t a, uint32_t b) noexcept nogil:
    """a - b on the 32-bit RTP timestamp circle, signed."""
    return <int32_t> (a - b)


cdef inline int16_t seq_diff(uint16_t a, uint16_t b) noexcept nogil:
    """a - b on the 16-bit sequence circle, signed."""
    return <int16_t> (<uint16_t> (a - b))
