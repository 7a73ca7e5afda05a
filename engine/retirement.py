"""What the media thread has to let go of before it may be closed or used again.

    edit applied -> our sockets closed -> `Release` to the supervisor -> `Released` -> port pair and slot free

The order keeps a port from being taken while any copy of its socket could still hear or send.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from roomtone.engine.plan import Endpoint, RtpEndpoint
from roomtone.engine.process_messages import Hold, Release
from roomtone.engine.supervisor_link import KEYS_A_MESSAGE

if TYPE_CHECKING:
    from roomtone.engine.ports import PortPair, Ports
    from roomtone.engine.supervisor_link import SupervisorLink
    from roomtone.ext.flow.media import Media

_A_TURN = 64  # closing two sockets costs some 20 us; a turn stays under 2 ms


class Retirement:
    """Waits for edits; owns what is between closed and free."""

    __slots__ = ("_link", "_media", "_ports", "_releasing", "_waiting")

    def __init__(self, media: Media, link: SupervisorLink, ports: Ports) -> None:
        self._media = media
        self._link = link
        self._ports = ports
        self._waiting: deque[tuple[int, Callable[[Any], None] | None, Any]] = deque()
        # edit numbers ascend; no action: an endpoint to release, gathered into one message a turn
        self._releasing: dict[int, PortPair] = {}

    @property
    def pending(self) -> bool:
        """Edits are awaited: look again soon."""
        return bool(self._waiting)

    @property
    def releasing(self) -> int:
        return len(self._releasing)

    def after(self, number: int, action: Callable[[Any], None], argument: Any) -> None:
        """Call action(argument) once edit `number` was applied.  Numbers must not go down."""
        self._waiting.append((number, action, argument))

    def hold(self, endpoint: RtpEndpoint) -> None:
        """Give the supervisor duplicates of the endpoint's sockets; no answer is waited for."""
        pair = endpoint.pair
        if pair.rtcp_fd < 0:
            self._link.send(Hold(endpoint.handle, (pair.rtp_port,)), (pair.rtp_fd,))
        else:
            self._link.send(
                Hold(endpoint.handle, (pair.rtp_port, pair.rtcp_port)), (pair.rtp_fd, pair.rtcp_fd)
            )

    def mux(self, number: int, endpoint: RtpEndpoint) -> None:
        """rtcp-mux was agreed by edit `number`: after it the odd port goes, here and in the supervisor."""
        self.after(number, self._drop_rtcp, endpoint)

    def run(self, now_us: int) -> None:
        """Act on what was applied, a bounded number."""
        waiting = self._waiting
        if not waiting:
            return
        applied = self._media.applied()
        released: list[Endpoint] = []
        for _ in range(_A_TURN):
            if not waiting or waiting[0][0] > applied:
                break
            _, action, argument = waiting.popleft()
            if action is None:
                released.append(argument)
            else:
                action(argument)
        if released:
            self._release(released, now_us)

    def endpoint(self, number: int, endpoint: Endpoint) -> None:
        """The endpoint was closed by edit `number`: after it sockets, port pair and slot go."""
        self._waiting.append((number, None, endpoint))

    def released(self, keys: list[int], now_us: int) -> None:
        """The supervisor closed its duplicates of these."""
        for key in keys:
            pair = self._releasing.pop(key, None)
            if pair is not None:
                self._ports.give_back(pair, now_us)
                self._media.endpoint_free(key)

    def supervisor_lost(self, now_us: int) -> None:
        """No `Released` will come any more."""
        self.released(list(self._releasing), now_us)

    def _release(self, endpoints: list[Endpoint], now_us: int) -> None:
        keys: list[int] = []
        fds: list[int] = []
        for endpoint in endpoints:
            if not isinstance(endpoint, RtpEndpoint):
                self._media.endpoint_free(endpoint.handle)
                continue
            pair = endpoint.pair
            keys.append(endpoint.handle)
            fds.append(pair.rtp_fd)
            if pair.rtcp_fd >= 0:
                fds.append(pair.rtcp_fd)
            self._releasing[endpoint.handle] = pair
        if keys:
            assert len(keys) <= KEYS_A_MESSAGE
            # Sockets close before the Release leaves, and after every Hold that names them has left.
            self._link.send(Release(keys), close_first=tuple(fds))
            if self._link.closed:
                self.released(keys, now_us)

    def _drop_rtcp(self, endpoint: RtpEndpoint) -> None:
        pair = endpoint.pair
        if pair.rtcp_fd < 0:
            return
        old_fd, pair.rtcp_fd, pair.rtcp_port = pair.rtcp_fd, -1, pair.rtp_port
        self._link.send(Hold(endpoint.handle, (pair.rtp_port,)), (pair.rtp_fd,), close_first=(old_fd,))
