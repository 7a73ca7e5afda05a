"""What became of events, as an app learns it over REST: deliveries, attempts, sending again, pulling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from demo_parts.receiver import Manner, Receiver
from product import Product
from rest import Api, Reply

OPEN = {"allow_http": True, "allow_localhost": True}
WITHIN_S = 10.0


def served(serve: Callable[..., Product]) -> Product:
    return serve(workers=1, **{f"webhooks.{key}": value for key, value in OPEN.items()})


async def ask(api: Api, *args: Any, **more: Any) -> Reply:
    return await asyncio.to_thread(api, *args, **more)


async def until(api: Api, path: str, condition: Callable[[Any], bool]) -> Any:
    """The body of a GET when the condition holds for it."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            reply = await ask(api, "GET", path)
            assert reply.status == 200, reply
            if condition(reply.body):
                return reply.body
            await asyncio.sleep(0.05)


def test_deliveries_are_listed_shown_sent_again_and_pulled(serve: Callable[..., Product]) -> None:
    product = served(serve)

    async def body() -> None:
        async with Receiver() as receiver:
            api = await asyncio.to_thread(product.api, webhook_url=receiver.url("/in"))
            other = await asyncio.to_thread(product.api, "other")
            receiver.secrets["/in"] = [api.secret]
            room = (await ask(api, "POST", "/conferences", {"name": "r"}, X_Request_Id="req-1")).body[
                "room_id"
            ]
            await receiver.wait_for("conference.created")

            listed = await until(
                api, "/webhooks/deliveries?status=delivered", lambda page: len(page["items"]) == 1
            )
            (delivery,) = listed["items"]
            assert delivery["event"] == "conference.created" and delivery["room_id"] == room
            shown = (await ask(api, "GET", f"/webhooks/deliveries/{delivery['id']}")).body
            assert [(each["number"], each["status"]) for each in shown["tries"]] == [(1, 200)]
            assert (await ask(other, "GET", f"/webhooks/deliveries/{delivery['id']}")).status == 404
            assert (await ask(other, "GET", "/webhooks/deliveries")).body["items"] == []

            assert (await ask(api, "POST", f"/webhooks/deliveries/{delivery['id']}/retry")).status == 200
            await until(api, f"/webhooks/deliveries/{delivery['id']}", lambda it: len(it["tries"]) == 2)
            again = await ask(api, "POST", "/webhooks/replay", {"room_id": room})
            assert again.status == 202
            await until(
                api, f"/operations/{again.body['operation_id']}", lambda it: it["status"] == "completed"
            )
            await until(api, f"/webhooks/deliveries/{delivery['id']}", lambda it: len(it["tries"]) == 3)
            assert len({each.webhook_id for each in receiver.log}) == 1
            assert len({each.body for each in receiver.log}) == 1

            await ask(api, "DELETE", f"/conferences/{room}")
            pulled = (await ask(api, "GET", f"/events?room_id={room}")).body["items"]
            assert [each["event"] for each in pulled] == ["conference.created", "conference.destroyed"]
            assert pulled[0]["request_id"] == "req-1"
            behind = (await ask(api, "GET", f"/events?room_id={room}&after=1")).body["items"]
            assert behind == pulled[1:]
            assert (await ask(other, "GET", f"/events?room_id={room}")).body["items"] == []
            assert (await ask(api, "GET", "/events")).status == 400

    asyncio.run(body())


def test_an_endpoint_is_tried_out(serve: Callable[..., Product]) -> None:
    product = served(serve)

    async def body() -> None:
        async with Receiver() as receiver:
            api = await asyncio.to_thread(product.api)
            assert (await ask(api, "POST", "/webhooks/endpoints/default/test")).body[
                "code"
            ] == "endpoint_disabled"
            made = (await ask(api, "POST", "/webhooks/endpoints", {"url": receiver.url("/in")})).body
            receiver.secrets["/in"] = [made["secret"]]
            path = f"/webhooks/endpoints/{made['id']}/test"
            tried = (await ask(api, "POST", path)).body
            assert (tried["event"], tried["tries"][0]["status"]) == ("webhook.test", 200)
            assert receiver.named("webhook.test", endpoint_id=made["id"])
            receiver.manner = lambda path, event: Manner(status=500)
            tried = (await ask(api, "POST", path)).body
            assert (tried["status"], tried["tries"][0]["status"]) == ("pending", 500)

    asyncio.run(body())
