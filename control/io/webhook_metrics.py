"""Metrics of the store and of webhooks: the store's totals, and what the dispatcher said last.

The dispatcher counts from its own start; where it has not spoken yet there are no samples of its.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from roomtone.control.core.histogram import COMMAND_SECONDS
from roomtone.control.dispatcher.messages import Figures, WebhookFigures
from roomtone.control.io.dispatcher_link import DispatcherLink
from roomtone.control.io.store import Store

US_PER_S = 1_000_000
NOTHING = [0] * (len(COMMAND_SECONDS) + 1)


class WebhookMetrics:
    """A part of /metrics."""

    def __init__(self, store: Store, dispatcher: DispatcherLink) -> None:
        self._store = store
        self._dispatcher = dispatcher

    def collect(self) -> Iterator[Metric]:
        yield from self._stored()
        yield from self._endpoints(list(self._dispatcher.webhooks.values()))
        yield from self._delivered(self._dispatcher.figures)

    def _stored(self) -> Iterator[Metric]:
        totals = self._store.totals
        events = CounterMetricFamily("roomtone_webhook_events", "Events stored", labels=("event",))
        for name, count in totals.events.copy().items():
            events.add_metric((name,), count)
        yield events
        yield GaugeMetricFamily("roomtone_outbox_events", "Events in the store", value=totals.stored)
        yield GaugeMetricFamily("roomtone_outbox_bytes", "What the store takes", value=totals.bytes)
        shed = CounterMetricFamily("roomtone_outbox_shed_events", "Events left out", labels=("reason",))
        shed.add_metric(("full",), totals.shed_full)
        shed.add_metric(("unavailable",), totals.shed_waiting)
        yield shed
        yield CounterMetricFamily("roomtone_webhook_expired", "Deliveries never taken", value=totals.expired)
        text = "Of one transaction of the store"
        yield _histogram("roomtone_outbox_commit_seconds", text, totals.commits.counts, totals.commits.sum_us)

    def _endpoints(self, told: list[WebhookFigures]) -> Iterator[Metric]:
        attempts = CounterMetricFamily(
            "roomtone_webhook_attempts", "Attempts", labels=("endpoint", "outcome")
        )
        breaker = GaugeMetricFamily("roomtone_webhook_breaker_state", "1: it is down", labels=("endpoint",))
        pending = GaugeMetricFamily("roomtone_webhook_pending", "Events that wait", labels=("endpoint",))
        for each in told:
            breaker.add_metric((each.webhook,), each.breaker)
            pending.add_metric((each.webhook,), each.pending)
            for outcome, count in each.attempts.items():
                attempts.add_metric((each.webhook, outcome), count)
        yield from (attempts, breaker, pending)
        yield GaugeMetricFamily(
            "roomtone_webhook_oldest_pending_seconds",
            "Age of the oldest event that waits",
            value=max((each.oldest_age_us for each in told), default=0) / US_PER_S,
        )

    def _delivered(self, told: Figures | None) -> Iterator[Metric]:
        up = float(told is not None)
        yield GaugeMetricFamily("roomtone_dispatcher_up", "1: webhooks are delivered", value=up)
        blocked_us, dead = (told.lane_blocked_us, told.dead) if told is not None else (0, 0)
        text = "The longest that a failing event has been in others' way"
        yield GaugeMetricFamily("roomtone_webhook_lane_blocked_seconds", text, value=blocked_us / US_PER_S)
        yield CounterMetricFamily("roomtone_webhook_dead", "Deliveries given up", value=dead)
        text = "From an event to its acknowledgement"
        counts, sum_us = (told.latency, told.latency_sum_us) if told is not None else (NOTHING, 0)
        yield _histogram("roomtone_webhook_latency_seconds", text, counts, sum_us)


def _histogram(name: str, text: str, counts: list[int], sum_us: int) -> Metric:
    family = HistogramMetricFamily(name, text)
    buckets, total = [], 0
    for bound, count in zip((*map(repr, COMMAND_SECONDS), "+Inf"), counts, strict=True):
        total += count
        buckets.append((bound, total))
    family.add_metric((), buckets, sum_us / US_PER_S)
    return family
