"""A stand-in for ext/flow's `Media` and `Arena`: edits are recorded and, unless held back, applied at once.

The tests' side: `edits` (name, arguments), `hold()` / `apply()` for the moment an edit is applied,
`tell(fact)`, `silences`, `stats_of`, `activity`, `phases`, `late_phases`, `speech_of`, `tones_of`,
`frames_of`, `seats_open`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Any

from roomtone.ext.event.stats_record import record
from roomtone.ext.record.capture import CaptureRing

ZERO_STATS = {
    "codec": 0, "rx_packets": 0, "rx_bytes": 0, "rx_lost": 0, "rx_jitter_ms": 0.0, "rx_last_ms_ago": None,
    "rx_raw_packets": 0, "rx_raw_bytes": 0, "rx_dropped": 0, "rx_late": 0, "rx_duplicate": 0,
    "rx_reordered": 0,
    "playout_delay_ms": 0.0, "concealed_ms": 0, "tx_packets": 0, "tx_bytes": 0, "rtt_ms": None,
    "rtt_observed_ms_ago": None, "remote_packets_lost": None, "remote_jitter_ms": None, "local_rtp_addr": "",
    "remote_rtp_addr": "", "ssrc_rx": 0, "ssrc_tx": 0,
}  # fmt: skip


class FakeArena:
    """Only what spreading needs: an address a slot."""

    def __init__(self, base: int = 1000) -> None:
        self.base = base
        self.closed = False

    def partial_address(self, slot: int) -> int:
        assert not self.closed
        return self.base + slot

    def close(self) -> None:
        self.closed = True


class FakeMedia:
    """The Python face of the media thread without a media thread."""

    def __init__(self, *, fact_fd: int = -1, endpoints: int = 64, buses: int = 64) -> None:
        self.edits: list[tuple[str, dict[str, Any]]] = []
        self.silences: list[tuple[int, int]] = []
        self.stats_of: dict[int, dict[str, Any]] = {}
        self.activity: dict[int, int] = {}
        self.heard: dict[int, int] = {}
        self.file_states: dict[int, tuple[int, int, bool, bool]] = {}
        self.in_use: set[int] = set()
        self.buses_in_use: set[int] = set()
        self.partials_in_use: set[int] = set()
        self.facts_lost = False
        self.phases, self.late_phases = 3, 0
        self.capture_ring = CaptureRing(4096)
        self.speech_of: dict[int, tuple[int, int, int]] = {}  # began, last, before
        self.tones_of: dict[int, tuple[int, int]] = {}
        self.frames_of: dict[int, deque[tuple[int, bytes]]] = {}
        self.seats_open: set[int] = set()  # handles of those who came to a room and were not told yet
        self._fact_fd = fact_fd
        self._endpoints = endpoints
        self._buses = buses
        self._held = False
        self._applied = 0
        self._next_handle = 1
        self._facts: deque[tuple[Any, ...]] = deque()
        self._ended = threading.Event()

    # -- for tests -------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """From now on edits are not applied."""
        self._held = True

    def apply(self) -> None:
        """Apply everything written so far, and what comes."""
        self._held = False
        self._applied = len(self.edits)

    def tell(self, *fact: Any) -> None:
        self._facts.append(fact)
        if self._fact_fd >= 0:
            os.eventfd_write(self._fact_fd, 1)

    def named(self, name: str) -> list[dict[str, Any]]:
        """The arguments of every edit of that name."""
        return [arguments for edit, arguments in self.edits if edit == name]

    # -- the contract ----------------------------------------------------------------------------------------

    def run(self) -> None:
        self._ended.wait()

    def stop(self) -> None:
        self._ended.set()

    def applied(self) -> int:
        return self._applied

    def endpoint_take(self) -> int:
        if len(self.in_use) >= self._endpoints:
            raise RuntimeError("the arena is full")
        handle = self._next_handle
        self._next_handle += 1
        self.in_use.add(handle)
        return handle

    def endpoint_free(self, handle: int) -> None:
        self.in_use.remove(handle)

    def bus_take(self) -> int:
        if len(self.buses_in_use) >= self._buses:
            raise RuntimeError("no bus is left")
        bus = min(set(range(self._buses)) - self.buses_in_use)
        self.buses_in_use.add(bus)
        return bus

    def bus_free(self, bus: int) -> None:
        self.buses_in_use.remove(bus)

    def partial_take(self) -> int:
        free = set(range(self._buses)) - self.partials_in_use
        if not free:
            raise RuntimeError("no partial-sum slot is free")
        slot = min(free)
        self.partials_in_use.add(slot)
        return slot

    def partial_address(self, slot: int) -> int:
        assert slot in self.partials_in_use
        return 500 + slot

    def partial_free(self, slot: int) -> None:
        self.partials_in_use.remove(slot)

    def source_networks(self, networks: list[str]) -> None:
        self.networks = networks

    def facts(self, limit: int = 4096) -> list[tuple[Any, ...]]:
        out = []
        while self._facts and len(out) < limit:
            out.append(self._facts.popleft())
        return out

    def silent(self, limit_us: int) -> list[tuple[int, int]]:
        out, self.silences = self.silences, []
        return out

    def stats(self, handle: int) -> dict[str, Any]:
        return {**ZERO_STATS, **self.stats_of.get(handle, {})}

    def stats_records(self, handles: list[int]) -> bytes:
        return b"".join(record(**self.stats(handle)) for handle in handles)

    def speech(self, handle: int) -> tuple[int, int, int, int]:
        serials = [edit["serial"] for edit in self.named("watch") if edit["handle"] == handle]
        return (serials[-1] if serials else 0, *self.speech_of.get(handle, (0, 0, 0)))

    def fax_tones(self, handle: int) -> tuple[int, int]:
        return self.tones_of.get(handle, (0, 0))

    def watch_take(self) -> int:
        self._next_handle += 1
        self.frames_of[self._next_handle] = deque()
        return self._next_handle

    def watch_free(self, frames: int) -> None:
        del self.frames_of[frames]

    def watched_frames(self, frames: int, limit: int = 64) -> list[tuple[int, bytes]]:
        waiting = self.frames_of[frames]
        return [waiting.popleft() for _ in range(min(len(waiting), limit))]

    def line(self, handle: int) -> dict[str, Any]:
        return {"ssrc": 7, "cname": "cname", "remote": self.stats(handle)["remote_rtp_addr"]}

    def file_state(self, handle: int) -> tuple[int, int, bool, bool]:
        return self.file_states.get(handle, (0, 0, False, False))

    def file_underruns(self, handle: int) -> int:
        return 0

    def last_activity_us(self, handle: int) -> int:
        return self.activity.get(handle, 0)

    def last_heard_us(self, handle: int) -> int:
        return self.heard.get(handle, 0)

    def metrics(self) -> dict[str, Any]:
        return {
            "counters": {"rx_packets": 7, "ticks_late": self.late_phases},
            "drops": {"short": 1},
            "gauges": {"endpoints_in_use": len(self.in_use)},
            "tick_duration_us": [(64, 3)],
            "tick_late_us": [(64, self.phases)],
        }

    def capture_prepare(self, ring_bytes: int) -> bool:
        return True

    def capture_ring_address(self) -> int:
        return int(self.capture_ring.address())

    def capture_position(self) -> int:
        return 0

    def arriving(self, handle: int) -> bool:
        return handle in self.seats_open

    def capture_lost(self, handle: int) -> tuple[int, int]:
        return 0, 0

    def memory(self) -> dict[str, int]:
        return {"arena_bytes": 4096}

    def _edit(self, name: str, arguments: dict[str, Any]) -> int:
        self.edits.append((name, arguments))
        if not self._held:
            self._applied = len(self.edits)
        return len(self.edits)


def _edit_method(name: str, *positional: str) -> Any:
    def edit(self: FakeMedia, *values: int, **keywords: Any) -> int:
        return self._edit(name, {**dict(zip(positional, values, strict=True)), **keywords})

    edit.__name__ = name
    return edit


for _name, _positional in {
    "endpoint_open": ("handle",),
    "endpoint_media": ("handle",),
    "endpoint_remote": ("handle",),
    "endpoint_mux": ("handle",),
    "endpoint_close": ("handle",),
    "endpoint_move": ("handle", "bus"),
    "bridge_open": ("handle",),
    "bridge_feed": ("handle",),
    "inject": ("handle",),
    "capture": ("handle", "on"),
    "watch": ("handle",),
    "watch_kinds": (),
    "sensitive": ("handle", "enabled"),
    "tone_open": ("handle",),
    "file_open": ("handle", "playback"),
    "file_seek": ("handle",),
    "file_pause": ("handle",),
    "file_gain": ("handle",),
    "fence": (),
    "bus_open": ("bus",),
    "bus_close": ("bus",),
    "source_add": ("bus", "handle"),
    "source_remove": ("bus", "handle"),
    "destination_add": ("bus", "handle"),
    "destination_remove": ("bus", "handle"),
    "bus_spread": ("bus",),
    "bus_room": ("bus",),
    "seat": ("bus", "handle"),
}.items():
    setattr(FakeMedia, _name, _edit_method(_name, *_positional))
