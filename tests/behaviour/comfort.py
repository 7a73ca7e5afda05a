"""What the tests of comfort noise (RFC 3389) share."""

import numpy as np
from lab import (
    NOISE_TYPE,
    PCMA,
    PCMU,
    silence,
    tone,
)

FRAME = 160
CN = {"noise": NOISE_TYPE}
LEVEL_SENT = 72  # -dBov
LIMIT_US = 5_000_000  # media_timeout_secs


def dbov(pcm):
    """Level of samples against the square wave that just fits."""
    return 20 * np.log10(max(np.sqrt(np.mean(pcm.astype(float) ** 2)), 1e-3) / 32768)


def transcoded(lab, *, codec=PCMA, **more):
    """Anna, and Ben who hears her in another codec."""
    bus = lab.bus()
    return lab.peer(bus, codec=PCMU, signal=tone(440), **CN, **more), lab.peer(
        bus, codec=codec, signal=silence
    )


def told(peer, level=40, **more):
    """It speaks, then is silent and tells so."""
    peer.lab.run(600)
    peer.hush(level, **more)
    peer.lab.run(300)
