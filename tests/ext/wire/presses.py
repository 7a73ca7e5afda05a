"""Key presses as a sender puts them on the wire, and a listener: the receive machine in virtual time."""

from dataclasses import dataclass

from roomtone.ext.wire import telephone_event as te

TICKS_PER_MS = 8  # 8 kHz
SEGMENT_MAX = 0xFFFF
START_TS = 4_294_967_000  # wraps within the first press


@dataclass(frozen=True)
class Packet:
    """One telephone-event packet and when it is sent, ms."""

    at_ms: int
    event: int
    end: bool
    duration: int
    timestamp: int


def press(event, duration_ms, at_ms=0, *, update_ms=20, ends=3, timestamp=None):
    """What a correct sender sends for one press; the clock and the timestamp begin together."""
    start = START_TS + at_ms * TICKS_PER_MS if timestamp is None else timestamp
    total = duration_ms * TICKS_PER_MS
    packets, base = [], 0
    for elapsed_ms in range(update_ms, duration_ms, update_ms):
        ticks = elapsed_ms * TICKS_PER_MS - base
        packets.append((at_ms + elapsed_ms, False, min(ticks, SEGMENT_MAX), base))
        if ticks >= SEGMENT_MAX:
            base += SEGMENT_MAX
    if total - base > SEGMENT_MAX:
        packets.append((at_ms + duration_ms - 1, False, SEGMENT_MAX, base))
        base += SEGMENT_MAX
    packets += [(at_ms + duration_ms + i * update_ms, True, total - base, base) for i in range(ends)]
    return [Packet(at, event, end, ticks, (start + b) % 2**32) for at, end, ticks, b in packets]


@dataclass
class Heard:
    """What the machine told: (digit, ms) of each ended press, how many starts, and when each end came, ms."""

    presses: list
    starts: int
    ended_at_ms: list

    @property
    def digits(self):
        return [digit for digit, _ in self.presses]


def hear(packets, *, until_ms=None, arrive=None, poll_ms=10):
    """Feed packets in the order given, at ``arrive`` or their own time; poll on the way and long after."""
    receiver = te.Receiver()
    heard = Heard([], 0, [])

    def note(now_ms, answer):
        result, digit, ticks = answer
        heard.starts += result in (te.RX_START, te.RX_SWITCH)
        if result in (te.RX_END, te.RX_SWITCH):
            heard.presses.append((digit, ticks / TICKS_PER_MS))
            heard.ended_at_ms.append(now_ms)

    now_ms = 0
    for packet, at_ms in zip(packets, arrive or [p.at_ms for p in packets], strict=True):
        while now_ms + poll_ms < at_ms:
            now_ms += poll_ms
            note(now_ms, receiver.poll(now_ms * 1000))
        now_ms = max(now_ms, at_ms)
        answer = receiver.put(packet.event, packet.end, packet.duration, packet.timestamp, now_ms * 1000)
        note(now_ms, answer)
    for later_ms in range(now_ms, until_ms or now_ms + 2000, poll_ms):
        note(later_ms, receiver.poll(later_ms * 1000))
    assert not receiver.active
    return heard


def moving(event, count, *, growing, ends=3):
    """A sender that runs the key through its audio clock: each packet's timestamp is 20 ms on."""
    step = 160
    out = []
    for i in range(count + ends):
        duration = step * min(i + 1, count) if growing else step
        out.append(Packet(20 * i, event, i >= count, duration, (START_TS + step * i) % 2**32))
    return out
