"""The receiver of `roomtone bench webhooks` sees what is wrong."""

from roomtone.bench.load.webhook_receiver import Receiver, Told

MS = 1_000_000


def told(room: str, sequence: int) -> Told:
    return Told(id=f"{room}{sequence}", room_id=room, name=str(10 * MS), sequence=sequence)


def test_each_room_is_counted_on_its_own() -> None:
    receiver = Receiver(100.0)
    for room, sequence in (("a", 1), ("b", 1), ("a", 2), ("b", 2)):
        receiver.note(told(room, sequence), 12 * MS)
    assert receiver.totals() == {
        "events": 4,
        "again": 0,
        "out_of_order": 0,
        "worst_ms": 2.0,
        "mean_ms": 2.0,
    }


def test_a_gap_and_a_repetition_are_seen() -> None:
    receiver = Receiver(100.0)
    for sequence in (1, 3, 2, 3, 4):
        receiver.note(told("a", sequence), 12 * MS)
    assert (receiver.events, receiver.out_of_order, receiver.again) == (3, 1, 2)
