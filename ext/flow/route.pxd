"""Who hears whom: membership of a bus, and what follows from it.  Every change is O(1) in a bus of any size.

What a packet or a tick needs to know is derived here from counts alone:
  relay_codec   one source: its packets go on arrival to every destination of this codec; two sources and no other
                listener: each goes to the other.  0: nothing is relayed.
  mixes         somebody hears a mix, or a transcoded source; always in a room with anybody in it.
  linked        the bus's tick has work: it mixes, has a tone, or a source is watched (tap).
A source is read on the tick only while its bus ticks, relays nothing, and it sends (EP_TICKED); otherwise epoll watches
it.  The move between the two happens where it is noticed (rx_demux, bus), never in a loop over members.
"""

from libc.stdint cimport uint32_t

from roomtone.ext.flow.endpoint cimport endpoint_t
from roomtone.ext.flow.graph cimport bus_t, media_t


cdef void bus_open(media_t* m, uint32_t bus, uint32_t phase, uint32_t key_relay_limit) noexcept nogil
# All members leave.
cdef void bus_close(media_t* m, uint32_t bus) noexcept nogil
cdef void source_add(media_t* m, uint32_t bus, endpoint_t* e) noexcept nogil
cdef void source_remove(media_t* m, endpoint_t* e) noexcept nogil
cdef void destination_add(media_t* m, uint32_t bus, endpoint_t* e) noexcept nogil
cdef void destination_remove(media_t* m, endpoint_t* e) noexcept nogil
# Which of EP_WATCHED apply to the endpoint from now on.
cdef void source_watch(media_t* m, endpoint_t* e, uint32_t watched) noexcept nogil
# The endpoint's seat has changed, or it goes to another bus with it, as what it is on its own: what is on the wire, in its
# playout line and in its detectors stays.  What a bus that relays gets from one that mixes is dropped.
cdef void bus_seat(media_t* m, uint32_t bus, endpoint_t* e) noexcept nogil
# To be called when a codec, a packet time or the spread of the bus has changed.
cdef void bus_plan(media_t* m, uint32_t bus) noexcept nogil
# The source is read on the tick from now on / is watched by epoll again.
cdef void source_tick_on(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil
cdef void source_tick_off(media_t* m, bus_t* b, endpoint_t* e) noexcept nogil
# The deferred list: buses whose outputs wait for partials or go out in slices.
cdef void bus_defer(media_t* m, uint32_t bus) noexcept nogil
cdef void bus_undefer(media_t* m, uint32_t bus) noexcept nogil
