"""Apps of the administrator and webhook endpoints of the apps, in core."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from desk import OFFER, Desk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from roomtone.control.core import webhooks
from roomtone.control.core.rest.operations import OPERATIONS
from roomtone.control.core.rest.store_questions import DeliveryDetails, FindDelivery, Resend
from roomtone.control.core.rest.webhook_events import EVENTS

KEY = {"api_key": "0123456789abcdef"}
HOOK = {"url": "https://hooks.example/in"}


def put(desk: Desk, app_id: str = "app", **settings: Any) -> tuple[int, Any]:
    return desk.rest("app.put", {**KEY, **settings}, app="", app_id=app_id)


# -- apps ----------------------------------------------------------------------------------------------------


def test_an_app_has_a_webhook_whose_secret_stays_when_it_is_overwritten(desk: Desk) -> None:
    status, made = put(desk, webhook_url=HOOK["url"], events=["conference.created"])
    assert status == 201 and made["webhook_secret"].startswith("whsec_")
    assert put(desk) == (200, made)
    assert desk.rest("app.get", app="", app_id="app")[1]["webhook_url"] == ""
    again = desk.rest("webhook.get", endpoint_id="default")[1]
    assert (again["url"], again["events"]) == ("", []) and "secret" not in again


def test_the_key_of_an_app_is_nowhere_kept(desk: Desk) -> None:
    put(desk)
    assert all(KEY["api_key"].encode() not in body for body in desk.rows.values())
    desk.reboot()
    assert desk.core.apps["app"].has_key(KEY["api_key"])
    assert not desk.core.apps["app"].has_key(KEY["api_key"] + "0")


def test_an_app_with_rooms_or_calls_goes_by_force_only(desk: Desk) -> None:
    put(desk)
    put(desk, "other")
    desk.rest("conference.create", {"name": "r"})
    desk.rest("session.create", {"sdp": OFFER})
    kept = desk.rest("conference.create", {"name": "r"}, app="other")[1]["room_id"]
    refused = desk.rest("app.delete", app="", app_id="app")
    assert refused == (409, {"code": "app_in_use", "detail": {"rooms": 1, "sessions": 1}})
    n = desk.ask("app.delete", app="", app_id="app", query={"force": "true"})
    assert desk.reply(n) == (200, {"app_id": "app", "status": "deleted"})
    assert list(desk.core.rooms) == [kept] and not desk.core.sessions
    assert desk.rest("app.get", app="", app_id="app")[1]["code"] == "app_not_found"
    assert {id for kind, id in desk.rows if kind in ("app", "webhook")} == {"other", "other/default"}
    assert desk.told("conference.destroyed") and desk.told("call.hangup")


@pytest.mark.parametrize("app_id", ["a b", "a" * 65, "ä", "a\n"])
def test_the_name_of_an_app_has_a_form(desk: Desk, app_id: str) -> None:
    assert put(desk, app_id)[1]["code"] == "invalid_app_id"


# -- webhook endpoints ---------------------------------------------------------------------------------------


def test_an_endpoint_is_made_changed_listed_and_removed(desk: Desk) -> None:
    n = desk.ask("webhook.create", {**HOOK, "events": ["conference.created"], "ordering": "strict"})
    status, made = desk.reply(n)
    id, secret = made["id"], made.pop("secret")
    assert status == 201 and secret.startswith("whsec_")
    assert desk.replies[n].headers == (("Location", f"/api/v1/webhooks/endpoints/{id}"),)
    assert desk.rest("webhook.get", endpoint_id=id) == (200, made)
    changed = desk.rest("webhook.change", {"description": "mine", "events": []}, endpoint_id=id)[1]
    assert changed == made | {"description": "mine", "events": []}
    assert desk.rest("webhook.list")[1] == {"items": [changed], "next_cursor": None}
    assert desk.rest("webhook.delete", endpoint_id=id)[0] == 200
    assert desk.rest("webhook.get", endpoint_id=id)[1]["code"] == "endpoint_not_found"


def test_after_a_rotation_both_secrets_sign_for_a_while(desk: Desk) -> None:
    made = desk.rest("webhook.create", HOOK)[1]
    rotated = desk.rest("webhook.rotate_secret", {"overlap_s": 60}, endpoint_id=made["id"])[1]
    webhook = webhooks.find(desk.core, "app", made["id"])
    assert webhook is not None
    now_us = desk.core.epoch_ms() * 1000
    assert webhook.signing(now_us) == [rotated["secret"], made["secret"]]
    assert webhook.signing(now_us + 60_000_000) == [rotated["secret"]]


def test_an_endpoint_that_is_asked_to_signs_with_a_key_of_its_own_too(desk: Desk) -> None:
    plain = desk.rest("webhook.create", HOOK)[1]
    assert (plain["asymmetric"], plain["public_key"]) == (False, "")
    made = desk.rest("webhook.create", {**HOOK, "asymmetric": True})[1]
    id, public = made["id"], made["public_key"]
    assert public.startswith("whpk_") and len(public) == len("whpk_") + 44

    def signing(at_us: int) -> list[str]:
        webhook = webhooks.find(desk.core, "app", id)
        assert webhook is not None
        return [secret.partition("_")[0] for secret in webhook.signing(at_us)]

    now_us = desk.core.epoch_ms() * 1000
    assert signing(now_us) == ["whsec", "whsk"]
    assert "whsk_" not in str(desk.rest("webhook.get", endpoint_id=id))
    rotated = desk.rest("webhook.rotate_secret", {"overlap_s": 60}, endpoint_id=id)[1]
    assert rotated["public_key"] not in ("", public)
    assert signing(now_us) == ["whsec", "whsk"] * 2 and signing(now_us + 60_000_000) == ["whsec", "whsk"]
    desk.reboot()
    assert desk.rest("webhook.get", endpoint_id=id)[1]["public_key"] == rotated["public_key"]
    assert desk.rest("webhook.change", {"asymmetric": False}, endpoint_id=id)[1]["public_key"] == ""
    assert signing(now_us) == ["whsec", "whsec"]
    assert desk.rest("webhook.change", {"asymmetric": True}, endpoint_id=id)[1]["asymmetric"]
    assert signing(now_us) == ["whsec", "whsk", "whsec"]


def test_a_disabled_endpoint_is_enabled_again(desk: Desk) -> None:
    id = desk.rest("webhook.create", HOOK)[1]["id"]
    webhook = webhooks.find(desk.core, "app", id)
    assert webhook is not None
    webhooks.keep(desk.core, msgspec.structs.replace(webhook, enabled=False, disabled_because="410 Gone"))
    assert desk.rest("webhook.get", endpoint_id=id)[1]["disabled_because"] == "410 Gone"
    enabled = desk.rest("webhook.enable", endpoint_id=id)[1]
    assert enabled["enabled"] and enabled["disabled_because"] == ""


def test_what_went_to_an_endpoint_that_is_gone_is_not_sent_again(desk: Desk) -> None:
    id = desk.rest("webhook.create", HOOK)[1]["id"]
    sent = DeliveryDetails(
        id="dlv_1", event="call.new", event_id="evt_x_1", endpoint_id=id, room_id=None, session_uuid=None,
        status="delivered", late=False, attempts=1, created_at="", next_attempt_at=None, tries=[],
    )  # fmt: skip
    desk.said = {FindDelivery: sent, Resend: sent}
    assert desk.rest("delivery.retry", delivery_id="dlv_1")[0] == 200
    desk.rest("webhook.delete", endpoint_id=id)
    assert desk.rest("delivery.retry", delivery_id="dlv_1")[1]["code"] == "endpoint_not_found"


@pytest.mark.parametrize("cursor", ["", "dlv_", "dlv_g", "dlv_ffffffffffffffff", "dlv_-1", "1"])
def test_a_cursor_of_deliveries_is_one_of_ours(desk: Desk, cursor: str) -> None:
    n = desk.ask("delivery.list", query={"cursor": cursor})
    assert desk.reply(n)[1]["code"] == "validation_error"


def test_an_app_has_so_many_endpoints(desk: Desk) -> None:
    statuses = [desk.rest("webhook.create", HOOK)[0] for _ in range(21)]
    assert statuses == [201] * 20 + [409]


BAD_URLS = [
    "", "ftp://hooks.example/", "http://hooks.example/", "https://", "https:///path", "hooks.example",
    "https://127.0.0.1/", "https://[::1]/", "https://10.1.2.3/", "https://169.254.169.254/", "https://localhost/",
    "https://a.localhost./", "https://[::ffff:10.0.0.1]/", "https://u:p@hooks.example/", "https://h.example:99999/",
    "https://h.example/\n", "https://h.example/a b", "https://hé.example/",
    "https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD_URLS)
def test_where_a_webhook_may_not_go(desk: Desk, url: str) -> None:
    assert desk.rest("webhook.create", {"url": url})[1]["code"] == "validation_error"
    id = desk.rest("webhook.create", HOOK)[1]["id"]
    assert desk.rest("webhook.change", {"url": url}, endpoint_id=id)[0] == 400
    if url:
        assert put(desk, webhook_url=url)[0] == 400


def test_configuration_lets_webhooks_go_where_they_otherwise_may_not() -> None:
    desk = Desk(config="[webhooks]\nallow_http = true\nallow_localhost = true")
    for host in ("127.0.0.1:8080", "[::1]", "localhost"):
        assert desk.rest("webhook.create", {"url": f"http://{host}/in"})[0] == 201
    for private in ("10.1.2.3", "169.254.169.254", "[fd00::1]"):
        assert desk.rest("webhook.create", {"url": f"http://{private}/in"})[1]["code"] == "validation_error"


def test_receivers_in_networks_of_ones_own_are_permitted_by_their_numbers() -> None:
    desk = Desk(config='[webhooks]\nallow_networks = ["10.20.0.0/16", "fd00:1::/32"]')
    for host in ("10.20.1.2", "[fd00:1::5]:8443", "[::ffff:10.20.1.2]"):
        assert desk.rest("webhook.create", {"url": f"https://{host}/in"})[0] == 201, host
    for other in (
        "10.21.0.1",
        "[fd00:2::5]",
        "127.0.0.1",
        "localhost",
        "[::ffff:10.21.0.1]",
        "[64:ff9b::a00:1]",
    ):
        assert desk.rest("webhook.create", {"url": f"https://{other}/in"})[0] == 400, other


def test_a_mistyped_event_is_not_silently_nothing(desk: Desk) -> None:
    n = desk.ask("webhook.create", {**HOOK, "events": ["conference.created", "conference.create"]})
    refusal = desk.replies[n].refusal
    assert refusal is not None and [fault.pointer for fault in refusal.faults] == ["/events/1"]
    assert {"conference.created", "call.new", "command.result"} <= set(EVENTS)


# -- tenancy -------------------------------------------------------------------------------------------------


class TwoApps(RuleBasedStateMachine):
    """Two apps do whatever they like; neither ever sees or touches what is the other's."""

    @initialize()
    def begin(self) -> None:
        self.desk = Desk()
        self.owned: dict[str, dict[str, set[str]]] = {
            app: {"room": set(), "session": set(), "endpoint": set(), "operation": set()}
            for app in ("one", "two")
        }

    apps = st.sampled_from(["one", "two"])

    @rule(app=apps, name=st.sampled_from(["r", "s"]))
    def make_a_room(self, app: str, name: str) -> None:
        status, told = self.desk.rest("conference.create", {"name": name}, app=app)
        room_id = told["room_id"] if status == 201 else told["detail"]["room_id"]
        self.owned[app]["room"].add(room_id)

    @rule(app=apps)
    def make_a_call(self, app: str) -> None:
        self.owned[app]["session"].add(
            self.desk.rest("session.create", {"sdp": OFFER}, app=app)[1]["session_uuid"]
        )

    @rule(app=apps)
    def make_an_endpoint(self, app: str) -> None:
        status, told = self.desk.rest("webhook.create", HOOK, app=app)
        if status == 201:
            self.owned[app]["endpoint"].add(told["id"])

    @rule(app=apps, data=st.data())
    def reach_for_the_others(self, app: str, data: st.DataObject) -> None:
        other = self.owned["two" if app == "one" else "one"]
        reaches = [
            ("conference.get", "room_id", "room"),
            ("conference.delete", "room_id", "room"),
            ("session.get", "session_uuid", "session"),
            ("command.hangup", "session_uuid", "session"),
            ("webhook.get", "endpoint_id", "endpoint"),
            ("webhook.delete", "endpoint_id", "endpoint"),
            ("webhook.rotate_secret", "endpoint_id", "endpoint"),
            ("operation.get", "operation_id", "operation"),
        ]
        operation, name, kind = data.draw(st.sampled_from(reaches))
        if other[kind]:
            id = data.draw(st.sampled_from(sorted(other[kind])))
            assert self.desk.rest(operation, app=app, **{name: id})[0] in (403, 404)

    @rule(app=apps, data=st.data())
    def use_ones_own(self, app: str, data: st.DataObject) -> None:
        mine = self.owned[app]["session"]
        if mine:
            uuid = data.draw(st.sampled_from(sorted(mine)))
            status, told = self.desk.rest("command.hangup", app=app, session_uuid=uuid)
            assert status == 202
            self.owned[app]["operation"].add(told["operation_id"])
            mine.discard(uuid)

    @invariant()
    def everything_is_there_and_ones_own(self) -> None:
        if not hasattr(self, "desk"):
            return
        for app, owned in self.owned.items():
            for room_id in owned["room"]:
                assert self.desk.rest("conference.get", app=app, room_id=room_id)[1]["app_id"] == app
            listed = self.desk.rest("webhook.list", app=app)[1]["items"]
            assert {item["id"] for item in listed} == owned["endpoint"]
            for event in self.desk.published:
                if event.app_id == app and event.session_uuid is not None:
                    assert event.session_uuid not in self.owned["two" if app == "one" else "one"]["session"]


