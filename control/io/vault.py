"""Records that hold secrets, sealed for the disk: the database alone gives nothing away.

Encrypt, then authenticate, with HMAC-SHA256 for both (RFC 2104): a key stream of HMAC(key, nonce | counter),
the pseudo-random function in counter mode (NIST SP 800-38A section 6.5), and a tag over name, nonce and
ciphertext.  Two keys are derived from the one in the file.  The records are short and few; AES would need a
library that nothing else here needs.

    sealed = nonce (16) | ciphertext | tag (32)
"""

from __future__ import annotations

import contextlib
import hmac
import os

KEY_FILE = "key"
KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 16, 32
COUNTER_BYTES = 8


class Unsealable(Exception):
    """It was sealed with another key, under another name, or was changed."""


class Vault:
    """key: 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._stream_key = hmac.digest(key, b"stream", "sha256")
        self._tag_key = hmac.digest(key, b"tag", "sha256")

    @classmethod
    def open(cls, state_dir: str, *, make: bool) -> Vault:
        """With the key in that directory.  make: a fresh one when there is none.  Raises OSError."""
        path = os.path.join(state_dir, KEY_FILE)
        if make and not os.path.exists(path):
            _make(path)
        with open(path, "rb") as file:
            key = file.read()
        if len(key) != KEY_BYTES:
            raise OSError(f"{path} is no key of {KEY_BYTES} bytes")
        return cls(key)

    def seal(self, name: str, text: bytes) -> bytes:
        """Sealed under a name: it can only be opened under the same."""
        nonce = os.urandom(NONCE_BYTES)
        hidden = self._crossed(nonce, text)
        return nonce + hidden + self._tag(name, nonce, hidden)

    def open_sealed(self, name: str, sealed: bytes) -> bytes:
        """Raises `Unsealable`."""
        nonce, hidden, tag = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:-TAG_BYTES], sealed[-TAG_BYTES:]
        if len(sealed) < NONCE_BYTES + TAG_BYTES or not hmac.compare_digest(
            tag, self._tag(name, nonce, hidden)
        ):
            raise Unsealable(f"{name} was sealed with another key, or has been changed")
        return self._crossed(nonce, hidden)

    def _crossed(self, nonce: bytes, text: bytes) -> bytes:
        """XOR with the key stream, which is the same both ways."""
        stream = bytearray()
        counter = 0
        while len(stream) < len(text):
            block = nonce + counter.to_bytes(COUNTER_BYTES, "big")
            stream += hmac.digest(self._stream_key, block, "sha256")
            counter += 1
        crossed = int.from_bytes(text, "big") ^ int.from_bytes(stream[: len(text)], "big")
        return crossed.to_bytes(len(text), "big")

    def _tag(self, name: str, nonce: bytes, hidden: bytes) -> bytes:
        named = name.encode()
        content = len(named).to_bytes(COUNTER_BYTES, "big") + named + nonce + hidden
        return hmac.digest(self._tag_key, content, "sha256")


def _make(path: str) -> None:
    """A fresh key, complete before it has its name, on disk before anything is sealed with it."""
    part = f"{path}.part"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
    with open(part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(os.urandom(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
