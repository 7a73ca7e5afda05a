"""Calls made over REST: their first event, their last, and what stands between."""

import pytest
from calling import command, made, names
from desk import ANSWER, OFFER, Desk

from roomtone.engine import messages as ms


def test_a_call_from_an_offer_is_answered_and_hung_up(desk: Desk) -> None:
    status, reply = desk.rest("session.create", {"sdp": OFFER, "caller_id": "+15551234567", "did": "100"})
    call = reply["session_uuid"]
    assert (status, set(reply)) == (201, {"session_uuid", "endpoint_id", "sdp_answer"})
    assert desk.rest("session.get", session_uuid=call)[1]["state"] == "new"
    status, accepted = command(desk, call, "answer", {"command_uid": "a-1"})
    assert (status, accepted["status"], accepted["timeout_ms"]) == (202, "in_progress", 2000)
    assert desk.rest("session.get", session_uuid=call)[1]["state"] == "answered"
    status, hung_up = command(desk, call, "hangup", {"command_uid": "h-1", "cause": "USER_BUSY"})
    assert status == 202
    assert desk.rest("session.get", session_uuid=call)[0] == 404
    result = {
        "event": "command.result",
        "session_uuid": call,
        "success": True,
        "changed": True,
        "error": None,
    }
    assert desk.told() == [
        {"event": "call.new", "session_uuid": call, "caller_id": "+15551234567", "did": "100"},
        {"event": "call.answered", "session_uuid": call, "command_uid": "a-1", "success": True},
        result | {"command": "answer", "command_uid": "a-1", "operation_id": accepted["operation_id"]},
        result | {"command": "hangup", "command_uid": "h-1", "operation_id": hung_up["operation_id"]},
        {"event": "call.hangup", "session_uuid": call, "hangup_cause": "busy", "cause": "api_hangup"},
    ]
    assert {kind for kind, _ in desk.rows} == {"uid"}
    assert not desk.workers[0].endpoints


def test_a_call_with_our_offer_is_answered_by_its_peer(desk: Desk) -> None:
    _, reply = desk.rest("session.create", {"codecs": ["PCMA"]})
    call = reply["session_uuid"]
    assert "sdp_offer" in reply
    assert command(desk, call, "answer") == (409, {"code": "not_answered", "detail": None})
    assert desk.rest("session.answer", {"sdp": ANSWER}, session_uuid=call) == (
        200,
        {"session_uuid": call, "endpoint_id": reply["endpoint_id"]},
    )
    assert desk.told()[1:] == [{"event": "call.answered", "session_uuid": call}]
    assert desk.rest("session.answer", {"sdp": ANSWER}, session_uuid=call)[1]["code"] == "no_open_offer"
    command(desk, call, "answer")
    assert names(desk, call) == ["call.new", "call.answered", "call.answered", "command.result"]


def test_a_call_that_ends_while_its_answer_is_taken_has_its_last_event_last(desk: Desk) -> None:
    call = desk.rest("session.create", {"codecs": ["PCMA"]})[1]["session_uuid"]
    desk.workers[0].mute.add(ms.UpdateRtp)
    answer = desk.ask("session.answer", {"sdp": ANSWER}, session_uuid=call)
    command(desk, call, "hangup")
    desk.answer_late(0)
    assert desk.reply(answer) == (404, {"code": "session_not_found", "detail": None})
    assert names(desk, call) == ["call.new", "command.result", "call.hangup"]


def test_of_two_answers_at_once_the_first_is_taken(desk: Desk) -> None:
    call = desk.rest("session.create", {"codecs": ["PCMA"]})[1]["session_uuid"]
    desk.workers[0].mute.add(ms.UpdateRtp)
    asked = [desk.ask("session.answer", {"sdp": ANSWER}, session_uuid=call) for _ in range(2)]
    desk.answer_late(0)
    assert [desk.reply(n)[0] for n in asked] == [200, 409]
    assert names(desk, call) == ["call.new", "call.answered"]


