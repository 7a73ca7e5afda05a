"""What a recorded packet costs: the media thread that copies it aside, the drain that sorts it, the writer.

    pytest bench/test_record.py

The lab's media thread captures (see test_flow); drain and writer are steps here.  Files are in the
temporary directory.
``ns_per_operation`` in extra_info is the cost of one record: a packet as it came or as it left.
"""

import os

import pytest

from roomtone.bench.test_flow import Room, note
from roomtone.ext.record.drain import Drain
from roomtone.ext.record.writer import Writer

NEVER_LOST = (0, 0)
RING_BYTES = 1 << 25
ROUNDS = 12
RECORDINGS = 500
TICKS = 20
FORMS = {"pcap": 0, "wav": 8000}


class Recorded(Room):
    """Every member of a room is recorded, each into a file of its own.

    rate_hz 0: a pcap, None: into nothing.
    """

    def __init__(self, members: int, talkers: int, rate_hz: int | None, folder: str) -> None:
        super().__init__(members, talkers)
        while not self.media.capture_prepare(RING_BYTES):
            pass
        self.drain = Drain(self.media.capture_ring_address(), members + 8)
        self.writer = Writer(os.eventfd(0, os.EFD_NONBLOCK))
        self.numbers = []
        for handle in self.handles:
            if rate_hz is not None:
                self.begin(handle, rate_hz, folder)
            self.media.capture(handle, True)
        self.media.step(self.now_us)
        self.settle()

    def begin(self, handle: int, rate_hz: int, folder: str) -> None:
        name = f"{handle}"
        number = self.drain.begin(
            self.writer,
            fd=os.open(f"{folder}/{name}", os.O_RDWR | os.O_CREAT | os.O_EXCL),
            folder_fd=os.open(folder, os.O_RDONLY),
            name=name.encode(),
            rate_hz=rate_hz,
            channels=1,
            mix=False,
            started_us=self.now_us,
            wall_offset_us=0,
            limit=1_000_000,
            position=self.media.capture_position(),
        )
        position, now_us = self.media.capture_position(), self.now_us
        self.drain.leg(number, handle, position=position, at_us=now_us, lost=NEVER_LOST, made_here=False)
        self.numbers.append(number)

    def settle(self) -> None:
        self.drain.step(self.now_us)
        self.writer.step()

    def lost(self) -> int:
        return sum(sum(self.drain.counts(number)["lost"].values()) for number in self.numbers)


def test_capture_of_a_relayed_packet(benchmark, tmp_path):
    """Beside test_flow's relay of a packet: what is more is the price of two records."""
    room = Recorded(2, 1, None, str(tmp_path))
    packets = 20_000
    benchmark.pedantic(room.run, (packets, 1), setup=room.settle, rounds=ROUNDS)
    assert sum(room.media.capture_lost(handle)[0] for handle in room.handles) == 0
    note(benchmark, packets)


@pytest.mark.parametrize("form", FORMS)
def test_drain_of_a_record(benchmark, tmp_path, form):
    room = Recorded(RECORDINGS, RECORDINGS, FORMS[form], str(tmp_path))

    def talk() -> None:
        room.writer.step()
        room.run(TICKS)

    benchmark.pedantic(lambda: room.drain.step(room.now_us), setup=talk, rounds=ROUNDS)
    room.settle()
    assert room.lost() == 0
    note(benchmark, 2 * RECORDINGS * TICKS)


@pytest.mark.parametrize("form", FORMS)
def test_writing_of_a_record(benchmark, tmp_path, form):
    room = Recorded(RECORDINGS, RECORDINGS, FORMS[form], str(tmp_path))

    def talk() -> None:
        room.run(TICKS)
        room.drain.step(room.now_us)

    benchmark.pedantic(room.writer.step, setup=talk, rounds=ROUNDS)
    room.settle()
    assert room.lost() == 0
    note(benchmark, 2 * RECORDINGS * TICKS)
