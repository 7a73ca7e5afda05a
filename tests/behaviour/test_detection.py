"""What watched sources say is noticed, in a mix and on a relay, and nobody else hears a difference."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from lab import L16_16K, MS, PCMA, PCMU, Lab, gap_free, silence, tone
from network import Network
from sounds import CODES, key, rest, sine, tape, voice

from roomtone.engine.log import Log
from roomtone.engine.messages import SpeechStarted, Vad
from roomtone.engine.neural import NeuralVad
from roomtone.engine.overload import Overload
from roomtone.engine.plan import RtpEndpoint, Session
from roomtone.engine.timers import Timers
from roomtone.engine.watching import Watching
from roomtone.ext.flow.media import FACT_HEARD, FACT_INBAND_KEY

NO_EVENTS = {"events": (), "event_send": None}
TICK_MS = 20
HANGOVER_MS = 320
ONSET_MS = 300  # playout, and until the detector is sure


class Ear:
    """The Python thread's part, in the lab's time: (ms since the ear began, what) of everything told."""

    def __init__(self, lab: Lab, peer, **asked) -> None:
        self.lab, self.peer = lab, peer
        self.told: list[tuple[int, str | int]] = []
        self.began_us = lab.now_us
        self.timers = Timers()
        overload, neural = Overload(0, 0, Log("error")), NeuralVad(lab.media, 0, -1, None)
        self.watching = Watching(lab.media, self.timers, None, self, overload, neural)
        self.endpoint = RtpEndpoint("e", Session("s", 0), peer.handle, 1, None)
        if asked:
            self.watching.start_vad(self.endpoint, Vad(**asked))
        lab.media.step(lab.now_us)

    def put(self, event) -> None:
        what = "speech" if isinstance(event, SpeechStarted) else event.duration_ms
        self.told.append(((self.lab.now_us - self.began_us) // MS, what))

    def run(self, ms: int) -> None:
        for _ in range(ms):
            seen = len(self.lab.told)
            self.lab.run(1)
            self.lab.collect()
            if any(fact[0] == FACT_HEARD for fact in self.lab.told[seen:]):
                self.watching.look(self.endpoint, self.lab.now_us)
            self.timers.run(self.lab.now_us, 64)

    @property
    def said(self) -> list[str | int]:
        return [what for _, what in self.told]


def pair(lab, *, watched=None, **more):
    bus = lab.bus()
    anna = lab.peer(bus, signal=silence, **{**more, **(watched or {})})
    ben = lab.peer(bus, signal=silence, **more)
    return anna, ben


def mix(lab, **more):
    bus = lab.bus()
    anna = lab.peer(bus, signal=silence, **more)
    return anna, lab.peer(bus, signal=silence), lab.peer(bus, signal=silence)


def keys(lab, peer) -> list[tuple[str, int]]:
    return [(CODES[code], ms) for handle, code, ms in lab.facts(FACT_INBAND_KEY) if handle == peer.handle]


def play(peer, *parts) -> None:
    peer.position = 0
    peer.talk(tape(*parts))


# -- speech --------------------------------------------------------------------------------------------------

ROUTES = [pair, mix]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("codec", [PCMU, PCMA, L16_16K])
def test_utterances_and_silences_are_told_when_they_are(lab, route, codec):
    anna, *_ = route(lab, codec=codec) if route is pair else mix(lab, codec=codec)
    rate = 16000 if codec == L16_16K else 8000
    lab.run(500)
    ear = Ear(lab, anna, silence_interval_ms=500)
    play(anna, rest(1000, rate=rate), voice(1.5, rate=rate), rest(2500, rate=rate), voice(1, rate=rate))
    ear.run(8000)
    assert [what for what in ear.said if what == "speech"] == ["speech"] * 2
    (first, _), *silences, (second, _) = [entry for entry in ear.told if entry[0] < 5500]
    assert 1000 <= first <= 1000 + ONSET_MS
    assert 5000 <= second <= 5000 + ONSET_MS
    ended = silences[0][0] - HANGOVER_MS - 500
    assert 2400 <= ended <= 2500 + ONSET_MS
    lengths = [HANGOVER_MS + 500 * n for n in (1, 2, 3, 4)]
    assert silences == [(ended + length, length) for length in lengths]


def test_with_threshold_0_every_packet_is_speech_so_the_times_are_exact(lab):
    anna, _ = pair(lab)
    anna.talk(None)
    lab.run(200)
    ear = Ear(lab, anna, silence_interval_ms=300, speech_threshold=0.0)
    anna.talk(silence)
    ear.run(1000)
    anna.talk(None)
    ear.run(2000)
    (began, what), *silences = ear.told
    assert what == "speech" and began % TICK_MS == ear.told[0][0] % TICK_MS
    _, began_us, last_us, _ = lab.media.speech(anna.handle)
    assert (began_us - ear.began_us) // MS <= began <= (began_us - ear.began_us) // MS + 1
    ended = (last_us - ear.began_us) / MS
    assert [ms for _, ms in silences] == [HANGOVER_MS + 300 * n for n in range(1, len(silences) + 1)]
    assert len(silences) >= 4  # the clock runs on without packets
    for at, ms in silences:
        assert at == pytest.approx(ended + ms, abs=1)


def test_nothing_is_told_before_the_first_speech(lab):
    anna, _ = pair(lab)
    ear = Ear(lab, anna, silence_interval_ms=100)
    ear.run(3000)
    assert ear.told == []


def test_lost_packets_break_no_utterance(lab):
    anna, _ = pair(lab, watched={"network": Network(3, loss=0.1, burst=2)})
    lab.run(500)
    ear = Ear(lab, anna, silence_interval_ms=100)
    play(anna, voice(6))
    ear.run(5800)
    assert ear.said == ["speech"]


@pytest.mark.parametrize("route", ROUTES)
def test_when_the_direction_changes_silence_runs_on(lab, route):
    anna, *_ = route(lab)
    bus = 0
    lab.run(300)
    ear = Ear(lab, anna, silence_interval_ms=400)
    play(anna, voice(20))
    ear.run(1000)
    lab.media.source_remove(bus, anna.handle)
    ear.run(2000)
    assert ear.said[:4] == ["speech", 720, 1120, 1520]
    lab.media.source_add(bus, anna.handle)
    ear.run(500)
    assert ear.said[-1] == "speech"


def test_another_bus_does_not_interrupt_an_utterance(lab):
    anna, _, _ = mix(lab)
    other = lab.bus(phase=11)
    for _ in range(2):
        lab.peer(other, signal=silence)
    lab.run(300)
    ear = Ear(lab, anna, silence_interval_ms=200)
    play(anna, voice(20))
    ear.run(1000)
    lab.leave(anna, 0)
    lab.join(anna, other)
    ear.run(2000)
    assert ear.said == ["speech"]


def test_speech_in_another_codec_after_a_new_offer_goes_on(lab):
    anna, _ = pair(lab)
    lab.run(300)
    ear = Ear(lab, anna, silence_interval_ms=200)
    play(anna, voice(20))
    ear.run(1000)
    lab.negotiate(anna, receive=[PCMA], send_codec=PCMA)
    anna.codec = PCMA
    ear.run(2000)
    assert ear.said == ["speech"]


# -- the watched relay ---------------------------------------------------------------------------------------


def relayed(watch: bool, *, seed: int = 5) -> list[tuple[int, bytes]]:
    lab = Lab()
    network = Network(seed, loss=0.05, jitter_ms=15, reorder=0.05, duplicate=0.02)
    bus = lab.bus()
    anna = lab.peer(bus, signal=tape(voice(3)), network=network)
    ben = lab.peer(bus, signal=tone(300))
    lab.run(500)
    if watch:
        lab.media.watch(anna.handle, serial=1, speech=True, threshold=0.5, fax=True, frames=0)
    lab.run(1500)
    if watch:
        lab.media.watch(anna.handle, serial=2, speech=False, threshold=0.5, fax=False, frames=0)
    lab.run(1000)
    assert lab.counters["encodings"] == 0
    assert bool(lab.counters["watched_frames"]) is watch
    assert lab.media.check() == []
    return [(p.at_us, p.marker, p.seq, p.timestamp, p.payload) for peer in (anna, ben) for p in peer.heard]


def test_a_watched_relay_is_the_same_to_the_byte_and_to_the_moment():
    assert relayed(True) == relayed(False)


def test_one_alone_in_its_session_is_heard_by_the_detector(lab):
    anna = lab.peer(lab.bus(), signal=silence)
    lab.run(300)
    ear = Ear(lab, anna, silence_interval_ms=1000)
    play(anna, voice(1))
    ear.run(1000)
    assert ear.said == ["speech"]
    assert anna.heard == []


def test_a_talker_nobody_can_hear_is_heard_by_the_detector_whatever_its_packet_time(lab):
    anna = lab.peer(lab.bus(), signal=silence, destination=False, may_send=False)
    anna.ptime_ms = 30
    lab.run(300)
    ear = Ear(lab, anna, silence_interval_ms=1000)
    play(anna, voice(1))
    ear.run(1000)
    assert ear.said == ["speech"]
    assert lab.media.check() == []


def test_from_relay_to_mix_and_back_an_utterance_goes_on_and_the_listener_hears_no_gap(lab):
    anna, ben = pair(lab)
    lab.run(300)
    ear = Ear(lab, anna, silence_interval_ms=200)
    play(anna, voice(20))
    ear.run(1000)
    carl = lab.peer(0, signal=silence)
    ear.run(1000)
    lab.close(carl)
    ear.run(1000)
    assert ear.said == ["speech"]
    assert gap_free(ben.heard)
    assert lab.media.check() == []


def test_an_idle_watched_bus_costs_no_frames(lab):
    anna, _ = pair(lab)
    lab.media.watch(anna.handle, serial=1, speech=True, threshold=0.5, fax=False, frames=0)
    lab.run(500)
    anna.talk(None)
    lab.run(2000)
    before = lab.counters["watched_frames"]
    lab.run(1000)
    assert lab.counters["watched_frames"] == before


# -- keys in the audio ---------------------------------------------------------------------------------------


def dialled(digits: str, press_ms: int = 80, pause_ms: int = 80) -> list[np.ndarray]:
    return [part for digit in digits for part in (key(digit, press_ms), rest(pause_ms))]


@pytest.mark.parametrize("route", ROUTES)
def test_keys_in_the_audio_of_one_without_telephone_event_are_told_once_each(lab, route):
    anna, *_ = route(lab, **NO_EVENTS) if route is mix else pair(lab, watched=NO_EVENTS)
    lab.run(200)
    play(anna, rest(200), *dialled(CODES))
    lab.run(16 * 160 + 700)
    assert [digit for digit, _ in keys(lab, anna)] == list(CODES)
    assert all(60 <= ms <= 100 for _, ms in keys(lab, anna))


@pytest.mark.parametrize("seed", range(6))
def test_loss_makes_no_two_presses_of_one(seed):
    lab = Lab()
    anna, _ = pair(
        lab, watched={**NO_EVENTS, "network": Network(seed, loss=0.04, jitter_ms=10, duplicate=0.05)}
    )
    lab.run(200)
    digits = "159D*0#A27"
    play(anna, rest(200), *dialled(digits, 200, 200))
    lab.run(10 * 400 + 1000)
    assert [digit for digit, _ in keys(lab, anna)] == list(digits)


def test_with_telephone_event_the_audio_is_not_searched(lab):
    anna, _ = pair(lab)
    lab.run(200)
    play(anna, rest(200), *dialled("123"))
    lab.run(1000)
    assert keys(lab, anna) == []
    assert lab.counters["watched_frames"] == 0


def test_negotiation_decides_from_when_on_the_audio_is_searched(lab):
    anna, ben = pair(lab)
    lab.run(200)
    lab.negotiate(anna, **NO_EVENTS)
    play(anna, rest(200), *dialled("1"))
    lab.run(600)
    lab.negotiate(anna)
    play(anna, rest(200), *dialled("2"))
    lab.run(600)
    assert [digit for digit, _ in keys(lab, anna)] == ["1"]
    assert gap_free(ben.heard)


def test_a_press_is_one_when_the_relay_becomes_a_mix_within_it(lab):
    anna, _ = pair(lab, watched=NO_EVENTS)
    lab.run(200)
    play(anna, rest(200), key("5", 400), rest(300), key("6", 400), rest(400))
    lab.run(400)
    carl = lab.peer(0, signal=silence)
    lab.run(700)
    lab.close(carl)
    lab.run(1000)
    assert [digit for digit, _ in keys(lab, anna)] == ["5", "6"]


def test_a_key_held_when_packets_stop_is_told(lab):
    anna, _ = pair(lab, watched=NO_EVENTS)
    lab.run(200)
    play(anna, key("7", 5000))
    lab.run(300)
    anna.talk(None)
    lab.run(1000)
    assert [digit for digit, _ in keys(lab, anna)] == ["7"]


def test_what_overload_gave_up_is_not_looked_for_and_speech_goes_first(lab):
    anna, _ = pair(lab, watched=NO_EVENTS)
    lab.media.watch(anna.handle, serial=1, speech=True, threshold=0.0, fax=True, frames=0)
    lab.run(200)
    lab.media.watch_kinds(speech=False, keys=True)
    lab.run(100)
    _, _, last_us, _ = lab.media.speech(anna.handle)
    play(anna, rest(100), *dialled("1"))
    lab.run(500)
    assert lab.media.speech(anna.handle)[2] == last_us
    lab.media.watch_kinds(speech=False, keys=False)
    play(anna, rest(100), *dialled("2"))
    lab.run(500)
    before = lab.counters["watched_frames"]
    lab.run(500)
    assert lab.counters["watched_frames"] == before
    lab.media.watch_kinds(speech=True, keys=True)
    play(anna, rest(300), *dialled("3"))
    lab.run(800)
    assert [digit for digit, _ in keys(lab, anna)] == ["1", "3"]
    assert lab.media.speech(anna.handle)[2] > last_us


# -- fax tones and frames ------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
def test_fax_tones_are_counted_where_they_are_asked_for(lab, route):
    anna, ben, *_ = route(lab)
    lab.run(200)
    lab.media.watch(anna.handle, serial=0, speech=False, threshold=1.0, fax=True, frames=0)
    for peer in (anna, ben):
        play(
            peer,
            rest(200),
            sine(1100, 500),
            rest(3000),
            sine(1100, 500),
            rest(1000),
            sine(2100, 2500),
            rest(500),
        )
    lab.run(9000)
    assert lab.media.fax_tones(anna.handle) == (1, 1)
    assert lab.media.fax_tones(ben.handle) == (0, 0)


def test_frames_for_a_detector_outside_are_what_was_said_tick_after_tick(lab):
    anna, _ = pair(lab)
    ring = lab.media.watch_take()
    lab.run(200)
    lab.media.watch(anna.handle, serial=1, speech=False, threshold=1.0, fax=False, frames=ring)
    anna.position = 0
    anna.talk(tone(500))
    seen: deque[tuple[int, bytes]] = deque()
    for _ in range(10):
        lab.run(100)
        seen.extend(lab.media.watched_frames(ring))
    times = [at_us for at_us, _ in seen]
    assert set(np.diff(times)) == {TICK_MS * MS}
    heard = np.concatenate([np.frombuffer(pcm, np.int16) for _, pcm in list(seen)[20:]])
    said = np.concatenate(anna.spoken)
    assert heard.tobytes() in said.tobytes()
    lab.run(2000)
    assert lab.counters["watched_frames_lost"] > 0  # nobody reads any more
    lab.media.watch(anna.handle, serial=1, speech=False, threshold=1.0, fax=False, frames=0)
    lab.run(1)
    lab.media.watch_free(ring)
