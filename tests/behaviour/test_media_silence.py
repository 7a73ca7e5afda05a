"""The media time-out: once a silence, armed again by the next valid packet."""

from lab import rtp, silence, tone

LIMIT_US = 5_000_000


def test_each_silence_is_told_once(lab):
    bus = lab.bus()
    anna, ben = lab.peer(bus, signal=tone(440)), lab.peer(bus, signal=silence)
    lab.run(6000)
    assert lab.media.silent(LIMIT_US) == []
    anna.talk(None)
    lab.run(4900)
    assert lab.media.silent(LIMIT_US) == []
    lab.run(200)
    told = lab.media.silent(LIMIT_US)
    assert [handle for handle, _ in told] == [anna.handle] and 5000 <= told[0][1] <= 5200
    lab.run(5000)
    assert lab.media.silent(LIMIT_US) == []
    anna.talk(tone(440))
    lab.run(50)
    anna.talk(None)
    lab.run(5100)
    assert [handle for handle, _ in lab.media.silent(LIMIT_US)] == [anna.handle]
    assert ben.stats["rx_last_ms_ago"] < 20


def test_a_silence_between_two_looks_is_told_when_it_is_long_enough(lab):
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    for _ in range(3):
        anna.talk(None)
        lab.run(5200)
        assert len(lab.media.silent(LIMIT_US)) == 1
        anna.talk(tone(440))
        lab.run(100)


def test_a_peer_that_was_never_heard_is_silent_from_its_beginning(lab):
    bus = lab.bus()
    anna = lab.peer(bus)
    lab.run(5100)
    assert lab.media.silent(LIMIT_US) == [(anna.handle, 5100)]


def test_who_may_not_send_is_not_missed(lab):
    bus = lab.bus()
    lab.peer(bus, may_receive=False, send_at_once=True)
    lab.run(20_000)
    assert lab.media.silent(LIMIT_US) == []


def test_rtcp_and_dropped_packets_end_no_silence(lab):
    bus = lab.bus()
    anna, _ = lab.peer(bus, signal=tone(440)), lab.peer(bus, signal=silence)
    lab.run(100)
    anna.talk(None)
    for _ in range(6):
        lab.run(1000)
        anna.feed(bytes([0x80, 201, 0, 1]) + bytes(4))
        anna.feed(rtp(77, 1, 1, 1, bytes(160)))
        anna.feed(b"\x80")
    assert [handle for handle, _ in lab.media.silent(LIMIT_US)] == [anna.handle]


def test_the_time_begins_anew_when_the_peer_may_send_again(lab):
    bus = lab.bus()
    anna = lab.peer(bus, signal=tone(440))
    lab.run(100)
    anna.talk(None)
    lab.negotiate(anna, may_receive=False)
    lab.run(10_000)
    lab.negotiate(anna, may_receive=True)
    lab.run(4900)
    assert lab.media.silent(LIMIT_US) == []
    lab.run(200)
    assert len(lab.media.silent(LIMIT_US)) == 1
