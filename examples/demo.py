"""Two calls over a running roomtone, with real speech, shown as they happen and checked at the end.

    python examples/demo.py            (or `make demo`, which sets up what is missing)

Starts `roomtone serve` with two workers on free ports.  Four callers hold a conference that is mixed: one
speaks A-law, one presses keys, one loses every twentieth packet, one falls silent and comes back.  A prompt
is played to them, who speaks is told, and all of it is recorded.  Two more have a call of their own that is
relayed.  What each heard is written to demo-out/; the exit code is 0 only if every check held.  When one did
not and the machine was elsewhere meanwhile, the calls are held again.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from demo_parts.caller import Caller, Script, every_frame
from demo_parts.hearing import Utterance, matrix
from demo_parts.room import Room
from demo_parts.screen import Screen, matrix_table
from demo_parts.script import Line, frame_after, rehearse, scripts
from demo_parts.server import Server
from demo_parts.sound import FRAME_SAMPLES, FRAMES_A_SECOND, RATE_HZ, read_channels, write_wav
from demo_parts.trial import fairly
from demo_parts.verdict import (
    Checks,
    as_it_has_to_be,
    check_keys,
    check_loss,
    check_numbers,
    check_recording,
    check_relay,
    check_speech,
    check_voices,
)
from rich.console import Console

from roomtone.client import RoomtoneError, connect

OUT = Path("demo-out")
SEED = 20260
LOSS = 0.05
PRESSED = "42#"
TAIL_S = 1.0  # after the last word, so that it arrives
MEDIA_TIMEOUT_S = 2
EVENT_WAIT_S = 5.0
RECORDING = "conference.wav"
PROMPT_FILE = "welcome.wav"

PROMPT = "Prompt"  # who says what is played from a file
VOICES = {
    PROMPT: ("en-gb+f3", 50),
    "Anna": ("en-gb+f2", 55),
    "Ben": ("en-us+m3", 35),
    "Cleo": ("en-gb-scotland+f4", 70),
    "Dirk": ("en-us+m7", 20),
    "Eve": ("en-gb+f1", 60),
    "Finn": ("en-gb+m2", 45),
}
CODEC = {"Ben": "PCMA"}
CONFERENCE = [
    Line(PROMPT, "Welcome to the conference. What you say is recorded."),
    Line("Anna", "Good morning, this is Anna. Can everybody hear me?"),
    Line("Dirk", "Dirk here. Yes, but one packet in twenty gets lost on my way to you."),
    Line("Ben", "This is Ben. I speak A law, and all of you hear me in your own codec."),
    Line("Cleo", "And this is Cleo. I have to leave for a moment. Please go on without me."),
    Line("Anna", "Then I shall press three keys in the meantime.", 0.8),
    Line("Ben", "I got them. Now let us all talk at the same time, shall we?", 2.2),
    Line("Cleo", "I am back again, and I have not missed the best part of it.", 0.5),
    Line("Anna", "Everybody speaks, and everybody still understands every word.", -2.5),
    Line("Dirk", "The engine adds us all, and takes out only what I say myself.", -2.0),
]
CALL = [
    Line("Eve", "Hello Finn, this is a call for two. Nobody mixes anything here."),
    Line("Finn", "Hello Eve. Then my packets come to you just as I sent them."),
    Line("Eve", "Every byte of them. I shall compare them all when we have finished."),
]
GONE = "Cleo"
GONE_S = (4, 7)  # Cleo is away from after this line until before that one (numbers of CONFERENCE)
KEYS_AFTER = 5
KEY_EVERY_S = 0.45


def add_trouble(cast: dict[str, Script], said: list[Utterance]) -> None:
    """Keys, a silence, lost packets."""
    first = frame_after(said[KEYS_AFTER], KEY_EVERY_S)
    step = round(KEY_EVERY_S * FRAMES_A_SECOND)
    cast["Anna"].keys = {first + i * step: key for i, key in enumerate(PRESSED)}
    cast["Dirk"].lost = LOSS
    back = said[GONE_S[1]].start // FRAME_SAMPLES - FRAMES_A_SECOND // 2
    cast[GONE].silent = range(frame_after(said[GONE_S[0]], 0.2), back)


# -- the calls -----------------------------------------------------------------------------------------------


async def hold(
    rooms: list[Room], screen: Screen, frames: int, prompt: Utterance
) -> tuple[dict[str, int], float]:
    """All calls from first to last packet.

    Returns for each caller how many packets the engine misses, and when it began by the loop's clock.
    """
    listeners = [asyncio.create_task(room.listen()) for room in rooms]
    begun_s = asyncio.get_running_loop().time()
    everyone = [caller for room in rooms for caller in room.callers]
    for caller in everyone:
        caller.begin(begun_s)
    announcing = asyncio.create_task(announce(rooms[0], prompt))
    watching = asyncio.create_task(screen.follow(begun_s))
    await every_frame(frames, everyone, begun_s)
    await announcing
    await watching
    lost: dict[str, int] = {}
    for room in rooms:
        lost |= await room.lost()
    recorded = await rooms[0].stop_recording()
    screen.say(f"recording.stop: {recorded.packets} packets, {recorded.dropped_packets} dropped")
    for room in rooms:
        await room.close()
    async with asyncio.timeout(EVENT_WAIT_S):
        while not all(caller.totals.byes for caller in everyone):
            await asyncio.sleep(1 / FRAMES_A_SECOND)
    for task in listeners:
        task.cancel()
    return lost, begun_s


async def announce(room: Room, prompt: Utterance) -> None:
    """Everybody has been heard by then, and so can be sent to."""
    await asyncio.sleep(prompt.start / RATE_HZ)
    await room.play(PROMPT_FILE)


# -- all of it -----------------------------------------------------------------------------------------------


def report(
    console: Console, checks: Checks, tables: list[tuple[list[str], dict]], metrics: dict[str, float]
) -> None:
    console.print("Share of each voice that arrived (1.00: all of it)")
    for names, shares in tables:
        console.print(matrix_table(names, shares, as_it_has_to_be(shares)))
    for held, sentence in checks.results:
        mark = "[green]ok[/]" if held else "[bold red]NO[/]"
        console.print(f"{mark}    {sentence}", highlight=False)
    wanted = ("roomtone_rtp_packets_total", "roomtone_worker_endpoints", "roomtone_tick_overruns_total")
    for name, value in sorted(metrics.items()):
        if name.startswith(wanted):
            console.print(f"      {name} {value:.0f}", highlight=False, markup=False)
    print(f"\nListen: {OUT}/heard-by-*.wav, {OUT}/{RECORDING} (a channel for each voice)")
    print("Read: README.md, docs/architecture.md, examples/first_session.py")
    print("Next: `make serve`, and in a second terminal `.venv/bin/python examples/first_session.py`\n")


async def demo(console: Console) -> Checks:
    said = rehearse(CONFERENCE, VOICES)
    said_in_call = rehearse(CALL, VOICES)
    frames = max(frame_after(u, TAIL_S) for u in (*said, *said_in_call))
    cast = scripts([u for u in said if u.speaker != PROMPT], frames)
    add_trouble(cast, said)
    cast_of_call = scripts(said_in_call, frames)
    callers = [Caller(name, CODEC.get(name, "PCMU"), cast[name], SEED + i) for i, name in enumerate(cast)]
    pair = [Caller(name, "PCMU", s, SEED - 1 - i) for i, (name, s) in enumerate(cast_of_call.items())]
    screen = Screen(console, {"conference, mixed": callers, "call, relayed": pair}, frames)
    with Server(workers=2, media_timeout_secs=MEDIA_TIMEOUT_S) as server:
        async with connect(server.url) as one, connect(server.url) as two:
            conference, call = Room(one, callers, screen.say), Room(two, pair, screen.say)
            await conference.open()
            await call.open()
            await conference.listen_for_speech()
            write_wav(server.folder / "media" / PROMPT_FILE, said[0].pcm)
            await conference.record(str(server.folder / "recordings" / RECORDING))
            placed = {k: v for k, v in server.metrics().items() if k.startswith("roomtone_worker_endpoints")}
            with screen:
                lost, begun_s = await hold([conference, call], screen, frames, said[0])
            metrics = {**server.metrics(), **placed}
            channels = read_channels(server.folder / "recordings" / RECORDING)
    checks = Checks()
    tables = []
    OUT.mkdir(exist_ok=True)
    write_wav(OUT / RECORDING, channels)
    for title, people, sentences in (("conference", callers, said), ("call", pair, said_in_call)):
        heard = {c.name: c.heard() for c in people}
        for name, pcm in heard.items():
            write_wav(OUT / f"heard-by-{name.lower()}.wav", pcm)
        shares = matrix(heard, sentences)
        check_voices(checks, title, shares)
        tables.append((list(dict.fromkeys([*heard, *(u.speaker for u in sentences)])), shares))
    checks.add(conference.played == ["completed"], "prompt: played to its end, told once")
    began = [(name, at_s - begun_s) for name, at_s in conference.began_to_speak]
    check_speech(checks, [u for u in said if u.speaker != PROMPT], began)
    check_recording(checks, channels, [caller.name for caller in callers], said)
    check_keys(checks, PRESSED, "".join(conference.keys), callers[1:])
    gone = ", ".join(conference.timeouts) or "nobody"
    checks.add(conference.timeouts == [GONE], f"silence: media time-out of {gone}")
    check_loss(checks, callers + pair, lost)
    check_numbers(checks, callers + pair)
    check_relay(checks, *pair)
    check_relay(checks, *pair[::-1])
    report(console, checks, tables, metrics)
    return checks


def main() -> int:
    return fairly("roomtone demo", demo, (RoomtoneError,))


if __name__ == "__main__":
    sys.exit(main())