def test_a_call_that_was_answered_is_not_answered_again(desk: Desk) -> None:
    call = made(desk)
    command(desk, call, "answer")
    command(desk, call, "answer")
    assert names(desk, call).count("call.answered") == 1
    assert [result["changed"] for result in desk.told("command.result")] == [True, False]


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("NORMAL_CLEARING", "completed"),
        ("CALL_REJECTED", "rejected"),
        ("NO_ANSWER", "no_answer"),
        ("SUBSCRIBER_ABSENT", "unavailable"),
        ("SOMETHING_ELSE", "failed"),
    ],
)
def test_the_cause_of_a_hangup_is_told_coarsely(desk: Desk, cause: str, told: str) -> None:
    command(desk, made(desk), "hangup", {"cause": cause})
    assert desk.told("call.hangup")[0]["hangup_cause"] == told


def test_a_disconnected_call_is_over(desk: Desk) -> None:
    call = made(desk)
    assert command(desk, call, "disconnect")[0] == 202
    assert names(desk, call) == ["call.new", "command.result", "call.hangup"]


@pytest.mark.parametrize("cause", ["normal", "", "A" * 65, "NORMAL\n", "Ä"])
def test_a_cause_that_is_none_is_refused(desk: Desk, cause: str) -> None:
    call = made(desk)
    assert command(desk, call, "hangup", {"cause": cause})[1]["code"] == "validation_error"
    assert names(desk, call) == ["call.new"]


@pytest.mark.parametrize(
    "body",
    [
        {"sdp": "nonsense"},
        {"sdp": OFFER.replace("192.0.2.7", "2001:db8::7").replace("IP4", "IP6")},
        {"direction": "both"},
        {"codecs": ["MP3"]},
        {"hangup_on": ["boredom"]},
        {"caller": "somebody"},
    ],
)
def test_a_call_that_cannot_be_made_leaves_nothing(desk: Desk, body: dict[str, object]) -> None:
    status, reply = desk.rest("session.create", body)
    assert (status, reply["code"]) == (400, "validation_error")
    assert (desk.told(), desk.rows, desk.core.sessions) == ([], {}, {})


def test_a_worker_that_does_not_answer_makes_no_call(desk: Desk) -> None:
    desk.workers[0].mute.add(ms.CreateRtp)
    n = desk.ask("session.create", {"sdp": OFFER})
    desk.advance(6)
    assert desk.reply(n)[:1] == (503,)
    assert (desk.told(), desk.core.sessions) == ([], {})


def test_the_server_takes_no_more_calls_than_it_may() -> None:
    desk = Desk(config="max_sessions = 1")
    made(desk)
    assert desk.rest("session.create", {"sdp": OFFER})[0] == 503


def test_a_call_of_another_app_is_not_touched(desk: Desk) -> None:
    call = made(desk)
    assert command(desk, call, "hangup", app="other") == (403, {"code": "not_owner", "detail": None})
    assert desk.rest("session.get", session_uuid=call)[0] == 200


# -- both doors ----------------------------------------------------------------------------------------------


def test_a_call_made_over_rest_is_attached_to_and_told_of_on_the_websocket(desk: Desk) -> None:
    call = made(desk)
    client = desk.connect("app")
    client.call("session.attach", session_id=call)
    endpoint = client.call("session.info")["endpoints"][0]
    assert (endpoint["endpoint_type"], endpoint["state"]) == ("rtp", "connected")
    command(desk, call, "hangup")
    assert [name["event"] for name in client.events()] == ["command.result", "call.hangup"]
    assert client.refusal("session.info") == "SESSION_GONE"


def test_a_call_made_over_rest_outlives_the_websocket_that_was_attached(desk: Desk) -> None:
    call = made(desk)
    client = desk.connect("app")
    client.call("session.attach", session_id=call.partition("-")[2])
    client.close()
    desk.advance(60)
    assert desk.rest("session.get", session_uuid=call)[0] == 200
    again = desk.connect("app")
    again.call("session.attach", session_id=call.partition("-")[2])


