"""What a webhook's URL may be, as far as it can be said without looking its host up.

The address behind a name is checked where it can no longer change: by the dispatcher, when it connects.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from roomtone.control.core.addresses import LOOPBACK, Allowed, is_odd_number
from roomtone.control.core.config import Webhooks
from roomtone.control.core.rest.refusal import Fault, Refusal

MAX_URL = 2048
LOCALHOST = (ip_address("127.0.0.1"), ip_address("::1"))


def networks(config: Webhooks) -> tuple[str, ...]:
    """Where receivers may be though it is not public."""
    return (LOOPBACK if config.allow_localhost else ()) + config.allow_networks


def check(config: Webhooks, url: str, pointer: str) -> None:
    """Raises `Refusal`.  pointer: of the member."""
    fault = _fault(config, url)
    if fault is not None:
        raise Refusal(400, "validation_error", f"{pointer}: {fault}", faults=(Fault(pointer, fault),))


def _fault(config: Webhooks, url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "Not a URL"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "Not a URL"
    if parts.scheme not in ("https", "http") or not host:
        return "Must be a URL with a host, https unless http is permitted"
    if parts.scheme == "http" and not config.allow_http:
        return "Must be https"
    if parts.username is not None or parts.password is not None:
        return "Must not carry credentials"
    if is_odd_number(host):
        return "The host is a number, but no IPv4 address in four parts"
    if not _reachable(host, networks(config)):
        return "The host's address is not public"
    return None


def _reachable(host: str, permitted: Iterable[str]) -> bool:
    """Whether anything is ever sent there.  permitted: networks that need not be public."""
    allowed = Allowed(permitted)
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return any(address in allowed for address in LOCALHOST)
    try:
        return ip_address(host) in allowed
    except ValueError:
        return True
