"""When an event is sent, in virtual time: retries, events that are refused, receivers that are down."""

from __future__ import annotations

import pytest

from roomtone.control.dispatcher.lanes import Item, LaneScheduler
from roomtone.control.dispatcher.messages import DEAD, DELIVERED, LATE, PENDING, REPLAY
from roomtone.control.dispatcher.schedule import DELAYS_S, GIVE_UP_S, PROBE_S, Answer, Meaning, meaning

US_PER_S = 1_000_000
T0_US = 1_785_936_000 * US_PER_S
HOUR_S = 3600
TAKEN, DOWN, REFUSED = Answer(200), Answer(500), Answer(400)


class Endpoint:
    """A scheduler and its clock."""

    def __init__(self, ordering: str = "lanes", in_flight: int = 64, jitter: float = 0.0) -> None:
        self.now_us = T0_US
        self.lanes = LaneScheduler(
            ordering, max_in_flight=in_flight, hold_us=24 * HOUR_S * US_PER_S, jitter=lambda: jitter
        )
        self.number = 0

    def event(self, *lanes: str, state: int = PENDING) -> Item:
        self.number += 1
        item = Item(self.number, lanes, self.now_us, state=state, due_us=self.now_us)
        self.lanes.add(item)
        return item

    def take(self, limit: int = 1000) -> list[Item]:
        return self.lanes.take(self.now_us, limit)

    def answer(self, item: Item, answer: Answer) -> Meaning:
        return self.lanes.answered(item, answer, self.now_us)

    def wait(self) -> float:
        """Until something may be sent; how long that was."""
        at_us = self.lanes.next_us(self.now_us)
        assert at_us is not None
        waited_us = max(0, at_us - self.now_us)
        self.now_us += waited_us
        return waited_us / US_PER_S

    def fail(self, item: Item, answer: Answer = DOWN) -> float:
        """Wait for its attempt and let it fail; how long it had to wait."""
        waited = self.wait()
        assert item in self.take()
        self.answer(item, answer)
        return waited


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


def test_an_event_waits_for_the_one_before_it_in_its_lane_and_for_no_other(endpoint: Endpoint) -> None:
    first, second, other = endpoint.event("room:1"), endpoint.event("room:1"), endpoint.event("room:2")
    assert endpoint.take() == [first, other]
    assert endpoint.take() == []
    endpoint.answer(first, TAKEN)
    assert endpoint.take() == [second]


def test_an_event_in_two_lanes_waits_for_both(endpoint: Endpoint) -> None:
    room, session = endpoint.event("room:1"), endpoint.event("session:1")
    both, behind = endpoint.event("room:1", "session:1"), endpoint.event("session:1")
    assert endpoint.take() == [room, session]
    endpoint.answer(session, TAKEN)
    assert endpoint.take() == []
    endpoint.answer(room, TAKEN)
    assert endpoint.take() == [both]
    endpoint.answer(both, TAKEN)
    assert endpoint.take() == [behind]


def test_the_retries_are_those_of_the_schedule_and_then_it_is_dead(endpoint: Endpoint) -> None:
    item = endpoint.event("room:1")
    waited = []
    while item.state == PENDING:
        waited.append(endpoint.fail(item, Answer(302)))
    while item.state == LATE:
        assert item.due_us is not None
        waited.append((item.due_us - endpoint.now_us) / US_PER_S)
        endpoint.now_us = item.due_us
        endpoint.lanes.add(item)
        assert endpoint.take() == [item]
        endpoint.answer(item, Answer(302))
    assert tuple(waited) == DELAYS_S
    assert (item.state, item.due_us, item.attempts) == (DEAD, None, 15)


@pytest.mark.parametrize(("jitter", "waited"), [(-1.0, 0.8), (1.0, 1.2)])
def test_delays_vary_by_a_fifth(jitter: float, waited: float) -> None:
    endpoint = Endpoint(jitter=jitter)
    item = endpoint.event()
    endpoint.fail(item)
    assert endpoint.wait() == waited