def test_a_session_of_a_websocket_is_commanded_over_rest(desk: Desk) -> None:
    client, session = desk.session("app")
    client.call("endpoint.rtp.create_from_offer", sdp=OFFER)
    assert desk.told() == []
    call = f"{desk.core.node}-{session}"
    assert command(desk, call, "hangup")[0] == 202
    assert names(desk, call) == ["call.new", "call.answered", "command.result", "call.hangup"]
    assert client.refusal("session.info") == "SESSION_GONE"


def test_sessions_of_an_app_that_has_webhooks_are_told_of_from_the_start(desk: Desk) -> None:
    desk.rest("app.put", {"api_key": "0123456789abcdef"}, app="", app_id="app")
    client, session = desk.session("app")
    client.call("endpoint.rtp.create_from_offer", sdp=OFFER)
    client.call("session.destroy")
    call = f"{desk.core.node}-{session}"
    assert desk.told() == [
        {"event": "call.new", "session_uuid": call, "caller_id": "", "did": ""},
        {"event": "call.answered", "session_uuid": call},
        {
            "event": "call.hangup",
            "session_uuid": call,
            "hangup_cause": "completed",
            "cause": "session_destroyed",
        },
    ]
    assert client.events() == []


def test_a_session_of_a_websocket_ends_with_its_lease(desk: Desk) -> None:
    client, session = desk.session("app")
    call = f"{desk.core.node}-{session}"
    client.call("endpoint.rtp.create_from_offer", sdp=OFFER)
    command(desk, call, "answer")
    client.close()
    desk.advance(31)
    assert desk.told("call.hangup") == [
        {"event": "call.hangup", "session_uuid": call, "hangup_cause": "failed", "cause": "control_lost"}
    ]


def test_a_command_while_another_is_open_is_not_overtaken(desk: Desk) -> None:
    """A hangup ends what is open: the client of the WebSocket learns it."""
    client, session = desk.session("app")
    desk.workers[0].mute.add(ms.CreateRtp)
    request = client.send("endpoint.rtp.create_from_offer", sdp=OFFER)
    command(desk, f"{desk.core.node}-{session}", "hangup")
    reply = client.reply(request)
    assert reply is not None
    assert reply["error"]["code"] == "SESSION_GONE"


# -- what ends calls ----------------------------------------------------------------------------------------


def test_a_call_of_which_nothing_is_heard_ends_after_two_minutes(desk: Desk) -> None:
    call = made(desk)
    desk.advance(119)
    assert names(desk, call) == ["call.new"]
    desk.advance(12)
    assert desk.told("call.hangup") == [
        {"event": "call.hangup", "session_uuid": call, "hangup_cause": "failed", "cause": "idle_120s"}
    ]
    assert not desk.workers[0].endpoints
    desk.advance(20)
    assert desk.timers == {}


def test_packets_and_requests_keep_a_call_alive(desk: Desk) -> None:
    call = made(desk)
    desk.workers[0].last_us[call.partition("-")[2]] = desk.now_us + 110_000_000
    desk.advance(200)
    assert desk.rest("session.get", session_uuid=call)[0] == 200
    desk.advance(115)
    assert desk.rest("session.get", session_uuid=call)[0] == 200


def test_what_is_sent_to_a_call_does_not_keep_it_alive(desk: Desk) -> None:
    call = made(desk)
    session = call.partition("-")[2]
    desk.workers[0].last_us[session] = desk.now_us + 1_000_000_000
    desk.workers[0].heard_us[session] = desk.now_us
    desk.advance(131)
    assert [told["cause"] for told in desk.told("call.hangup")] == ["idle_120s"]


def test_a_worker_that_does_not_answer_leaves_the_call(desk: Desk) -> None:
    call = made(desk)
    desk.workers[0].mute.add(ms.GetActivity)
    desk.advance(150)
    assert desk.rest("session.get", session_uuid=call)[0] == 200


def test_a_call_with_a_bound_websocket_is_no_business_of_the_janitor(desk: Desk) -> None:
    call = made(desk)
    client = desk.connect("app")
    client.call("session.attach", session_id=call.partition("-")[2])
    desk.advance(300)
    assert names(desk, call) == ["call.new"]


