"""Webhook endpoints as records: kept over a restart, their secrets rotated, given up."""

import msgspec
from desk import Desk

from roomtone.control.core import effects as fx
from roomtone.control.core import webhooks
from roomtone.control.core.webhooks import Secret, Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AT_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000


def endpoint(**given: object) -> Webhook:
    known = {"id": "default", "app_id": "app", "url": "https://a.example/", "secrets": (Secret(SECRET),)}
    return msgspec.convert(known | given, Webhook)


def kept(desk: Desk, webhook: Webhook) -> None:
    """As a request would: what a turn of core keeps is written at its end."""
    webhooks.keep(desk.core, webhook)
    desk.rest("conference.create", {"name": webhook.id})


def test_an_endpoint_is_there_again_after_a_restart(desk: Desk) -> None:
    kept(desk, endpoint(id="a", ordering="strict"))
    kept(desk, endpoint(id="b", app_id="other"))
    desk.reboot()
    assert webhooks.of_app(desk.core, "app") == [endpoint(id="a", ordering="strict")]
    assert webhooks.find(desk.core, "app", "b") is None
    webhooks.drop(desk.core, endpoint(id="a"))
    kept(desk, endpoint(id="c"))
    desk.reboot()
    assert [each.id for each in webhooks.of_app(desk.core, "app")] == ["c"]


def test_both_secrets_sign_until_the_old_one_has_run_out() -> None:
    webhook = webhooks.rotated(endpoint(), "whsec_new", AT_US, 3600)
    assert webhook.signing(AT_US + HOUR_US - 1) == ["whsec_new", SECRET]
    assert webhook.signing(AT_US + HOUR_US) == ["whsec_new"]


def test_rotating_again_ends_no_overlap_later_than_it_was_to_end() -> None:
    first = webhooks.rotated(endpoint(), "whsec_2", AT_US, 7200)
    second = webhooks.rotated(first, "whsec_3", AT_US, 3600)
    assert second.signing(AT_US) == ["whsec_3", "whsec_2", SECRET]
    assert second.signing(AT_US + HOUR_US) == ["whsec_3"]


def test_secrets_are_long_and_no_two_are_the_same(desk: Desk) -> None:
    made = {webhooks.fresh_secret(desk.core) for _ in range(3)}
    assert len(made) == 3
    assert all(len(each) == len("whsec_") + 44 for each in made)


def test_an_endpoint_that_was_given_up_stays_disabled_after_a_restart(desk: Desk) -> None:
    kept(desk, endpoint())
    desk.give(fx.WebhookDisabled("app/default", "it answered 410"))
    desk.reboot()
    webhook = webhooks.find(desk.core, "app", "default")
    assert webhook is not None
    assert not webhook.enabled
    assert webhook.disabled_because == "it answered 410"
    assert [log.event for log in desk.logs].count("webhook_disabled") == 1


def test_an_endpoint_that_is_gone_is_not_given_up(desk: Desk) -> None:
    desk.give(fx.WebhookDisabled("app/default", "it answered 410"))
    assert not desk.rows
