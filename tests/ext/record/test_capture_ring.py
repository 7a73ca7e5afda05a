"""The ring between media thread and drain gives back what was put in, in order, or says it is full."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from roomtone.ext.base.stack import Stack
from roomtone.ext.record.capture import CaptureRing

SIZE = 4096
STEPS = st.lists(st.one_of(st.none(), st.binary(max_size=600)), max_size=200)


@given(STEPS)
def test_records_come_out_as_they_went_in(steps: list[bytes | None]) -> None:
    """None: take one out."""
    ring, inside = CaptureRing(SIZE), deque()
    for number, data in enumerate(steps):
        if data is None:
            assert ring.get() == (inside.popleft() if inside else None)
        elif ring.put(number, data):
            inside.append((number, data))
        else:
            used = sum(64 + len(d) + 7 & ~7 for _, d in inside)
            assert used + 2 * (64 + len(data) + 7) > SIZE - 700, "refused only when it is nearly full"
    while inside:
        assert ring.get() == inside.popleft()
    assert ring.get() is None


@given(st.lists(st.one_of(st.none(), st.integers(0, 1000)), max_size=100))
def test_a_stack_is_taken_whole_and_oldest_first(steps: list[int | None]) -> None:
    stack, inside = Stack(), []
    for number in steps:
        if number is None:
            assert stack.take() == inside
            inside = []
        else:
            stack.push(number)
            inside.append(number)
    assert stack.take() == inside
