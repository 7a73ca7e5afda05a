"""What a slow client gets and in which order: a model against the queue, and the cases by name."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from roomtone.control.core.event_queue import EventQueue


def drain(queue: EventQueue) -> list[bytes | int]:
    out = []
    while (item := queue.pop()) is not None:
        out.append(item)
    return out


def test_critical_events_go_first_and_keep_their_order() -> None:
    queue = EventQueue(4, 4)
    queue.event(b"n1", False)
    queue.event(b"c1", True)
    queue.event(b"n2", False)
    queue.event(b"c2", True)
    assert drain(queue) == [b"c1", b"c2", b"n1", b"n2"]


def test_a_full_critical_queue_falls_back_and_the_later_ones_follow_until_it_is_sent() -> None:
    queue = EventQueue(1, 4)
    queue.event(b"n1", False)
    queue.event(b"c1", True)
    queue.event(b"c2", True)
    assert queue.pop() == b"c1"
    queue.event(b"c3", True)  # the critical queue has room, but c2 is still waiting among the others
    assert [queue.pop(), queue.pop()] == [b"n1", b"c2"]
    queue.event(b"c4", True)
    assert drain(queue) == [b"c3", b"c4"]
    queue.event(b"n2", False)
    queue.event(b"c5", True)
    assert drain(queue) == [b"c5", b"n2"]


def test_losses_are_counted_where_they_happened() -> None:
    queue = EventQueue(1, 2)
    kept = [queue.event(b"n%d" % i, False) for i in range(5)]
    assert kept == [True, True, False, False, False]
    assert queue.pop() == b"n0"
    queue.event(b"n5", False)
    queue.event(b"n6", False)
    assert drain(queue) == [b"n1", 3, b"n5", 1]
    assert queue.dropped == 4


def test_a_reply_goes_before_waiting_normal_events_and_behind_critical_ones() -> None:
    queue = EventQueue(2, 2)
    queue.event(b"n1", False)
    queue.event(b"c1", True)
    queue.reply(b"r1", [b"f1", b"f2"])
    queue.event(b"c2", True)
    assert drain(queue) == [b"c1", b"r1", b"f1", b"f2", b"c2", b"n1"]


def test_a_reply_does_not_overtake_a_critical_event_that_fell_back() -> None:
    queue = EventQueue(1, 2)
    for text in (b"c1", b"c2"):
        queue.event(text, True)
    queue.reply(b"r1", [b"f1"])
    queue.event(b"c3", True)
    queue.reply(b"r2", [])
    assert drain(queue) == [b"c1", b"c2", b"r1", b"f1", b"c3", b"r2"]


def test_replies_are_never_lost_however_full_the_queue() -> None:
    queue = EventQueue(1, 1)
    for i in range(5):
        queue.event(b"c%d" % i, True)
        queue.event(b"n%d" % i, False)
        queue.reply(b"r%d" % i, [b"f%d" % i])
    sent = drain(queue)
    assert [text for text in sent if isinstance(text, bytes) and text[:1] in b"rf"] == [
        text for i in range(5) for text in (b"r%d" % i, b"f%d" % i)
    ]
    assert sum(item for item in sent if isinstance(item, int)) == queue.dropped == 8


def test_a_dead_connections_replies_are_forgotten_but_not_what_they_caused() -> None:
    queue = EventQueue(1, 1)
    queue.reply(b"r1", [b"f1"])
    queue.event(b"c1", True)
    queue.event(b"c2", True)
    queue.reply(b"r2", [b"f2"])
    queue.forget_replies()
    queue.event(b"n1", False)
    assert drain(queue) == [b"f1", b"c1", b"c2", b"f2", 1]


def test_what_waits_for_a_connection_goes_before_what_was_kept_for_its_session() -> None:
    kept, own = EventQueue(1, 1), EventQueue(1, 1)
    kept.event(b"c1", True)
    kept.event(b"n1", False)
    kept.event(b"n2", False)
    own.event(b"x1", False)
    own.event(b"x2", False)
    own.reply(b"r1", [])
    kept.put_before(own)
    assert len(own) == 0 and own.dropped == 0 and kept.dropped == 2
    assert drain(kept) == [b"r1", b"x1", 1, b"c1", b"n1", 1]


def test_what_was_popped_in_vain_is_next_again_and_does_not_count() -> None:
    queue = EventQueue(1, 1)
    queue.event(b"c1", True)
    queue.event(b"n1", False)
    given_out = [queue.pop(), queue.pop()]
    queue.event(b"c2", True)
    queue.put_back([text for text in given_out if isinstance(text, bytes)])
    queue.event(b"n2", False)
    assert drain(queue) == [b"c1", b"n1", b"c2", b"n2"]


class Model(RuleBasedStateMachine):
    """The contract told with plain lists: only events are ever lost, and every loss is told exactly."""

    @initialize(critical_size=st.integers(1, 4), normal_size=st.integers(1, 5))
    def begin(self, critical_size: int, normal_size: int) -> None:
        self.queue = EventQueue(critical_size, normal_size)
        self.sizes = (critical_size, normal_size)
        self.count = 0
        self.accepted: list[bytes] = []
        self.lost = self.told = 0
        self.sent: list[bytes] = []

    def text(self, kind: bytes) -> bytes:
        self.count += 1
        return b"%b%d" % (kind, self.count)

    @rule(critical=st.booleans(), times=st.integers(1, 4))
    def event(self, critical: bool, times: int) -> None:
        for _ in range(times):
            text = self.text(b"c" if critical else b"n")
            if self.queue.event(text, critical):
                self.accepted.append(text)
            else:
                self.lost += 1

    @rule(followers=st.integers(0, 3))
    def reply(self, followers: int) -> None:
        group = [self.text(b"r"), *(self.text(b"f") for _ in range(followers))]
        self.queue.reply(group[0], group[1:])
        self.accepted += group

    @rule(times=st.integers(1, 6))
    def pop(self, times: int) -> None:
        for _ in range(times):
            item = self.queue.pop()
            if isinstance(item, int):
                assert item > 0
                self.told += item
            elif item is not None:
                self.sent.append(item)

    @rule()
    def drain_all(self) -> None:
        self.pop(len(self.queue))
        assert sorted(self.sent) == sorted(self.accepted)
        assert self.told == self.lost == self.queue.dropped
        for kinds in (b"c", b"n", b"rf", b"rfc"):  # within each, what came first is sent first
            mine = [text for text in self.accepted if text[:1] in kinds]
            assert [text for text in self.sent if text[:1] in kinds] == mine
        for place, text in enumerate(self.sent):
            if text[:1] == b"f":  # nothing stands between a reply and what follows it
                assert self.sent[place - 1][:1] in b"rf"
        self.accepted, self.sent = [], []

    @invariant()
    def bounded(self) -> None:
        if hasattr(self, "queue"):
            waiting = [t for t in self.accepted if t not in self.sent and t[:1] in b"cn"]
            assert len(waiting) <= sum(self.sizes)


Model.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestEventQueueAgainstItsModel = Model.TestCase
