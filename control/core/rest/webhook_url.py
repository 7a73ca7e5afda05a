"""What a webhook's URL may be, as far as it can be said without looking its host up.

The address behind a name is checked where it can no longer change: by the dispatcher, when it connects.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from roomtone.control.core.config import Webhooks
from roomtone.control.core.rest.refusal import Fault, Refusal

MAX_URL = 2048


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
    if _local(host, config.allow_localhost):
        return "The host's address is not public"
    return None


def _local(host: str, loopback: bool) -> bool:
    """Whether nothing is ever sent there.  loopback: this machine's own addresses are permitted."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return not loopback
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not (address.is_global or (loopback and address.is_loopback))
