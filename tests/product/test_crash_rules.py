"""Whatever is killed, the webhooks tell a story that is whole, in order, and told once (crash_rules)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from crash_load import Ledger
from crash_rules import VICTIMS, config, faults, trial
from demo_parts.receiver import Delivery
from product import Product

KILLS = 20
SEED = 20262
ENOUGH = 5  # plays, calls, rooms: less, and the load has not done its work


@pytest.mark.process
@pytest.mark.timeout(400)
def test_nothing_is_lost_told_twice_or_out_of_order_when_processes_are_killed(
    serve: Callable[..., Product], tmp_path: Path
) -> None:
    product = serve(**config(tmp_path))
    ledger, receiver, victims, wrong = asyncio.run(trial(product, KILLS, SEED))
    assert wrong == [], f"{ledger}\n{product.log[-3000:]}"
    assert receiver.refused == []
    assert set(victims) == set(VICTIMS)
    assert min(len(ledger.plays), len(ledger.calls), len(ledger.destroyed)) >= ENOUGH, str(ledger)


# -- the rules notice ---------------------------------------------------------------------------------------


ROOM, CALL, PLAY = "n-room-1", "n-1", "op-play"


def story() -> list[dict[str, Any]]:
    """A whole one: a room, a call in it, a play."""
    room = {"room_id": ROOM}
    both = {"room_id": ROOM, "session_uuid": CALL}
    play = {"room_id": ROOM, "play_operation_id": PLAY}
    told = [
        {"event": "conference.created", **room},
        {"event": "call.new", "session_uuid": CALL},
        {"event": "conference.member.joined", **both},
        {"event": "command.result", "session_uuid": CALL, "command_uid": "1", "operation_id": "op-join"}
        | {"command": "conference/join", "success": True},
        {"event": "conference.play.started", **play, "operation_id": PLAY},
        {"event": "conference.play.paused", **play, "operation_id": "op-pause"},
        {"event": "conference.play.finished", **play, "operation_id": PLAY},
        {"event": "playback.started", "session_uuid": CALL, "command_uid": "hello"},
        {"event": "playback.stopped", "session_uuid": CALL, "command_uid": "hello"},
        {"event": "conference.member.left", **both},
        {"event": "conference.destroyed", **room},
        {"event": "call.hangup", "session_uuid": CALL},
    ]
    numbers = {"room_id": 0, "session_uuid": 0}
    for event in told:
        for key in numbers:
            if key in event:
                numbers[key] += 1
                event[key.split("_")[0] + "_sequence"] = numbers[key]
    return told


def log(events: list[dict[str, Any]]) -> list[Delivery]:
    seen: set[str] = set()
    out = []
    for event in events:
        id = f"evt_{event['event']}_{event.get('room_sequence')}_{event.get('session_sequence')}"
        headers = MappingProxyType({"webhook-id": id} | event.get("headers", {}))
        body = str(event).encode()
        out.append(Delivery(0.0, "/crash", headers, body, event, accepted=True, again=id in seen))
        seen.add(id)
    return out


def promised() -> Ledger:
    return Ledger(
        rooms={ROOM},
        destroyed={ROOM},
        calls={CALL},
        plays={PLAY},
        commands={"op-join": "conference/join"},
        room_commands={"op-pause": "pause"},
    )


def test_a_whole_story_breaks_no_rule_even_if_told_twice() -> None:
    told = story()
    assert faults(log(told), promised()) == []
    assert faults(log([each for event in told for each in (event, event)]), promised()) == []


def renumbered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As if it had happened so: without gaps."""
    for key in ("room", "session"):
        of_lane = [event for event in events if f"{key}_sequence" in event]
        for number, event in enumerate(of_lane, 1):
            event[f"{key}_sequence"] = number
    return events


@pytest.mark.parametrize("missing", range(12))
def test_an_event_that_did_not_come_is_missed(missing: int) -> None:
    told = story()
    del told[missing]
    assert faults(log(told), promised()) != []


@pytest.mark.parametrize("missing", [0, 1, 3, 5, 6, 8, 9, 10, 11])
def test_an_event_that_never_was_is_missed(missing: int) -> None:
    told = story()
    del told[missing]
    assert faults(log(renumbered(told)), promised()) != []


@pytest.mark.parametrize("of_each", [(1, 0), (0, 1), (1, 2)])
def test_a_recording_of_a_room_begins_once_and_ends_once(of_each: tuple[int, int]) -> None:
    def recorded(*counts: int) -> list[Delivery]:
        told = story()
        for what, count in zip(("stopped", "started"), reversed(counts), strict=True):
            event = {"event": f"conference.recording.{what}", "room_id": ROOM, "recording_id": "r"}
            told[4:4] = [event | {"room_sequence": 0} for _ in range(count)]
        return log(renumbered(told))

    ledger = promised()
    ledger.recordings.add("r")
    assert faults(recorded(1, 1), ledger) == []
    assert faults(recorded(*of_each), ledger) != []


@pytest.mark.parametrize("twice", [1, 2, 3, 4, 6, 7, 8, 9, 10, 11])
def test_what_happened_twice_is_noticed(twice: int) -> None:
    told = story()
    told.insert(twice, dict(told[twice]))
    assert faults(log(renumbered(told)), promised()) != []


def test_a_change_of_order_is_noticed_unless_it_is_marked_as_late() -> None:
    told = story()
    told[4], told[5] = told[5], told[4]
    assert len(faults(log(told), promised())) == 1
    told[5]["headers"] = {"webhook-late": "true"}
    assert faults(log(told), promised()) == []


def test_an_event_that_is_another_the_second_time_is_noticed() -> None:
    told = story()
    told.append(told[0] | {"name": "another"})
    assert len(faults(log(told), promised())) == 1


@pytest.mark.parametrize("event", ["conference.member.muted", "conference.play.volume_changed"])
def test_something_after_the_last_event_is_noticed(event: str) -> None:
    told = story()
    told.append({"event": event, "room_id": ROOM, "session_uuid": CALL, "operation_id": "x"})
    told[-1] |= {"room_sequence": 8, "session_sequence": 8}
    assert [fault for fault in faults(log(told), promised()) if "follows" in fault] != []
