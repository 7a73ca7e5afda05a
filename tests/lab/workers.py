"""Several workers in virtual time, and sessions over them as control makes them.

workers = Workers(2)
a, b = workers.session(on=[0]), workers.session(on=[1])
anna, ben = a.peer(signal=tone(440)), b.peer()
a.hears(b)                          # a bridge, its end in a
workers.run(2000)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from lab import L16_8K, MS, Lab, Peer


class Workers:
    """Labs whose clocks run together."""

    def __init__(self, count: int = 2) -> None:
        self.labs = [Lab(endpoints=64, worker=index) for index in range(count)]

    def session(self, *, phase: int = 3, on: Sequence[int] = (0,), key_relay_limit: int = 20) -> Session:
        return Session(self, phase, on, key_relay_limit)

    def run(self, ms: int, held: Collection[int] = ()) -> None:
        """held: workers that do not get the CPU."""
        for _ in range(ms):
            for index, lab in enumerate(self.labs):
                if index not in held:
                    lab.run(1)
                else:
                    lab.now_us += MS

    def faults(self) -> list[str]:
        return [fault for lab in self.labs for fault in lab.media.check()]

    def counter(self, name: str) -> int:
        return sum(lab.counters[name] for lab in self.labs)


class Session:
    """A bus on each of its workers; spread when there are several."""

    def __init__(self, workers: Workers, phase: int, on: Sequence[int], key_relay_limit: int) -> None:
        self.workers = workers
        self.phase = phase
        self.buses = {
            index: workers.labs[index].bus(phase=phase, key_relay_limit=key_relay_limit) for index in on
        }
        self.slots: dict[int, int] = {}
        if len(on) > 1:
            self.publish()

    @property
    def home(self) -> int:
        return next(iter(self.buses))

    def address(self, index: int) -> int:
        return self.workers.labs[index].arena.partial_address(self.slots[index])

    def publish(self) -> None:
        """Publish, and add what the other workers of the session publish."""
        if self.slots:
            return
        self.slots = {index: self.workers.labs[index].media.partial_take() for index in self.buses}
        for index, bus in self.buses.items():
            peers = [self.address(other) for other in self.buses if other != index]
            self.workers.labs[index].media.bus_spread(bus, slot=self.slots[index], peers=peers)

    def unpublish(self) -> None:
        for index, bus in self.buses.items():
            self.workers.labs[index].media.bus_spread(bus, slot=-1, peers=[])
            self.workers.labs[index].media.partial_free(self.slots.pop(index))

    def becomes_room(self, *, roles: bool = False) -> Session:
        """On every worker, as the worker's Python thread does it; again: with other slots for the roles."""
        for index, bus in self.buses.items():
            media = self.workers.labs[index].media
            apart = [media.partial_take() for _ in range(7)] if roles and self.slots else []
            media.bus_room(bus, roles=apart if roles else None)
        return self

    def member(self, on: int, *, codec: int = L16_8K, **more: Any) -> Peer:
        """One that comes to the room on that worker."""
        return self.workers.labs[on].member(self.buses[on], codec=codec, **more)

    def peer(self, on: int | None = None, *, codec: int = L16_8K, **more: Any) -> Peer:
        index = self.home if on is None else on
        return self.workers.labs[index].peer(self.buses[index], codec=codec, **more)

    def hears(self, far: Session) -> int:
        """An end of a bridge in this session; the handle of it."""
        far.publish()
        media = self.workers.labs[self.home].media
        handle: int = media.endpoint_take()
        media.bridge_open(handle)
        media.source_add(self.buses[self.home], handle)
        media.bridge_feed(handle, phase=far.phase, feeds=[far.address(index) for index in far.buses])
        self.publish()
        return handle

    def turn(self, handle: int, is_source: bool) -> None:
        """Take the end of a bridge off this session's bus, or put it back."""
        media = self.workers.labs[self.home].media
        (media.source_add if is_source else media.source_remove)(self.buses[self.home], handle)

    def stops_hearing(self, handle: int) -> None:
        self.workers.labs[self.home].media.endpoint_close(handle)


def bridged(one: Session, other: Session) -> tuple[int, int]:
    return one.hears(other), other.hears(one)
