"""RTCP both ways: sender and receiver reports about every 5 s (RFC 3550 section 6.2, interval randomised), SDES, BYE.

Endpoints wait on a timer wheel of 16 ms slots, so reports cost nothing per tick.
"""

from libc.stdint cimport int64_t

from roomtone.ext.flow.endpoint cimport addr_t, endpoint_t
from roomtone.ext.flow.graph cimport media_t


# One RTCP datagram in m.packet[:n].  source NULL: it came on the connected RTP socket (rtcp-mux).
cdef void report_receive(media_t* m, endpoint_t* e, int n, const addr_t* source, int64_t now_us) noexcept nogil
# Put the endpoint on the wheel (again), at a random time.
cdef void report_schedule(media_t* m, endpoint_t* e, int64_t now_us) noexcept nogil
cdef void report_cancel(media_t* m, endpoint_t* e) noexcept nogil
# Send one compound now; bye: the last one.
cdef void report_send(media_t* m, endpoint_t* e, bint bye, int64_t now_us) noexcept nogil
# The wheel's slots that are due.
cdef void report_turn(media_t* m, int64_t now_us) noexcept nogil
