"""Which bot's WebSocket belongs to which endpoint, and the tokens that bots may still dial with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from roomtone.control.core import effects
from roomtone.control.core.session import Endpoint, Session

if TYPE_CHECKING:
    from roomtone.control.core.core import Core

AUDIO_DIAL = "audio_dial"  # the timer of a token: (AUDIO_DIAL, token)


class Dial(Struct, eq=False):
    """An endpoint that waits for its bot, or has it."""

    session: Session
    endpoint: Endpoint


class AudioBook:
    """tokens: not dialled yet.  sockets: dialled, until io says that the socket has ended."""

    def __init__(self) -> None:
        self.tokens: dict[str, Dial] = {}
        self.sockets: dict[int, Dial] = {}

    def left(self, core: Core, endpoint: Endpoint, code: int, reason: str) -> None:
        """The endpoint is gone: its token is void, its socket is closed.  Of others nothing is known."""
        audio = endpoint.audio
        if audio is None:
            return
        if audio.socket is not None:
            self.sockets.pop(audio.socket, None)
            core.effect(effects.CloseAudio(audio.socket, code, reason))
        elif self.tokens.pop(audio.token, None) is not None:
            core.effect(effects.CancelTimer((AUDIO_DIAL, audio.token)))