def test_a_call_whose_worker_dies_has_ended(desk: Desk) -> None:
    call = made(desk)
    desk.kill(0)
    assert desk.told("call.hangup") == [
        {"event": "call.hangup", "session_uuid": call, "hangup_cause": "failed", "cause": "worker_lost"}
    ]


@pytest.mark.parametrize("what", ["rtcp_bye", "media_timeout"])
def test_a_call_ends_with_its_media_only_where_it_was_made_so(desk: Desk, what: str) -> None:
    patient, brief = made(desk), made(desk, hangup_on=[what])
    for call in (patient, brief):
        session = call.partition("-")[2]
        (endpoint,) = desk.core.sessions[session].endpoints
        desk.event(0, ms.ByeReceived(session=session, endpoint=endpoint, ssrcs=[1], reason=None))
        desk.event(0, ms.MediaTimeout(session=session, endpoint=endpoint, duration_ms=5000))
    assert desk.told("call.hangup") == [
        {"event": "call.hangup", "session_uuid": brief, "hangup_cause": "completed", "cause": what}
    ]
    assert desk.rest("session.get", session_uuid=patient)[0] == 200


# -- what is shown -------------------------------------------------------------------------------------------


def test_an_app_lists_its_own_calls_page_by_page(desk: Desk) -> None:
    calls = []
    for number in range(5):
        desk.advance(1)
        calls.append(made(desk, caller_id=str(number)))
    desk.rest("session.create", {"sdp": OFFER}, app="other")
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        _, page = desk.reply(desk.ask("session.list", query={"limit": "2", **cursor}))
        listed += [call["session_uuid"] for call in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert listed == calls
    assert desk.reply(desk.ask("session.list", query={"playback_status": "playing"}))[1]["items"] == []


def test_a_call_in_a_room_says_so(desk: Desk) -> None:
    call = made(desk)
    command(desk, call, "answer")
    room = desk.rest("conference.create", {"name": "r"})[1]["room_id"]
    command(desk, call, "conference/join", {"room_id": room, "muted": True})
    shown = desk.rest("session.get", session_uuid=call)[1]
    assert (shown["room_id"], shown["muted"]) == (room, True)
    command(desk, call, "hangup")
    assert names(desk, call)[-3:] == ["command.result", "conference.member.left", "call.hangup"]


# -- a restart of control ------------------------------------------------------------------------------------


def test_a_call_outlives_a_restart_of_control(desk: Desk) -> None:
    call = made(desk, metadata={"who": "Anna"}, did="100")
    command(desk, call, "answer")
    before = desk.rest("session.get", session_uuid=call)[1]
    desk.reboot()
    after = desk.rest("session.get", session_uuid=call)[1]
    assert after == before
    desk.advance(60)
    command(desk, call, "hangup")
    assert names(desk, call)[-2:] == ["command.result", "call.hangup"]
    assert names(desk, call).count("call.new") == 1


def test_a_call_that_no_worker_holds_after_a_restart_has_ended(desk: Desk) -> None:
    call = made(desk)
    desk.workers[0].endpoints.clear()
    desk.reboot()
    assert desk.told("call.hangup") == [
        {"event": "call.hangup", "session_uuid": call, "hangup_cause": "failed", "cause": "restart"}
    ]
    assert desk.rows == {}


def test_a_session_is_named_over_rest_as_its_websocket_knows_it(desk: Desk) -> None:
    _, session = desk.session("app")
    assert desk.rest("session.get", session_uuid=session)[1]["session_uuid"] == f"{desk.core.node}-{session}"


def test_a_session_of_another_node_is_not_attached(desk: Desk) -> None:
    _, made = desk.rest("session.create", {"sdp": OFFER})
    foreign = f"Other-{made['session_uuid'].partition('-')[2]}"
    assert desk.connect("app").refusal("session.attach", session_id=foreign) == "SESSION_NOT_FOUND"