def test_an_event_that_is_refused_three_times_lets_the_others_pass(endpoint: Endpoint) -> None:
    bad, behind = endpoint.event("room:1"), endpoint.event("room:1")
    for _ in range(3):
        endpoint.fail(bad, REFUSED)
    assert bad.state == LATE and bad.due_us == endpoint.now_us + 300 * US_PER_S
    assert endpoint.take() == [behind]


def test_a_late_event_that_is_taken_is_delivered(endpoint: Endpoint) -> None:
    item = endpoint.event(state=LATE)
    assert endpoint.take() == [item]
    endpoint.answer(item, TAKEN)
    assert item.state == DELIVERED and not endpoint.lanes.loose


def test_strict_lets_nothing_pass() -> None:
    endpoint = Endpoint("strict")
    bad, behind = endpoint.event("room:1"), endpoint.event("room:1")
    waited = [endpoint.fail(bad, REFUSED) for _ in DELAYS_S[:-1]]
    assert tuple(waited) == DELAYS_S[:-1] and bad.state == PENDING
    endpoint.fail(bad, REFUSED)
    assert bad.state == DEAD
    assert endpoint.take() == [behind]


def test_none_keeps_no_order() -> None:
    endpoint = Endpoint("none")
    items = [endpoint.event("room:1") for _ in range(3)]
    assert endpoint.take() == items


def test_no_more_are_in_flight_than_allowed() -> None:
    endpoint = Endpoint(in_flight=2)
    items = [endpoint.event() for _ in range(4)]
    assert endpoint.take(1) == items[:1]
    assert endpoint.take() == items[1:2]
    assert endpoint.lanes.next_us(endpoint.now_us) is None
    endpoint.answer(items[0], TAKEN)
    assert endpoint.take() == items[2:3]


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_names_a_time_is_left_alone_until_then(endpoint: Endpoint, status: int) -> None:
    item, other = endpoint.event("room:1"), endpoint.event("room:2")
    endpoint.take()
    endpoint.answer(other, Answer(status, retry_after_s=40))
    endpoint.answer(item, DOWN)
    endpoint.event("room:3")
    assert endpoint.wait() == 40
    assert len(endpoint.take()) == 3
    assert other.tries == 0, "it does not count against the event"


def test_nobody_is_left_alone_for_more_than_an_hour(endpoint: Endpoint) -> None:
    endpoint.fail(endpoint.event(), Answer(503, retry_after_s=10**9))
    assert endpoint.wait() == HOUR_S


def test_nobody_is_asked_without_a_pause(endpoint: Endpoint) -> None:
    item = endpoint.event()
    waits = [endpoint.fail(item, Answer(503, retry_after_s=0)) for _ in range(3)]
    assert waits == [0, 1, 1]


def down(endpoint: Endpoint, lanes: int = 3) -> list[Item]:
    """Events of several lanes, failing until the breaker is open."""
    items = [endpoint.event(f"room:{n}") for n in range(lanes)]
    while not endpoint.lanes.breaker.open:
        endpoint.wait()
        for item in endpoint.take():
            endpoint.answer(item, DOWN)
    return items


def test_a_receiver_that_is_down_is_only_probed_and_no_event_loses_its_place(endpoint: Endpoint) -> None:
    items = down(endpoint)
    tries = [item.tries for item in items]
    waited = []
    for _ in range(8):
        waited.append(endpoint.wait())
        (probe,) = endpoint.take()
        assert endpoint.take() == []
        endpoint.answer(probe, DOWN)
    assert waited[: len(PROBE_S)] == list(PROBE_S) and waited[-1] == 60
    assert [item.tries for item in items] == tries
    assert list(endpoint.lanes.ordered.values()) == items


