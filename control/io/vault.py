"""Records that hold secrets, sealed for the disk: the database alone gives nothing away.

AES-256-GCM (NIST SP 800-38D) with a random nonce for each record and its name as associated data.

    sealed = nonce (12) | ciphertext and tag
"""

from __future__ import annotations

import contextlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_FILE = "key"
KEY_BYTES, NONCE_BYTES = 32, 12


class Unsealable(Exception):
    """It was sealed with another key, under another name, or was changed."""


class Vault:
    """key: 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

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
        return nonce + self._cipher.encrypt(nonce, text, name.encode())

    def open_sealed(self, name: str, sealed: bytes) -> bytes:
        """Raises `Unsealable`."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            raise Unsealable(f"{name} was sealed with another key, or has been changed") from None


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
