"""Bearer tokens: who may speak to the port, and as which application."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

BEARER_PREFIX = "Bearer "
SUBPROTOCOL_PREFIX = "bearer."  # how a browser, which cannot set headers, sends the token


class TokenFileError(Exception):
    """The token file cannot be used; `faults` has one sentence per fault and never a token."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Tokens:
    """The tokens of `auth_token_file`: one ``app_id:token`` a line; empty lines and ``#`` lines do not count.

    An application may have several tokens.  Comparison takes the same time whatever the token and wherever it
    stands in the file.
    """

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = [(app_id, _digest(token)) for app_id, token in pairs]

    @classmethod
    def read(cls, path: str | Path) -> Tokens:
        """Read the file; raises TokenFileError."""
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise TokenFileError([f"auth_token_file {path}: {error}"]) from None
        pairs: list[tuple[str, str]] = []
        faults: list[str] = []
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            app_id, colon, token = (part.strip() for part in text.partition(":"))
            if not colon or not app_id or not token:
                faults.append(f"auth_token_file {path}, line {number}: expected app_id:token")
            else:
                pairs.append((app_id, token))
        if not pairs and not faults:
            faults.append(f"auth_token_file {path}: no token in it")
        if faults:
            raise TokenFileError(faults)
        return cls(pairs)

    def app_of(self, token: str) -> str | None:
        """The application a token belongs to, or None."""
        digest = _digest(token)
        found = None
        for app_id, known in self._pairs:
            if hmac.compare_digest(digest, known):
                found = app_id
        return found

    def __len__(self) -> int:
        return len(self._pairs)


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """The token a request carries: ``Authorization: Bearer``, else the subprotocol ``bearer.<token>``."""
    authorization = headers.get("Authorization", "")
    if authorization[: len(BEARER_PREFIX)].lower() == BEARER_PREFIX.lower():
        return authorization[len(BEARER_PREFIX) :].strip()
    protocol = bearer_subprotocol(headers)
    return protocol[len(SUBPROTOCOL_PREFIX) :] if protocol else None


def bearer_subprotocol(headers: Mapping[str, str]) -> str | None:
    """The offered subprotocol that carries a token; a browser wants it named in the answer."""
    for offered in headers.get("Sec-WebSocket-Protocol", "").split(","):
        name = offered.strip()
        if name.startswith(SUBPROTOCOL_PREFIX):
            return name
    return None


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
