"""Signatures: the vector of Standard Webhooks, and what a receiver's own code makes of them."""

import pytest
from demo_parts.signature import NotGenuine, verify

from roomtone.control.dispatcher.signature import signatures

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT_S = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
BODY = b'{"test": 2432232314}'


def test_the_vector_of_standard_webhooks() -> None:
    assert signatures([SECRET], ID, AT_S, BODY) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_secret_signs_and_a_receiver_needs_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo_parts.signature.time.time", lambda: AT_S)
    other = "whsec_" + "QUJD" * 8
    value = signatures([other, SECRET], ID, AT_S, BODY)
    assert len(value.split(" ")) == 2
    headers = {"webhook-id": ID, "webhook-timestamp": str(AT_S), "webhook-signature": value}
    for known in (other, SECRET):
        verify([known], headers, BODY)
        with pytest.raises(NotGenuine):
            verify([known], headers, BODY + b" ")
