"""Whether an endpoint is down: then only a probe is sent there now and then, and no event loses its place.

    closed -- BREAKER_FAILURES in a row over BREAKER_OVER_S --> open
    open   -- an answer that is no such failure --> closed

After it closes, as many are in flight at a time as have been taken since, from one up to the endpoint's
limit: a receiver that comes back is not run over by what has waited.
"""

from __future__ import annotations

from roomtone.control.dispatcher.schedule import BREAKER_FAILURES, BREAKER_OVER_S, GIVE_UP_S, PROBE_S

US_PER_S = 1_000_000


class Breaker:
    """max_in_flight: attempts at a time while all is well."""

    __slots__ = ("_failures", "_max", "_opened_us", "_probes", "_since_us", "probe_us", "window")

    def __init__(self, max_in_flight: int) -> None:
        self._max = max_in_flight
        self._failures = 0
        self._since_us = 0
        self._opened_us: int | None = None
        self._probes = 0
        self.probe_us = 0  # the next probe, while open
        self.window = max_in_flight

    @property
    def open(self) -> bool:
        return self._opened_us is not None

    def room(self, in_flight: int, now_us: int) -> int:
        """How many more may be sent."""
        if self.open:
            return int(in_flight == 0 and now_us >= self.probe_us)
        return self.window - in_flight

    def failed(self, now_us: int, *, ordered: bool) -> None:
        """The endpoint is down, as far as this attempt shows.  ordered: of an event that keeps the order."""
        if self.open:
            if now_us < self.probe_us:
                return  # it was under way when the breaker opened
            self.probe_us = now_us + PROBE_S[min(self._probes, len(PROBE_S) - 1)] * US_PER_S
            self._probes += 1
        elif ordered:
            self._since_us = self._since_us if self._failures else now_us
            self._failures += 1
            if self._failures >= BREAKER_FAILURES and now_us - self._since_us >= BREAKER_OVER_S * US_PER_S:
                self._opened_us = now_us
                self.probe_us, self._probes = now_us + PROBE_S[0] * US_PER_S, 1

    def answered(self) -> None:
        """It is there, whatever it says."""
        self._failures = 0
        if self.open:
            self._opened_us = None
            self.window = 1
        elif self.window < self._max:
            self.window += 1

    def given_up(self, now_us: int) -> bool:
        """It was down for too long."""
        return self._opened_us is not None and now_us - self._opened_us >= GIVE_UP_S * US_PER_S
