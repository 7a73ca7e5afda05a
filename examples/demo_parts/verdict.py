"""What has to hold after the demo, as sentences."""

from __future__ import annotations

import numpy as np

from demo_parts.caller import Caller
from demo_parts.hearing import Match, Utterance, matrix
from demo_parts.sound import RATE_HZ

HEARD_AT_LEAST = 0.85  # a caller who loses 5 % of its packets arrives with about 0.95
SELF_AT_MOST = 0.2  # speech agrees with other speech by chance up to about 0.1
NOTICED_WITHIN_S = 0.6  # of the first sound of an utterance; playout is 40 ms of it
SPOKEN_UNTIL_S = 0.6  # after its end a word may still be noticed
RELAY_MAY_MISS = 5  # packets sent before the other side's address was known


class Checks:
    """Sentences and whether they held."""

    def __init__(self) -> None:
        self.results: list[tuple[bool, str]] = []

    def add(self, held: bool, sentence: str) -> None:
        self.results.append((held, sentence))

    @property
    def failed(self) -> list[str]:
        return [sentence for held, sentence in self.results if not held]


def as_it_has_to_be(shares: dict[tuple[str, str], Match]) -> set[tuple[str, str]]:
    """The pairs that held: others are heard, oneself is not."""
    return {
        pair
        for pair, match in shares.items()
        if (abs(match.share) <= SELF_AT_MOST if pair[0] == pair[1] else match.share >= HEARD_AT_LEAST)
    }


def check_voices(checks: Checks, title: str, shares: dict[tuple[str, str], Match]) -> None:
    held = as_it_has_to_be(shares)
    others = [pair for pair in shares if pair[0] != pair[1]]
    heard = [pair for pair in others if pair in held]
    checks.add(heard == others, f"{title}: {len(heard)} of {len(others)} pairs heard each other")
    selves = [pair for pair in shares if pair[0] == pair[1]]
    unheard = [pair for pair in selves if pair in held]
    checks.add(unheard == selves, f"{title}: {len(unheard)} of {len(selves)} did not hear themselves")


def check_keys(checks: Checks, pressed: str, reported: str, listeners: list[Caller]) -> None:
    checks.add(
        reported == pressed, f"keys: {pressed} pressed, {reported or 'none'} reported, one event a press"
    )
    for caller in listeners:
        heard = "".join(caller.keys_heard)
        checks.add(heard == pressed, f"keys: {heard or 'none'} relayed to {caller.name}")


def check_loss(checks: Checks, callers: list[Caller], counted: dict[str, int]) -> None:
    """counted: caller -> packets of it that the engine misses."""
    for caller in callers:
        withheld, missed = caller.totals.withheld, counted[caller.name]
        if withheld or missed:
            checks.add(
                withheld == missed, f"loss: {withheld} packets of {caller.name} lost, {missed} counted"
            )


def check_numbers(checks: Checks, callers: list[Caller]) -> None:
    received = sum(caller.totals.received for caller in callers)
    holes = sum(caller.totals.missing for caller in callers)
    checks.add(
        received > 0 and holes == 0, f"numbers: {received} packets received, {holes} missing between them"
    )


def check_speech(checks: Checks, said: list[Utterance], began: list[tuple[str, float]]) -> None:
    """began: who began to speak, and when, in seconds of the script."""

    def within(name: str, at_s: float, u: Utterance) -> bool:
        return name == u.speaker and 0 <= at_s - u.start / RATE_HZ <= len(u.pcm) / RATE_HZ + SPOKEN_UNTIL_S

    noticed = [
        u
        for u in said
        if any(within(*each, u) and each[1] - u.start / RATE_HZ <= NOTICED_WITHIN_S for each in began)
    ]
    wrong = [each for each in began if not any(within(*each, u) for u in said)]
    checks.add(
        noticed == said and not wrong,
        f"speech: {len(noticed)} of {len(said)} beginnings told, {len(wrong)} where nobody spoke",
    )


def check_recording(checks: Checks, channels: np.ndarray, names: list[str], said: list[Utterance]) -> None:
    """channels: int16[n, m], those of the callers first; each holds what its caller said and nothing else."""
    tracks = {name: channels[:, i] for i, name in enumerate(names[: channels.shape[1]])}
    shares = matrix(tracks, said)
    right = [
        (track, speaker)
        for (track, speaker), match in shares.items()
        if (match.share >= HEARD_AT_LEAST if track == speaker else abs(match.share) <= SELF_AT_MOST)
    ]
    checks.add(
        len(tracks) == len(names) and len(right) == len(shares),
        f"recording: {len(right)} of {len(shares)} voices on their own channel, or not on another's",
    )


def check_relay(checks: Checks, speaker: Caller, listener: Caller) -> None:
    sent, got = speaker.sent_payloads, listener.received_payloads
    held = len(got) >= len(sent) - RELAY_MAY_MISS and got == sent[len(sent) - len(got) :]
    unchanged = "unchanged" if held else "received, but not as they were sent"
    checks.add(held, f"relay: {len(got)} of {len(sent)} payloads of {speaker.name} {unchanged}")
