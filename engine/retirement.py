"""What the media thread has to let go of before it may be closed or used again.

    edit applied -> our sockets closed -> `Release` to the supervisor -> `Released` -> port pair and slot free

The order keeps a port from being taken while any copy of its socket could still hear or send.  The supervisor
is told at intervals, of all that came and went meanwhile: woken for each it cost a fourth of a join.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from roomtone.engine.plan import Endpoint, RtpEndpoint
from roomtone.engine.process_messages import Hold, Release
from roomtone.engine.supervisor_link import HELD_A_MESSAGE

if TYPE_CHECKING:
    from roomtone.engine.ports import PortPair, Ports
    from roomtone.engine.supervisor_link import SupervisorLink
    from roomtone.engine.timers import Timers
    from roomtone.ext.flow.media import Media

TELL_US = 100_000  # between two messages to the supervisor
_AGAIN_US = 1_000  # when more waits than goes into one
_A_TURN = HELD_A_MESSAGE  # closing two sockets costs some 20 us; a turn stays under 2 ms


class Retirement:
    """Waits for edits; owns what is between closed and free."""

    __slots__ = (
        "_armed",
        "_departed",
        "_link",
        "_media",
        "_ports",
        "_releasing",
        "_spent",
        "_timers",
        "_untold",
        "_waiting",
    )

    def __init__(self, media: Media, link: SupervisorLink, ports: Ports, timers: Timers) -> None:
        self._media = media
        self._link = link
        self._ports = ports
        self._timers = timers
        self._waiting: deque[tuple[int, Callable[[Any], None] | None, Any]] = deque()
        # edit numbers ascend; no action: an endpoint to release
        self._untold: dict[int, RtpEndpoint] = {}  # whose sockets the supervisor does not hold as they are
        self._spent: list[int] = []  # descriptors to close before it is told anything
        self._departed: deque[RtpEndpoint] = deque()  # closed by the media thread, not released yet
        self._releasing: dict[int, PortPair] = {}  # those, and the released until the supervisor answers
        self._armed = False  # a timer will tell

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
        self._untold[endpoint.handle] = endpoint

    def mux(self, number: int, endpoint: RtpEndpoint) -> None:
        """rtcp-mux was agreed by edit `number`: after it the odd port goes, here and in the supervisor."""
        self.after(number, self._drop_rtcp, endpoint)

    def run(self, now_us: int) -> None:
        """Act on what was applied, a bounded number."""
        if self._waiting:
            self._act()
        if not self._armed and (self._untold or self._departed):
            self._armed = True
            self._timers.at(now_us + TELL_US, self._tell)

    def _act(self) -> None:
        waiting = self._waiting
        applied = self._media.applied()
        for _ in range(_A_TURN):
            if not waiting or waiting[0][0] > applied:
                return
            _, action, argument = waiting.popleft()
            if action is not None:
                action(argument)
            elif isinstance(argument, RtpEndpoint):
                self._untold.pop(argument.handle, None)
                self._departed.append(argument)
                self._releasing[argument.handle] = argument.pair
            else:
                self._media.endpoint_free(argument.handle)

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
        departed = {endpoint.handle for endpoint in self._departed}  # released when the supervisor is told
        self.released([key for key in self._releasing if key not in departed], now_us)

    def _tell(self, _: None, now_us: int) -> None:
        """Tell the supervisor what to hold, then what to let go of; a bounded number of each."""
        self._hold([self._untold.pop(key) for key in list(islice(self._untold, HELD_A_MESSAGE))])
        departed = self._departed
        self._release([departed.popleft() for _ in range(min(len(departed), _A_TURN))], now_us)
        self._armed = bool(self._untold or departed)
        if self._armed:
            self._timers.at(now_us + _AGAIN_US, self._tell)

    def _hold(self, endpoints: list[RtpEndpoint]) -> None:
        held: list[tuple[int, int]] = []
        fds: list[int] = []
        for endpoint in endpoints:
            own = [fd for fd in (endpoint.pair.rtp_fd, endpoint.pair.rtcp_fd) if fd >= 0]
            held.append((endpoint.handle, len(own)))
            fds += own
        if held:
            self._link.send(Hold(held), tuple(fds), close_first=self._take_spent())

    def _release(self, endpoints: list[RtpEndpoint], now_us: int) -> None:
        if endpoints:
            keys = [endpoint.handle for endpoint in endpoints]
            fds = [fd for each in endpoints for fd in (each.pair.rtp_fd, each.pair.rtcp_fd) if fd >= 0]
            # Sockets close before the Release leaves, and after every Hold that names them has left.
            self._link.send(Release(keys), close_first=(*self._take_spent(), *fds))
            if self._link.closed:
                self.released(keys, now_us)

    def _take_spent(self) -> tuple[int, ...]:
        spent, self._spent = self._spent, []
        return tuple(spent)

    def _drop_rtcp(self, endpoint: RtpEndpoint) -> None:
        pair = endpoint.pair
        if pair.rtcp_fd >= 0:
            self._spent.append(pair.rtcp_fd)
            pair.rtcp_fd, pair.rtcp_port = -1, pair.rtp_port
            self._untold[endpoint.handle] = endpoint
