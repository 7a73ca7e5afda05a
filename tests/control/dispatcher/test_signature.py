"""Signatures: the vector of Standard Webhooks, and what a receiver's own code makes of them."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from demo_parts.signature import NotGenuine, verify
from writing import webhook

from roomtone.control.core.webhooks import Secret
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


def test_who_knows_the_public_key_can_verify_and_who_knows_another_cannot() -> None:
    keyed = webhook(secrets=(Secret(SECRET), Secret("whsk_" + base64.b64encode(bytes(range(32))).decode())))
    shared, own = signatures(keyed.signing(0), ID, AT_S, BODY).split(" ")
    assert shared == signatures([SECRET], ID, AT_S, BODY)
    assert keyed.public_key == "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(keyed.public_key.removeprefix("whpk_")))
    signed = base64.b64decode(own.removeprefix("v1a,"))
    public.verify(signed, f"{ID}.{AT_S}.".encode() + BODY)
    with pytest.raises(InvalidSignature):
        public.verify(signed, f"{ID}.{AT_S + 1}.".encode() + BODY)