TwoApps.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestTwoApps = TwoApps.TestCase


def test_no_operation_reaches_what_is_anothers(desk: Desk) -> None:
    room = desk.rest("conference.create", {"name": "r"})[1]["room_id"]
    session = desk.rest("session.create", {"sdp": OFFER})[1]["session_uuid"]
    desk.rest("command.answer", session_uuid=session)
    desk.rest("command.conference/join", {"room_id": room}, session_uuid=session)
    before = len(desk.published)
    tried = 0
    for name, operation in OPERATIONS.items():
        if "{room_id}" in operation.path or "{session_uuid}" in operation.path:
            path = dict.fromkeys(re.findall(r"\{(\w+)\}", operation.path), session) | {"room_id": room}
            named = {key: value for key, value in path.items() if f"{{{key}}}" in operation.path}
            status, told = desk.rest(name, app="other", **named)
            assert (status, told["code"]) == (403, "not_owner"), name
            tried += 1
    assert tried > 30 and len(desk.published) == before
    joined = desk.rest("session.create", {"sdp": OFFER}, app="other")[1]["session_uuid"]
    desk.rest("command.answer", app="other", session_uuid=joined)
    desk.rest("command.conference/join", {"room_id": room}, app="other", session_uuid=joined)
    result = desk.told("command.result")[-1]
    assert result["session_uuid"] == joined and result["command"] == "conference/join"
    assert not result["success"] and result["error"] in ("not_owner", "room_not_found")
    for name in ("conference.list", "session.list", "webhook.list"):
        items = desk.rest(name, app="other")[1]["items"]
        assert room not in str(items) and session not in str(items)
    assert desk.rest("conference.get", room_id=room)[1]["member_count"] == 1
