"""The numbers that `make demo` judges by."""

from __future__ import annotations

import numpy as np
import pytest
from demo_parts.caller import Caller, Script
from demo_parts.hearing import Match, Utterance, find, matrix
from demo_parts.sound import FRAME_SAMPLES, PCMA, PCMU, RATE_HZ
from demo_parts.verdict import Checks, as_it_has_to_be, check_keys, check_loss, check_relay, check_voices

LAG = 700  # samples


def voice(seed: int, seconds: float = 3.0) -> np.ndarray:
    """Noise in bursts of 300 ms, as speech is."""
    random = np.random.default_rng(seed)
    samples = random.normal(0, 3000, round(seconds * RATE_HZ))
    bursts = np.repeat(random.random(round(seconds / 0.3) + 1) < 0.6, round(0.3 * RATE_HZ))[: len(samples)]
    return (samples * np.maximum(bursts, 0.05)).astype(np.int16)


def late(pcm: np.ndarray, samples: int) -> np.ndarray:
    return np.concatenate([np.zeros(samples, np.int16), pcm, np.zeros(RATE_HZ, np.int16)])


def test_a_voice_that_arrived_has_share_one_at_its_lag() -> None:
    match = find(Utterance("a", 0, voice(1)), late(voice(1), LAG))
    assert match.share == pytest.approx(1.0, abs=0.01)
    assert match.lag_ms == pytest.approx(LAG * 1000 / RATE_HZ, abs=0.2)


def test_a_voice_that_lost_a_tenth_has_share_nine_tenths() -> None:
    line = late(voice(1, 10.0), LAG)
    for frame in range(0, len(line) // FRAME_SAMPLES, 10):
        line[frame * FRAME_SAMPLES : (frame + 1) * FRAME_SAMPLES] = 0
    assert find(Utterance("a", 0, voice(1, 10.0)), line).share == pytest.approx(0.9, abs=0.04)


def test_a_voice_under_others_is_found_at_its_level() -> None:
    mixed = late(voice(1), LAG) + late(voice(2), LAG) + late(voice(3), LAG)
    assert find(Utterance("a", 0, voice(2)), mixed).share == pytest.approx(1.0, abs=0.15)


def test_a_voice_that_is_not_there_is_not_found() -> None:
    assert find(Utterance("a", 0, voice(9)), late(voice(1), LAG)).share < 0.2


def test_a_change_of_delay_within_an_utterance_costs_little() -> None:
    said = voice(1)
    half = len(said) // 2
    line = np.concatenate(
        [late(said[:half], LAG)[: LAG + half], np.zeros(160, np.int16), late(said[half:], 0)]
    )
    assert find(Utterance("a", 0, said), line).share > 0.8


def test_who_hears_himself_or_misses_another_fails() -> None:
    said = [Utterance("a", 0, voice(1)), Utterance("b", 0, voice(2))]
    good = matrix({"a": late(voice(2), LAG), "b": late(voice(1), LAG)}, said)
    assert len(as_it_has_to_be(good)) == 4
    echo = matrix({"a": late(voice(2) + voice(1), LAG), "b": late(voice(1), LAG)}, said)
    deaf = matrix({"a": late(voice(2), LAG), "b": np.zeros(5 * RATE_HZ, np.int16)}, said)
    for shares, failed in ((good, 0), (echo, 1), (deaf, 1)):
        checks = Checks()
        check_voices(checks, "room", shares)
        assert len(checks.failed) == failed
    assert ("a", "a") not in as_it_has_to_be(echo)
    assert ("b", "a") not in as_it_has_to_be(deaf)
    assert as_it_has_to_be({("a", "b"): Match(0.5, 0.0)}) == set()


def caller(name: str) -> Caller:
    return Caller(name, "PCMU", Script(np.zeros(FRAME_SAMPLES, np.int16)), 1)


def test_a_missing_key_a_wrong_count_and_a_changed_payload_fail() -> None:
    one, two = caller("one"), caller("two")
    two.keys_heard = ["1"]
    one.totals.withheld = 3
    one.sent_payloads = [bytes([n]) for n in range(20)]
    two.received_payloads = [bytes([n]) for n in range(2, 20)]
    checks = Checks()
    check_keys(checks, "1", "1", [two])
    check_loss(checks, [one, two], {"one": 3, "two": 0})
    check_relay(checks, one, two)
    assert checks.failed == []
    two.received_payloads[7] = b"x"
    check_keys(checks, "12", "12", [two])
    check_loss(checks, [one, two], {"one": 2, "two": 0})
    check_relay(checks, one, two)
    assert len(checks.failed) == 3


@pytest.mark.parametrize("law", [PCMU, PCMA])
def test_the_demos_g711_keeps_every_code_and_halves_no_signal(law: object) -> None:
    codes = bytes(range(256))
    again = law.encode(law.decode(codes))
    assert np.array_equal(law.decode(again), law.decode(codes))
    signal = voice(4)
    noise = law.decode(law.encode(signal)).astype(float) - signal
    assert 10 * np.log10(np.mean(np.square(signal.astype(float))) / np.mean(np.square(noise))) > 30
