"""Whatever a receiver answers: order is kept in every lane, nothing is lost, nothing gets stuck."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from roomtone.control.dispatcher.lanes import Item, LaneScheduler
from roomtone.control.dispatcher.messages import DEAD, DELIVERED, LATE, PENDING, REPLAY
from roomtone.control.dispatcher.schedule import Answer

US_PER_S = 1_000_000
HOLD_S = 300
IN_FLIGHT = 5
LANES = st.lists(
    st.sampled_from(["room:1", "room:2", "session:1", "session:2"]),
    max_size=2,
    unique_by=lambda lane: lane[0],
)
ANSWERS = st.sampled_from(
    [
        Answer(200),
        Answer(200),
        Answer(204),
        Answer(500),
        Answer(500),
        Answer(None, error="no connection"),
        Answer(400),
        Answer(404),
        Answer(302),
        Answer(403),
        Answer(429),
        Answer(429, retry_after_s=30),
        Answer(503, retry_after_s=90_000),
    ]
)


class Deliveries(RuleBasedStateMachine):
    """The dispatcher's part is played here: what is late comes back when it is due."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = 1_000 * US_PER_S
        self.number = 0
        self.items: dict[int, Item] = {}
        self.away: dict[int, Item] = {}  # late ones and replays, in the store
        self.flying: dict[int, Item] = {}
        self.taken: dict[str, list[int]] = {}  # lane -> delivered in order

    @initialize(ordering=st.sampled_from(["lanes", "strict", "none"]))
    def begin(self, ordering: str) -> None:
        self.ordering = ordering
        self.lanes = LaneScheduler(
            ordering, max_in_flight=IN_FLIGHT, hold_us=HOLD_S * US_PER_S, jitter=lambda: 0.0
        )

    @rule(lanes=LANES)
    def happens(self, lanes: list[str]) -> None:
        self.number += 1
        item = Item(self.number, tuple(lanes), self.now_us, due_us=self.now_us)
        self.items[item.id] = item
        self.lanes.add(item)

    @rule(seconds=st.sampled_from([0, 1, 5, 30, 400, 100_000]))
    def passes(self, seconds: int) -> None:
        self.now_us += seconds * US_PER_S
        for item in [each for each in self.away.values() if (each.due_us or 0) <= self.now_us]:
            del self.away[item.id]
            self.lanes.add(item)

    @rule(limit=st.integers(0, 8))
    def send(self, limit: int) -> None:
        sent = self.lanes.take(self.now_us, limit)
        assert len(sent) <= limit
        for item in sent:
            assert item.id not in self.flying
            self.flying[item.id] = item
            if item.state == PENDING and self.ordering != "none":
                before = [each for each in self.lanes.ordered.values() if each.id < item.id]
                assert not any(set(each.lanes) & set(item.lanes) for each in before)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), answer=ANSWERS)
    def is_answered(self, data: st.DataObject, answer: Answer) -> None:
        self.answer(self.flying[data.draw(st.sampled_from(sorted(self.flying)))], answer)

    def answer(self, item: Item, answer: Answer) -> None:
        del self.flying[item.id]
        ordered = item.state == PENDING
        self.lanes.answered(item, answer, self.now_us)
        if item.state == DELIVERED and ordered and self.ordering != "none":
            for lane in item.lanes:
                self.taken.setdefault(lane, []).append(item.id)
        if item.state in (LATE, REPLAY):
            self.away[item.id] = item
        for late in self.lanes.overdue(self.now_us):
            self.away[late.id] = late

    @precondition(lambda self: any(item.state in (DELIVERED, DEAD) for item in self.items.values()))
    @rule(data=st.data())
    def is_asked_for_again(self, data: st.DataObject) -> None:
        ended = [item.id for item in self.items.values() if item.state in (DELIVERED, DEAD)]
        item = self.items[data.draw(st.sampled_from(ended))]
        item.state, item.tries, item.due_us = REPLAY, 0, self.now_us
        self.lanes.add(item)

    @invariant()
    def nothing_is_lost(self) -> None:
        for item in self.items.values():
            places = [
                item.state in (DELIVERED, DEAD),
                item.id in self.away,
                item.id in self.lanes.ordered,
                item.id in self.lanes.loose,
            ]
            assert sum(places) == 1, (item, places)

    @invariant()
    def one_in_flight_in_a_lane(self) -> None:
        if self.ordering == "none" or not hasattr(self, "lanes"):
            return
        flying = [lane for item in self.flying.values() if item.state == PENDING for lane in item.lanes]
        assert len(flying) == len(set(flying))
        assert len(self.flying) <= IN_FLIGHT

    @invariant()
    def order_is_kept(self) -> None:
        for ids in self.taken.values():
            assert ids == sorted(ids)

    @invariant()
    def it_never_sleeps_for_ever(self) -> None:
        if not hasattr(self, "lanes") or self.flying or not (self.lanes.ordered or self.lanes.loose):
            return
        at_us = self.lanes.next_us(self.now_us)
        assert at_us is not None

    def teardown(self) -> None:
        """A receiver that takes everything gets everything."""
        if not hasattr(self, "lanes"):
            return
        for _ in range(20 * len(self.items) + 20):
            for item in list(self.flying.values()):
                self.answer(item, Answer(200))
            self.send(8)
            if self.flying:
                continue
            times = [item.due_us or 0 for item in self.away.values()]
            if (at_us := self.lanes.next_us(self.now_us)) is not None:
                times.append(at_us)
            if not times:
                break
            self.passes(max(0, -(-(min(times) - self.now_us) // US_PER_S)))
        assert all(item.state in (DELIVERED, DEAD) for item in self.items.values())


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
