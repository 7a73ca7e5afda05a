"""A conference room over REST, with real speech; every webhook is verified and shown as it comes.

    python examples/rooms.py            (or `make demo-rooms`, which sets up what is missing)

Starts `roomtone serve` with two workers on free ports, a web server with two announcements, and a receiver of
webhooks.  Four callers dial in and join a room.  The announcements are played to them, paused, resumed and
turned down by 6 dB.  One of them is muted for a while, one is a coach whom only one other hears, one presses
keys and is put out.  Another application tries to reach into the room.  What each heard is written to
demo-out/; the exit code is 0 only if every check held.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from demo_parts.caller import Caller, every_frame
from demo_parts.hearing import Utterance
from demo_parts.meeting import Meeting
from demo_parts.minutes import check_announcements, check_events, check_lines, check_refusals
from demo_parts.receiver import Delivery, Receiver
from demo_parts.rest import App, Refused
from demo_parts.screen import Screen
from demo_parts.script import Line, frame_after, rehearse, scripts
from demo_parts.server import Server
from demo_parts.sound import FRAMES_A_SECOND, RATE_HZ, write_wav
from demo_parts.speech import spoken
from demo_parts.trial import fairly
from demo_parts.verdict import Checks, check_numbers
from demo_parts.web import Web
from rich.console import Console

OUT = Path("demo-out")
SEED = 20261
TAIL_S = 1.0
VOICES = {
    "Announcer": ("en-gb+f3", 50),
    "Anna": ("en-gb+f2", 55),
    "Ben": ("en-us+m3", 35),
    "Cleo": ("en-gb-scotland+f4", 70),
    "Dirk": ("en-us+m7", 20),
}
CODEC = {"Ben": "PCMA"}
NUMBERS = {"Anna": "+15550101", "Ben": "+15550102", "Cleo": "+15550103", "Dirk": "+15550104"}
ROLES = {"Anna": "agent", "Dirk": "coach"}
ANNOUNCEMENTS = {
    "/welcome.wav": "Welcome to the team standup. Please say your name when you come in, and be brief.",
    "/notice.wav": "Whatever happens in this room is told by webhooks, in order, and signed.",
}
NOBODY: frozenset[str] = frozenset()
ALL_BUT_CLEO = frozenset({"Anna", "Ben", "Dirk"})
STANDUP = [
    Line("Anna", "Good morning, this is Anna. Who else is here today?"),
    Line("Ben", "Ben is here, and my telephone speaks A law, as they do in Europe."),
    Line("Cleo", "And this is Cleo. I can hear both of you very well."),
    Line(
        "Dirk",
        "Anna, I am your coach, and only you hear me. Ask Ben for the numbers.",
        to=frozenset({"Anna"}),
    ),
    Line("Ben", "I am muted now, so I can say what I like about those numbers.", 0.8, to=NOBODY),
    Line("Ben", "Now you hear me again, and the numbers are better than ever.", 0.8),
    Line("Cleo", "Hello? Is anybody still there? I do not hear a single word.", 2.4, to=NOBODY),
    Line("Anna", "Cleo has left the room. Then we are through. Good bye, everybody.", to=ALL_BUT_CLEO),
]
MUTED, UNMUTED, CALLS_IN_VAIN = 4, 5, 6  # lines of the standup
PRESSED = "42#"
KEY_EVERY_S = 0.45
PAUSED_S, RESUMED_S, LOWERED_S = 2.0, 3.2, 4.2  # after the announcements have begun
LOWERED_DB = -6
JOIN_FRAME = 5  # everybody has been heard by then, and so can be sent to
PLAY_FRAME = round(1.5 * FRAMES_A_SECOND)
SLACK_S = 1.0  # between the announcements' end and the first word

Step = Callable[[], Awaitable[None]]


def schedule(meeting: Meeting, said: list[Utterance]) -> list[tuple[int, Step]]:
    """What is asked for, each at its frame."""

    def before(line: int, seconds: float) -> int:
        return round((said[line].start / RATE_HZ - seconds) * FRAMES_A_SECOND)

    return [
        (JOIN_FRAME, meeting.join),
        (PLAY_FRAME, meeting.play),
        (PLAY_FRAME + round(PAUSED_S * FRAMES_A_SECOND), meeting.pause),
        (PLAY_FRAME + round(RESUMED_S * FRAMES_A_SECOND), meeting.pause),
        (PLAY_FRAME + round(LOWERED_S * FRAMES_A_SECOND), lambda: meeting.volume(LOWERED_DB)),
        (before(MUTED, 0.5), lambda: meeting.command("Ben", "conference/mute")),
        (before(UNMUTED, 0.5), lambda: meeting.command("Ben", "conference/unmute")),
        (before(CALLS_IN_VAIN, 0.5), lambda: meeting.put_out("Cleo")),
        (before(CALLS_IN_VAIN, -0.5), meeting.trespass),
    ]


async def follow(steps: list[tuple[int, Step]], begun_s: float) -> None:
    now = asyncio.get_running_loop().time
    for frame, step in steps:
        await asyncio.sleep(max(0.0, begun_s + frame / FRAMES_A_SECOND - now()))
        await step()


async def hold(meeting: Meeting, screen: Screen, frames: int, said: list[Utterance]) -> None:
    """From the first packet to the last event."""
    await meeting.open()
    begun_s = asyncio.get_running_loop().time()
    for caller in meeting.callers.values():
        caller.begin(begun_s)
    await asyncio.gather(
        screen.follow(begun_s),
        follow(schedule(meeting, said), begun_s),
        every_frame(frames, list(meeting.callers.values()), begun_s),
    )
    await meeting.close()


def show(screen: Screen, delivery: Delivery) -> None:
    """One line for a webhook that came."""
    event = delivery.event
    told = ("caller_id", "reason", "digit", "command", "volume", "hangup_cause")
    more = " ".join(str(event[key]) for key in told if event.get(key) is not None)
    screen.say(f"{delivery.path[1:]} {event.get('sequence', '')} {event['event']} {more}")


async def demo(console: Console) -> Checks:
    announced = [spoken(text, *VOICES["Announcer"]) for text in ANNOUNCEMENTS.values()]
    play_s = PLAY_FRAME / FRAMES_A_SECOND + RESUMED_S - PAUSED_S + sum(map(len, announced)) / RATE_HZ
    said = rehearse(STANDUP, VOICES, play_s + SLACK_S)
    frames = frame_after(said[-1], TAIL_S)
    cast = scripts(said, frames)
    first, step = frame_after(said[UNMUTED], KEY_EVERY_S), round(KEY_EVERY_S * FRAMES_A_SECOND)
    cast["Cleo"].keys = {first + i * step: key for i, key in enumerate(PRESSED)}
    callers = {
        name: Caller(name, CODEC.get(name, "PCMU"), cast[name], SEED + i) for i, name in enumerate(NUMBERS)
    }
    screen = Screen(console, {"Team Standup": list(callers.values())}, frames)
    settings = {"webhooks.allow_http": True, "webhooks.allow_localhost": True}
    with Server(workers=2, file_download_networks=["127.0.0.0/8"], **settings) as server:
        async with Receiver() as receiver, Web() as web, aiohttp.ClientSession(server.http_url) as http:
            receiver.on_event = lambda delivery: show(screen, delivery)
            apps = []
            for name in ("acme", "other"):
                app = await App.create(
                    http,
                    server.admin_key,
                    name,
                    secrets.token_urlsafe(),
                    webhook_url=receiver.url(f"/{name}"),
                )
                receiver.secrets[f"/{name}"] = [app.secret]
                apps.append(app)
            urls = [web.offer(path, pcm) for path, pcm in zip(ANNOUNCEMENTS, announced, strict=True)]
            meeting = Meeting(*apps, receiver, callers, NUMBERS, ROLES, urls, screen.say)
            with screen:
                await hold(meeting, screen, frames, said)
    heard = {name: caller.heard() for name, caller in callers.items()}
    OUT.mkdir(exist_ok=True)
    for name, pcm in heard.items():
        write_wav(OUT / f"rooms-heard-by-{name.lower()}.wav", pcm)
    checks = Checks()
    check_lines(checks, console, STANDUP, said, heard)
    check_announcements(checks, announced, heard, LOWERED_DB)
    check_numbers(checks, list(callers.values()))
    check_events(checks, meeting, receiver, PRESSED)
    check_refusals(checks, meeting, receiver)
    for held, sentence in checks.results:
        console.print(f"{'[green]ok[/]' if held else '[bold red]NO[/]'}    {sentence}", highlight=False)
    print(f"\nListen: {OUT}/rooms-heard-by-*.wav")
    print("Read: docs/protocol/conference.md, docs/protocol/webhooks.md\n")
    return checks


if __name__ == "__main__":
    sys.exit(fairly("roomtone demo-rooms", demo, (Refused, aiohttp.ClientError)))
