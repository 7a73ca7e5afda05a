"""Events as webhooks get them: numbers, ids, the four forms, and the bound of a body."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from writing import NODE, event, row, webhook

from roomtone.control.core import outbox as outbox_module
from roomtone.control.core.api import EventData
from roomtone.control.core.committing import Published
from roomtone.control.core.outbox import MAX_BODY_BYTES, Lanes, Outbox, event_id
from roomtone.control.core.rooms.events import Created, Joined

AT_US = 1_785_936_000_123_456


class Played(EventData):
    NAME: ClassVar[str] = "conference.play.started"
    room_id: str
    urls: list[str]
    operation_id: str


def fresh(*webhooks: Any, numbers: dict[str, int] | None = None) -> Outbox:
    outbox = Outbox(NODE, Lanes(lambda lane: (numbers or {}).get(lane, 0)), 0x41)
    for each in webhooks:
        outbox.webhook(row(each))
    outbox.committed()
    return outbox


def test_lanes_not_used_for_long_are_looked_up_again_and_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "LANES_KEPT", 2)
    disk: dict[str, int] = {}
    looked_up: list[str] = []

    def load(lane: str) -> int:
        looked_up.append(lane)
        return disk.get(lane, 0)

    lanes = Lanes(load)
    given = []
    for lane in "abacaba":
        given.append((lane, lanes.next(lane)))
        disk.update(lanes.changed())
        lanes.committed()
    assert given == [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("a", 3), ("b", 2), ("a", 4)]
    assert looked_up == ["a", "b", "c", "b"]  # "a" is the busy one


def bodies(outbox: Outbox, published: Published) -> list[dict[str, Any]]:
    return [json.loads(each.body) for each in outbox.record(published)[1]]


def body(outbox: Outbox, published: Published) -> dict[str, Any]:
    (one,) = bodies(outbox, published)
    return one


def joined(room: str, session: str) -> Published:
    return event(room, session, data=Joined(session, room, "+1", "app", 1, False, ""), at_us=AT_US)


def test_a_flat_body_has_the_documented_keys_first_and_ours_behind_them() -> None:
    published = event("r1", at_us=AT_US, data=Created("app", "r1", "Team Standup"), request_id="req-9")
    assert list(body(fresh(webhook()), published).items()) == [
        ("event", "conference.created"),
        ("app_id", "app"),
        ("room_id", "r1"),
        ("name", "Team Standup"),
        ("id", "evt_acW68_000000000042"),
        ("timestamp", "2026-08-05T13:20:00.123Z"),
        ("sequence", 1),
        ("source_sequence", 1),
        ("room_sequence", 1),
        ("node", "acW68"),
        ("request_id", "req-9"),
    ]


def test_an_event_of_a_session_in_a_room_counts_in_both_lanes() -> None:
    outbox = fresh(webhook())
    bodies(outbox, event("r1"))
    told = body(outbox, joined("r1", "s1"))
    assert (told["sequence"], told["session_sequence"], told["room_sequence"]) == (1, 1, 2)


def test_what_an_endpoint_does_not_want_leaves_no_gap_in_its_sequence() -> None:
    outbox = fresh(webhook(id="some", events=("conference.created",)), webhook(id="all"))
    assert [len(bodies(outbox, each)) for each in (event("r"), played("r"), event("r"))] == [2, 1, 2]
    some, all_of_them = bodies(outbox, event("r"))
    assert (some["sequence"], some["source_sequence"]) == (3, 4)
    assert (all_of_them["sequence"], all_of_them["source_sequence"]) == (4, 4)


def played(room: str, urls: list[str] | None = None) -> Published:
    return event(
        room, data=Played(room, ["https://a.example/a.wav"] if urls is None else urls, "op"), at_us=AT_US
    )


def test_lanes_go_on_from_where_they_were() -> None:
    outbox = fresh(webhook(), numbers={"room:r": 7, "app/default room:r": 3})
    told = body(outbox, event("r"))
    assert (told["room_sequence"], told["sequence"]) == (8, 4)


def test_what_is_rolled_back_was_never_numbered() -> None:
    outbox = fresh(webhook())
    first = body(outbox, event("r", at_us=AT_US))
    outbox.webhook(row(webhook(id="second")))
    outbox.rolled_back()
    assert body(outbox, event("r", at_us=AT_US)) == first


@pytest.mark.parametrize(
    "not_sent",
    [webhook(enabled=False), webhook(url=""), webhook(app_id="other"), webhook(events=("call.new",))],
)
def test_who_gets_nothing(not_sent: Any) -> None:
    assert bodies(fresh(not_sent), event("r")) == []


def test_an_endpoint_that_was_removed_gets_nothing_more() -> None:
    outbox = fresh(webhook())
    outbox.webhook(row(webhook(), gone=True))
    assert bodies(outbox, event("r")) == []


def test_an_event_for_one_endpoint_reaches_it_whatever_it_wants() -> None:
    outbox = fresh(webhook(id="a", events=("call.new",)), webhook(id="b"))
    published = event(data=Played("", [], ""), webhook="app/a")
    assert [each.webhook for each in outbox.record(published)[1]] == ["app/a"]


def test_enveloped() -> None:
    told = body(fresh(webhook(payload_style="enveloped")), joined("r", "s"))
    assert list(told)[:5] == ["event", "session_uuid", "room_id", "sequence", "data"]
    assert told["data"]["caller_id"] == "+1"
    assert told["id"] and told["sequence"] == 1


def test_standard() -> None:
    told = body(fresh(webhook(payload_style="standard")), joined("r", "s"))
    assert list(told) == ["type", "timestamp", "data"]
    assert told["data"]["session_uuid"] == "s" and told["data"]["sequence"] == 1


def test_cloudevents() -> None:
    told = body(fresh(webhook(payload_style="cloudevents")), joined("r", "s"))
    assert {name: told[name] for name in ("specversion", "source", "type", "subject", "sequence")} == {
        "specversion": "1.0",
        "source": "/nodes/acW68",
        "type": "conference.member.joined",
        "subject": "s",
        "sequence": "1",
    }
    assert told["id"] == told["data"]["id"]


def test_an_event_of_no_lane_has_no_sequence() -> None:
    told = body(fresh(webhook()), event(data=Played("", [], "")))
    assert not [name for name in told if "sequence" in name]


@given(st.lists(st.text(min_size=1, max_size=2048), max_size=128), st.sampled_from(["flat", "cloudevents"]))
def test_a_body_stays_within_its_bound_and_says_what_was_cut(urls: list[str], style: str) -> None:
    outbox = fresh(webhook(payload_style=style))
    record, (delivery,) = outbox.record(played("acW68-room-" + "x" * 36, urls))
    assert len(record.body) <= len(delivery.body) + 200 and len(delivery.body) <= MAX_BODY_BYTES
    told = json.loads(record.body)
    assert told["urls"] == urls[: len(told["urls"])]
    assert told.get("urls_truncated", False) == (len(told["urls"]) < len(urls))


def test_ids_can_stand_in_the_signed_content() -> None:
    assert "." not in event_id(NODE, 2**48 - 1)
