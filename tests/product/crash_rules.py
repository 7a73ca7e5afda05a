"""What must hold of webhooks when processes are killed, judged by the receiver's log and the replies alone.

    python tests/product/crash_rules.py --kills 200 [--seed N]

Theory of operation
-------------------
A load of rooms, calls, plays and commands goes on (crash_load) while control, workers and the dispatcher are
killed at random moments.  Every reply of 2xx is a promise that the load notes down.  At the end everything is
ended by command, and the promises are compared with the events that came, each counted once by its
`webhook-id`:

1. an accepted play has exactly one terminal event, and at most one beginning
2. who joined a room left it exactly once, before joining again
3. whatever was accepted has its event, exactly one
4. what came twice is the same, byte for byte
5. in every lane the events came in the order of their numbers, and none is missing
6. nothing follows the last event of a call or of a room
7. what has begun in a call - playback, a recording, collecting digits - has ended once
8. a recording of a room has begun once, and ended once
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
sys.path.insert(0, str(Path(__file__).parent))

import aiohttp
from crash_load import Ledger, Load
from demo_parts.receiver import Delivery, Receiver, lanes
from demo_parts.rest import App
from product import Product, wait_for
from rest import ADMIN_KEY, AT_ONCE

VICTIMS = ("roomtone: control", "roomtone: worker 0", "roomtone: worker 1", "roomtone: dispatcher")
BETWEEN_KILLS_S = (0.05, 1.5)
CALM = 0.75  # of the kills come when everything is back; the others anyhow
SETTLE_S = 30.0  # until everything has been told after the last kill
POLL_S = 0.25
ANSWER = aiohttp.ClientTimeout(total=15)
TERMINAL = ("conference.play.finished", "conference.play.failed", "conference.play.stopped")
LANES = {"room_id": "room_sequence", "session_uuid": "session_sequence"}
ENDING_OF = {
    "playback.started": "playback.stopped",
    "record/start": "recording.completed",
    "play_and_get_digits": "digits.collected",
}
LAST = {"call.hangup": "session_uuid", "conference.destroyed": "room_id"}

Event = dict[str, Any]


def faults(log: Sequence[Delivery], ledger: Ledger) -> list[str]:
    """Every rule that is broken, in words."""
    events = [each.event for each in log if each.accepted and not each.again]
    return [
        *plays(events, ledger),
        *members(events),
        *promises(events, ledger),
        *duplicates(log),
        *order(log),
        *last_words(events),
        *endings(events),
        *recordings(events, ledger),
    ]


def plays(events: Sequence[Event], ledger: Ledger) -> list[str]:
    ends, begins = Counter[str](), Counter[str]()
    for event in events:
        if event["event"] in TERMINAL:
            ends[event["play_operation_id"]] += 1
        elif event["event"] == "conference.play.started":
            begins[event["play_operation_id"]] += 1
    out = [f"play {id} ended {ends[id]} times" for id in sorted(ledger.plays | set(ends)) if ends[id] != 1]
    return out + [f"play {id} began {count} times" for id, count in begins.items() if count > 1]


def endings(events: Sequence[Event]) -> list[str]:
    """What has begun in a call ends there once; both have the `command_uid` it was asked for with."""
    count = Counter((e["event"], e["session_uuid"], e["command_uid"]) for e in events if "command_uid" in e)
    out = []
    for event in events:
        done = event["event"] == "command.result" and event["success"]
        begun = event["command"] if done else event["event"]
        if begun in ENDING_OF:
            which = event["session_uuid"], event["command_uid"]
            told = count[event["event"], *which], count[ENDING_OF[begun], *which]
            if told != (1, 1):
                out.append(f"{begun} and {ENDING_OF[begun]} of {which} came {told} times")
    return out


def recordings(events: Sequence[Event], ledger: Ledger) -> list[str]:
    told = Counter((e["event"], e["recording_id"]) for e in events if "recording_id" in e)
    out = []
    for id in sorted(ledger.recordings | {id for _, id in told}):
        count = tuple(told[f"conference.recording.{what}", id] for what in ("started", "stopped"))
        if count != (1, 1):
            out.append(f"the beginning and end of recording {id} came {count} times")
    return out


def members(events: Iterable[Event]) -> list[str]:
    """By the number of the call's own lane, in which joining and leaving stand."""
    inside: Counter[tuple[str, str]] = Counter()
    out = []
    told = [e for e in events if e["event"] in ("conference.member.joined", "conference.member.left")]
    for event in sorted(told, key=lambda e: (e["session_uuid"], e["session_sequence"])):
        who = event["session_uuid"], event["room_id"]
        inside[who] += 1 if event["event"] == "conference.member.joined" else -1
        if inside[who] not in (0, 1):
            out.append(f"{event['event']} of {who} while inside {inside[who]} times")
    return out + [f"{who} joined and never left" for who, count in inside.items() if count > 0]


