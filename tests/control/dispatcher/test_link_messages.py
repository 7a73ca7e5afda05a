"""The longest messages between control and dispatcher fit into a datagram."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from roomtone.control.core.webhooks import key
from roomtone.control.dispatcher.messages import (
    ATTEMPTS_A_MESSAGE,
    FIGURES_A_MESSAGE,
    KEYS_A_MESSAGE,
    LATE,
    MOVED_A_MESSAGE,
    Attempt,
    Disabled,
    Figures,
    Look,
    Report,
    WebhookFigures,
)
from roomtone.control.dispatcher.schedule import Meaning
from roomtone.control.dispatcher.sender import HEAD_BYTES
from roomtone.engine.supervisor_link import DATAGRAM_BYTES

BIG = 2**62
KEY = key("a" * 64, "0" * 36)  # an app's id and a UUID
ATTEMPT = Attempt(BIG, BIG, BIG, 599, BIG, "e" * 200, b"\xff" * HEAD_BYTES, LATE, BIG, BIG)
COUNTED = WebhookFigures(KEY, {each.value: BIG for each in Meaning}, 1, BIG, BIG)


@pytest.mark.parametrize(
    "message",
    [
        Look([KEY] * KEYS_A_MESSAGE),
        Report(BIG, [ATTEMPT] * ATTEMPTS_A_MESSAGE, [(BIG, LATE, BIG, BIG)] * MOVED_A_MESSAGE),
        Disabled(KEY, "r" * 200),
        Figures([COUNTED] * FIGURES_A_MESSAGE, [BIG] * 14, BIG, BIG, BIG, True),
    ],
    ids=lambda message: type(message).__name__,
)
def test_it_fits(message: Any) -> None:
    assert len(msgspec.msgpack.encode(message)) <= DATAGRAM_BYTES
