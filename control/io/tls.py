"""The port's certificate."""

from __future__ import annotations

import ssl


def server_context(cert_path: str, key_path: str) -> ssl.SSLContext:
    """TLS 1.2 and later with this certificate chain and key (PEM).  Raises OSError (ssl.SSLError is one)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert_path, key_path)
    return context
