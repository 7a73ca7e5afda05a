"""How many RTP endpoints this configuration can hold, and what ends first."""

from __future__ import annotations

import msgspec

PORTS_AN_ENDPOINT = 2  # an even RTP port and the odd RTCP port above it
SPARE_DESCRIPTORS = 256  # arenas, ZeroMQ, pidfds, log, the control connections are control's own


class Capacity(msgspec.Struct, frozen=True):
    """Endpoints that fit, by each limit."""

    ports: int
    descriptors: int
    arena_slots: int

    @property
    def smallest(self) -> tuple[str, int]:
        """Name and size of the limit that is reached first."""
        limits = {"ports": self.ports, "descriptors": self.descriptors, "arena_slots": self.arena_slots}
        name = min(limits, key=lambda key: limits[key])
        return name, limits[name]


def capacity(
    *,
    rtp_port_range: tuple[int, int],
    media_addresses: int,
    descriptor_limit: int,
    workers: int,
    worker_endpoints: int,
) -> Capacity:
    """descriptor_limit: what one process may open; the supervisor holds a duplicate of every media socket."""
    low, high = rtp_port_range
    first_even = low + low % PORTS_AN_ENDPOINT
    pairs = max((high - first_even + 1) // PORTS_AN_ENDPOINT, 0)
    return Capacity(
        ports=pairs * media_addresses,
        descriptors=max(descriptor_limit - SPARE_DESCRIPTORS, 0) // PORTS_AN_ENDPOINT,
        arena_slots=workers * worker_endpoints,
    )
