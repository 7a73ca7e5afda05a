"""The media thread's loop: the first file to read."""

from libc.stdint cimport int64_t

from roomtone.ext.flow.graph cimport media_t


# Until m.stop.  Never takes the GIL, never allocates, never locks, never logs; blocks only in epoll_pwait2.
cdef void loop_run(media_t* m) noexcept nogil
# One turn without waiting, at a given time (lab).
cdef void loop_step(media_t* m, int64_t now_us) noexcept nogil