def promises(events: Sequence[Event], ledger: Ledger) -> list[str]:
    """What a reply of 2xx said will come has come once."""
    of_rooms = Counter((e["event"], e["room_id"]) for e in events if "room_id" in e)
    of_calls = Counter((e["event"], e["session_uuid"]) for e in events if "session_uuid" in e)
    results = Counter(e["operation_id"] for e in events if e["event"] == "command.result")
    acted = {e["operation_id"] for e in events if e["event"].startswith("conference.play.")}
    acted |= {id for e in events for id in e.get("aborted_operations") or ()}
    wanted = [
        *((of_rooms["conference.created", id], f"conference.created of {id}") for id in ledger.rooms),
        *((of_rooms["conference.destroyed", id], f"conference.destroyed of {id}") for id in ledger.destroyed),
        *((of_calls["call.new", id], f"call.new of {id}") for id in ledger.calls),
        *((of_calls["call.hangup", id], f"call.hangup of {id}") for id in ledger.calls),
        *((results[id], f"command.result of {what} {id}") for id, what in ledger.commands.items()),
        *((int(id in acted), f"event of {what} {id}") for id, what in ledger.room_commands.items()),
    ]
    return [f"{what} came {count} times" for count, what in wanted if count != 1]


def duplicates(log: Iterable[Delivery]) -> list[str]:
    bodies: dict[str, bytes] = {}
    return [f"{e.webhook_id} differs" for e in log if bodies.setdefault(e.webhook_id, e.body) != e.body]


def order(log: Iterable[Delivery]) -> list[str]:
    """Late ones come out of order, but they come."""
    numbers = lanes(log)
    late = lanes(log, late=True)
    out = [f"{lane} came as {numbers[lane]}" for lane in numbers if numbers[lane] != sorted(numbers[lane])]
    for lane in {*numbers, *late}:
        came = {*numbers.get(lane, ()), *late.get(lane, ())}
        if missing := set(range(1, max(came) + 1)) - came:
            out.append(f"{lane} lacks {sorted(missing)}")
    return out


def last_words(events: Sequence[Event]) -> list[str]:
    """By the lanes' numbers: a call's last event is call.hangup, a room's conference.destroyed."""
    last: dict[tuple[str, str], Event] = {}
    for event in events:
        for key, number in LANES.items():
            if number in event:
                lane = key, event[key]
                last[lane] = max(last.get(lane, event), event, key=lambda each: each[number])
    out = []
    for event in events:
        key = LAST.get(event["event"])
        if key is not None and (follows := last[key, event[key]]) != event:
            out.append(f"{follows['event']} follows {event['event']} of {event[key]}")
    return out


# -- killing -------------------------------------------------------------------------------------------------


def kill(product: Product, victim: str) -> None:
    """Once it is there: who dies young again and again is started ever later."""
    wait_for(lambda: victim in product.children(), SETTLE_S, f"a new {victim}")
    product.kill(victim)


async def kill_some(product: Product, kills: int, chance: random.Random) -> Counter[str]:
    """At random moments, at times while something killed before is not back yet.  How often each was killed.

    In rounds, in each of which everything is killed once.
    """
    victims: Counter[str] = Counter()
    while sum(victims.values()) < kills:
        for victim in chance.sample(VICTIMS, len(VICTIMS)):
            if chance.random() < CALM:
                await asyncio.to_thread(wait_for, product.ready, SETTLE_S, "readiness")
            await asyncio.sleep(chance.uniform(*BETWEEN_KILLS_S))
            await asyncio.to_thread(kill, product, victim)
            victims[victim] += 1
    return victims


async def trial(product: Product, kills: int, seed: int) -> tuple[Ledger, Receiver, Counter[str], list[str]]:
    """The load with so many kills, everything ended, and what is wrong then."""
    server = f"http://127.0.0.1:{product.port}"
    async with Receiver() as receiver, aiohttp.ClientSession(server, timeout=ANSWER) as http:
        hook = receiver.url("/crash")
        app = await App.create(http, ADMIN_KEY, "crash", "a-key-of-the-crash-test", webhook_url=hook)
        receiver.secrets["/crash"] = [app.secret]
        async with Load(app, seed) as load:
            victims = await kill_some(product, kills, random.Random(seed))
            await asyncio.to_thread(wait_for, product.ready, SETTLE_S, "readiness")
            await load.end()
        deadline = asyncio.get_running_loop().time() + SETTLE_S
        while wrong := faults(receiver.log, load.ledger):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(POLL_S)
        return load.ledger, receiver, victims, wrong


def config(folder: Path) -> dict[str, Any]:
    """folder: for recordings."""
    return {
        "workers": 2,
        "webhooks.allow_http": True,
        "webhooks.allow_localhost": True,
        "file_download_networks": ["127.0.0.0/8"],
        "recording_dir": str(folder),
        **AT_ONCE,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--log", default=os.devnull, help="file for the events, a line each")
    given = parser.parse_args()
    print(f"seed {given.seed}")
    with tempfile.TemporaryDirectory() as folder:
        product = Product(**config(Path(folder)))
        try:
            ledger, receiver, victims, wrong = asyncio.run(trial(product, given.kills, given.seed))
        finally:
            product.stop()
    told = Counter(event["event"] for event in receiver.events)
    Path(given.log).write_text("".join(f"{json.dumps(event)}\n" for event in receiver.events))
    print(dict(victims), ledger, f"{len(receiver.log)} deliveries, {dict(told)}", sep="\n")
    for fault in wrong:
        print("BROKEN:", fault)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
