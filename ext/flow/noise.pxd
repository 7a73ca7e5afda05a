"""Comfort noise of a source (RFC 3389): what is heard of one that has told that it is silent, and how loud its silence is.

Between two, silence that is suddenly complete sounds like a broken line: there it is heard as noise of the level told.
Among more it is nothing.  Others' voices and noise cover it, each member of a room would add its own (ten of them are 10
dB louder than one, a thousand 30), and who tells that it is silent is no talker.  So a bus hears it while it has two
sources at most, those of other workers among them; over bridges, each an end of such a pair, it may be heard as often as
a session has endpoints.  It ends NOISE_HELD_US after the source's last packet: a peer that is gone is not heard on.
Detectors are given silence instead, recordings of legs have a gap there.
"""

from libc.stdint cimport int16_t, int64_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_t, media_t


# Its silence is told, and is heard on its bus.
cdef bint noise_heard(media_t* m, const bus_t* b, const endpoint_t* e, int64_t now_us) noexcept nogil
# A frame of it: pcm int16[n].  Another one each tick, and for each endpoint.
cdef void noise_frame(const endpoint_t* e, int16_t* pcm, int n, int64_t tick) noexcept nogil