def test_nine_failures_or_ten_within_ten_seconds_do_not_open_it(endpoint: Endpoint) -> None:
    items = [endpoint.event(f"room:{n}") for n in range(40)]
    endpoint.take()
    for item in items:
        endpoint.answer(item, DOWN)
    assert not endpoint.lanes.breaker.open
    endpoint.now_us += 20 * US_PER_S
    item = endpoint.take(1)[0]
    endpoint.answer(item, TAKEN)
    endpoint.take(9)
    for item in list(endpoint.lanes.flying.values()):
        endpoint.answer(item, DOWN)
    assert not endpoint.lanes.breaker.open


def test_any_other_answer_closes_it_and_deliveries_begin_one_at_a_time(endpoint: Endpoint) -> None:
    down(endpoint, lanes=20)
    endpoint.wait()
    (probe,) = endpoint.take()
    endpoint.answer(probe, REFUSED)
    assert not endpoint.lanes.breaker.open
    endpoint.now_us += 100 * US_PER_S
    sent = []
    for _ in range(4):
        taken = endpoint.take()
        sent.append(len(taken))
        for item in taken:
            endpoint.answer(item, TAKEN)
    assert sent == [1, 2, 4, 8]


def test_events_that_waited_a_day_for_a_receiver_become_late(endpoint: Endpoint) -> None:
    old = down(endpoint)
    endpoint.now_us += 24 * HOUR_S * US_PER_S - 1
    fresh = endpoint.event("room:0")
    endpoint.now_us += US_PER_S
    endpoint.wait()
    (probe,) = endpoint.take()
    endpoint.answer(probe, DOWN)
    assert endpoint.lanes.overdue(endpoint.now_us) == old
    assert all(item.state == LATE for item in old)
    assert list(endpoint.lanes.ordered.values()) == [fresh]
    endpoint.wait()
    assert endpoint.take() == [fresh]


def test_a_receiver_that_was_down_for_five_days_is_given_up(endpoint: Endpoint) -> None:
    down(endpoint)
    endpoint.now_us += GIVE_UP_S * US_PER_S - 1
    assert not endpoint.lanes.breaker.given_up(endpoint.now_us)
    endpoint.now_us += 1
    assert endpoint.lanes.breaker.given_up(endpoint.now_us)


def test_replays_stand_behind_everything_and_are_few_at_a_time(endpoint: Endpoint) -> None:
    replays = [endpoint.event(state=REPLAY) for _ in range(10)]
    live, late = endpoint.event("room:1"), endpoint.event(state=LATE)
    assert endpoint.take() == [live, late, *replays[:4]]
    assert endpoint.lanes.next_us(endpoint.now_us) is None
    fresh = endpoint.event("room:2")
    assert endpoint.take() == [fresh]
    endpoint.answer(replays[0], TAKEN)
    assert endpoint.take() == [replays[4]]


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (Answer(200), Meaning.DELIVERED),
        (Answer(204), Meaning.DELIVERED),
        (Answer(301), Meaning.RETRY),
        (Answer(400), Meaning.POISON),
        (Answer(404), Meaning.POISON),
        (Answer(405), Meaning.POISON),
        (Answer(413), Meaning.POISON),
        (Answer(415), Meaning.POISON),
        (Answer(422), Meaning.POISON),
        (Answer(401), Meaning.DOWN),
        (Answer(403), Meaning.DOWN),
        (Answer(408), Meaning.DOWN),
        (Answer(410), Meaning.GONE),
        (Answer(429), Meaning.RETRY),
        (Answer(429, retry_after_s=1), Meaning.WAIT),
        (Answer(500), Meaning.DOWN),
        (Answer(502), Meaning.DOWN),
        (Answer(503), Meaning.DOWN),
        (Answer(503, retry_after_s=0), Meaning.WAIT),
        (Answer(504), Meaning.DOWN),
        (Answer(None, error="refused"), Meaning.DOWN),
        (Answer(101), Meaning.RETRY),
        (Answer(999), Meaning.RETRY),
    ],
)
def test_what_an_answer_means(answer: Answer, means: Meaning) -> None:
    assert meaning(answer) is means
