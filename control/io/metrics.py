"""/metrics: Prometheus text from control's totals and the workers' snapshots, made only when somebody asks.

A scrape asks every worker at once and waits at most `SCRAPE_WAIT_S`; a worker that is slower is shown with
what it said last.  Answers are kept `CACHE_US`, so several scrapers cost one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from roomtone.control.core.histogram import COMMAND_SECONDS, Histogram
from roomtone.control.core.views import Counts
from roomtone.control.io.clock import now_us
from roomtone.control.io.counters import Counters
from roomtone.control.io.webhook_metrics import WebhookMetrics
from roomtone.control.io.workers import Workers
from roomtone.engine.messages import GetMetrics, ReplyBody
from roomtone.engine.messages import Metrics as WorkerMetrics

SCRAPE_WAIT_S = 0.5
CACHE_US = 1_000_000
US_PER_S = 1_000_000

RECORDING_LOSSES = ("ring_full", "channel_full", "late", "channels", "file")  # ext/record/recording.pxd

# A worker's counter -> (metric, (label, its value) or None, help).
# Others become roomtone_worker_<name>_total{worker}.
WORKER_COUNTERS: dict[str, tuple[str, tuple[str, str] | None, str]] = {
    "rx_packets": ("roomtone_rtp_packets", ("direction", "rx"), "RTP packets"),
    "tx_packets": ("roomtone_rtp_packets", ("direction", "tx"), "RTP packets"),
    "rx_bytes": ("roomtone_rtp_bytes", ("direction", "rx"), "RTP payload bytes"),
    "tx_bytes": ("roomtone_rtp_bytes", ("direction", "tx"), "RTP payload bytes"),
    "lost": ("roomtone_rtp_lost_packets", None, "RTP packets lost on the way (RFC 3550 A.3)"),
    "concealed_frames": (
        "roomtone_playout_concealed_frames",
        None,
        "Frames played while their packet was missing",
    ),
    "commands": ("roomtone_worker_commands_taken", None, "Commands the worker has taken"),
    "recording_packets": ("roomtone_recording_packets", None, "Packets in files of recordings"),
    "recording_bytes": ("roomtone_recording_bytes", None, "Bytes written into them"),
    **{
        f"recording_dropped_{reason}": (
            "roomtone_recording_dropped_packets",
            ("reason", reason),
            "Packets that recordings lack, by reason",
        )
        for reason in RECORDING_LOSSES
    },
    "tick_overruns": ("roomtone_tick_overruns", None, "Bus ticks begun over 20 ms after their phase"),
    "ticks_late": ("roomtone_ticks_late", None, "Bus ticks begun over 3 ms after their phase"),
}

# A worker's gauge -> (metric, help).  Others become roomtone_worker_<name>{worker}.
WORKER_GAUGES = {
    "recordings": ("roomtone_recordings", "Recordings whose files are open"),
    "overload_level": ("roomtone_overload_level", "What the worker gave up under load"),
}

# What a worker counts of streams that have ended -> help.
ENDED_STREAMS = {
    "rtp_jitter_seconds": "Jitter of received streams at their end (RFC 3550 A.8)",
    "playout_delay_seconds": "Playout delay of mixed and transcoded streams at their end",
    "rtcp_round_trip_seconds": "Round trip of streams at their end, where RTCP told it",
    "estimated_mos": "Predicted opinion score of received streams (ITU-T G.107)",
}


class Metrics(Collector):
    """Gathers and renders.  `counts` gives what core knows, `lag` the loop's lag in seconds."""

    def __init__(
        self,
        *,
        workers: Workers,
        counters: Counters,
        counts: Callable[[], Counts],
        lag: Callable[[], float],
        webhooks: WebhookMetrics,
        version: str,
        commit: str,
    ) -> None:
        self._workers = workers
        self._counters = counters
        self._counts = counts
        self._lag = lag
        self._webhooks = webhooks
        self._build = (version, commit)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._answers: dict[int, WorkerMetrics] = {}
        self._asked_us: int | None = None
        self._asking: asyncio.Future[None] | None = None
        self._waiting = 0

    async def render(self) -> bytes:
        """The page.  Several scrapes at once share one round of questions."""
        if self._asking is not None:
            await asyncio.wait((self._asking,), timeout=SCRAPE_WAIT_S)
        elif self._asked_us is None or now_us() - self._asked_us > CACHE_US:
            await self._ask()
        return generate_latest(self._registry)

    async def _ask(self) -> None:
        done = asyncio.get_running_loop().create_future()
        self._asking = done
        self._waiting = 0
        for index, state in enumerate(self._workers.states):
            if state.up and self._workers.request(index, GetMetrics(), partial(self._answered, done, index)):
                self._waiting += 1
        try:
            if self._waiting:
                await asyncio.wait((done,), timeout=SCRAPE_WAIT_S)
        finally:
            self._asked_us = now_us()
            self._asking = None
            if not done.done():
                done.set_result(None)

    def _answered(self, done: asyncio.Future[None], worker: int, body: ReplyBody | None) -> None:
        if type(body) is WorkerMetrics:
            self._answers[worker] = body
        if done is self._asking:
            self._waiting -= 1
            if self._waiting == 0 and not done.done():
                done.set_result(None)

    # -- families ------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        yield from self._collect_control()
        counts = self._counts()
        yield from self._collect_core(counts)
        yield from self._collect_files(counts)
        yield from self._webhooks.collect()
        yield from self._collect_commands()
        yield from self._collect_workers()

    def _collect_control(self) -> Iterator[Metric]:
        c = self._counters
        yield _gauge("roomtone_build_info", "Always 1", ("version", "commit"), [(self._build, 1)])
        up = [((str(index),), float(state.up)) for index, state in enumerate(self._workers.states)]
        yield _gauge("roomtone_worker_up", "1: the worker takes commands", ("worker",), up)
        yield _gauge("roomtone_websocket_connections", "Open control connections", (), [((), c.connections)])
        yield _gauge(
            "roomtone_control_loop_lag_seconds", "Worst lag of the last seconds", (), [((), self._lag())]
        )
        received, sent = c.messages_received, c.messages_sent
        messages = [(("rx",), received), (("tx",), sent)]
        yield _counter("roomtone_websocket_messages", "Text frames", ("direction",), messages)
        for name, text, totals in (
            ("roomtone_connections_refused", "Refused before the upgrade", c.connections_refused),
            ("roomtone_connections_dropped", "Control connections dropped by us", c.connections_dropped),
        ):
            yield _counter(name, text, ("reason",), [((key,), value) for key, value in totals.items()])
        yield from self._collect_audio()
        yield from self._collect_rest()
        facts = [((key,), value) for key, value in c.worker_events.items()]
        yield _counter("roomtone_worker_events", "Events received from workers", ("type",), facts)
        yield _counter("roomtone_worker_event_gaps", "Holes in workers' numbers", (), [((), c.event_gaps)])
        yield _counter("roomtone_worker_bad_batches", "Unreadable messages", (), [((), c.bad_batches)])

    def _collect_audio(self) -> Iterator[Metric]:
        c = self._counters
        yield _gauge("roomtone_audio_ws_connections", "Bots connected", (), [((), c.audio_sockets)])
        for name, text, label, totals in (
            ("frames", "Packets of 20 ms from bots, frames to them", "direction", c.audio_frames),
            ("dropped_frames", "Audio lost on its way from or to bots", "reason", c.audio_dropped),
        ):
            samples = [((key,), value) for key, value in totals.items()]
            yield _counter(f"roomtone_audio_ws_{name}", text, (label,), samples)
        for name, text, total in (
            ("flushes", "Times a bot had what it said thrown away", c.audio_flushes),
            ("texts_ignored", "Text frames of bots that mean nothing", c.audio_texts_ignored),
            ("ticks_skipped", "Ticks the audio wheel slept through", c.audio_ticks_skipped),
        ):
            yield _counter(f"roomtone_audio_ws_{name}", text, (), [((), total)])

    def _collect_rest(self) -> Iterator[Metric]:
        c = self._counters
        requests = [
            ((operation, str(status)), total) for (operation, status), total in c.rest_requests.items()
        ]
        yield _counter("roomtone_rest_requests", "REST requests answered", ("operation", "status"), requests)
        name, text = "roomtone_rest_request_duration_seconds", "From a REST request to its answer"
        yield _durations(name, text, c.rest_duration, "operation")
        yield _counter(
            "roomtone_rest_unheard", "Answers for clients that had gone", (), [((), c.rest_unheard)]
        )
        yield _counter("roomtone_http_malformed", "Requests that are no HTTP", (), [((), c.http_malformed)])

    def _collect_core(self, counts: Counts) -> Iterator[Metric]:
        sessions = [(("active",), counts.sessions - counts.orphaned), (("orphaned",), counts.orphaned)]
        yield _gauge("roomtone_sessions", "Sessions by state", ("state",), sessions)
        endpoints = [((kind,), value) for kind, value in counts.endpoints.items()]
        yield _gauge("roomtone_endpoints", "Endpoints by kind", ("kind",), endpoints)
        streams = [((codec,), value) for codec, value in counts.codecs.items()]
        yield _gauge("roomtone_streams", "Endpoints by the codec sent", ("codec",), streams)
        yield _gauge("roomtone_rooms", "Conference rooms", (), [((), float(counts.rooms))])
        yield _gauge("roomtone_room_members", "Members of rooms", (), [((), float(counts.members))])
        joins = [((outcome,), total) for outcome, total in counts.joins.items()]
        yield _counter("roomtone_room_joins", "Joins of rooms that ended", ("outcome",), joins)
        plays = [((outcome,), total) for outcome, total in counts.plays.items()]
        yield _counter("roomtone_room_plays", "Playback in rooms that ended", ("outcome",), plays)
        stale = [((), float(counts.play_reports_stale))]
        yield _counter("roomtone_room_play_reports_stale", "Reports of playback that was over", (), stale)
        yield _gauge("roomtone_draining", "1: shutting down", (), [((), float(counts.draining))])
        events = [((key,), value) for key, value in counts.events.items()]
        yield _counter("roomtone_events", "Events raised for clients", ("type",), events)
        dropped = [(("queue_full",), counts.events_dropped)]
        yield _counter("roomtone_events_dropped", "Events lost, as events.dropped told", ("reason",), dropped)
        for name, text, total in (
            ("refused_endpoints", "Endpoints refused for overload", counts.endpoints_refused),
            ("withheld_stats", "Statistics events left out for overload", counts.stats_withheld),
        ):
            yield _counter(f"roomtone_overload_{name}", text, (), [((), total)])
        commands = list(counts.commands.items())
        yield _counter("roomtone_commands", "Clients' requests by method", ("command", "outcome"), commands)
        text = "From a request to its reply"
        yield _durations("roomtone_command_duration_seconds", text, counts.command_duration)

    def _collect_files(self, counts: Counts) -> Iterator[Metric]:
        for name, text, level in (
            ("downloads_running", "Downloads that run", counts.downloads_running),
            ("downloads_waiting", "Downloads that wait for others to end", counts.downloads_waiting),
            ("cache_files", "Downloaded files kept", counts.cache_files),
            ("cache_bytes", "Their size, and that of replaced ones in use", counts.cache_bytes),
        ):
            yield _gauge(f"roomtone_file_{name}", text, (), [((), level)])
        for name, text, totals in (
            ("downloads", "Downloads that ended", counts.downloads),
            ("cache_lookups", "Copies asked for, by how they were got", counts.downloads_wished),
        ):
            samples = [((outcome,), total) for outcome, total in totals.items()]
            yield _counter(f"roomtone_file_{name}", text, ("outcome",), samples)

    def _collect_commands(self) -> Iterator[Metric]:
        counts = list(self._counters.commands.items())
        yield _counter("roomtone_worker_commands", "Commands to workers", ("command", "outcome"), counts)
        text = "From sending a command to its reply"
        name = "roomtone_worker_command_duration_seconds"
        yield _durations(name, text, self._counters.command_duration)

    def _collect_workers(self) -> Iterator[Metric]:
        counters: dict[str, tuple[str, tuple[str, ...], list[tuple[tuple[str, ...], float]]]] = {}
        gauges: dict[str, list[tuple[tuple[str, ...], float]]] = {}
        drops: dict[str, int] = {}
        for index, answer in self._answers.items():
            worker = str(index)
            for name, value in answer.counters.items():
                metric, label, text = WORKER_COUNTERS.get(
                    name, (f"roomtone_worker_{name}", None, f"Worker total: {name}")
                )
                labels: tuple[str, ...] = (label[0], "worker") if label else ("worker",)
                key: tuple[str, ...] = (label[1], worker) if label else (worker,)
                counters.setdefault(metric, (text, labels, []))[2].append((key, value))
            for name, level in answer.gauges.items():
                gauges.setdefault(name, []).append(((worker,), level))
            for reason, value in answer.drops.items():
                drops[reason] = drops.get(reason, 0) + value
        for metric, (text, labels, samples) in counters.items():
            yield _counter(metric, text, labels, samples)
        for name, samples in gauges.items():
            metric, text = WORKER_GAUGES.get(name, (f"roomtone_worker_{name}", f"Worker gauge: {name}"))
            yield _gauge(metric, text, ("worker",), samples)
        reasons = [((reason,), value) for reason, value in drops.items()]
        yield _counter("roomtone_rtp_dropped_packets", "Packets dropped by name", ("reason",), reasons)
        yield self._ticks("roomtone_tick_duration_seconds", "Work of one bus tick", "tick_duration_us")
        yield from self._collect_ended()
        yield self._ticks("roomtone_tick_late_seconds", "From a tick's phase to its begin", "tick_late_us")

    def _collect_ended(self) -> Iterator[Metric]:
        families: dict[str, HistogramMetricFamily] = {}
        for index, answer in self._answers.items():
            for name, ended in answer.ended.items():
                if name not in families:
                    text = ENDED_STREAMS.get(name, f"Streams that have ended: {name}")
                    families[name] = HistogramMetricFamily(f"roomtone_{name}", text, labels=("worker",))
                bins = zip((*ended.bounds, float("inf")), ended.counts, strict=True)
                families[name].add_metric((str(index),), _cumulative(bins), ended.sum)
        yield from families.values()

    def _ticks(self, name: str, text: str, field: str) -> Metric:
        """Histogram of a worker's bins.  Workers count in bins only: the sum is that of the upper bounds."""
        family = HistogramMetricFamily(name, text, labels=("worker",))
        for index, answer in self._answers.items():
            bins: list[tuple[int, int]] = sorted(getattr(answer, field))
            total = sum(bound * count for bound, count in bins) / US_PER_S
            counted = [(bound / US_PER_S, count) for bound, count in bins]
            if counted:
                counted[-1] = (float("inf"), counted[-1][1])
                family.add_metric((str(index),), _cumulative(counted), total)
        return family


def _durations(name: str, text: str, histograms: Mapping[str, Histogram], label: str = "command") -> Metric:
    family = HistogramMetricFamily(name, text, labels=(label,))
    for command, histogram in histograms.items():
        counted = list(zip(COMMAND_SECONDS, histogram.counts, strict=False))
        buckets = _cumulative([*counted, (float("inf"), histogram.counts[-1])])
        family.add_metric((command,), buckets, histogram.sum_us / US_PER_S)
    return family


def _cumulative(bins: Iterable[tuple[float, int]]) -> list[tuple[str, float]]:
    total = 0
    out = []
    for bound, count in bins:
        total += count
        out.append(("+Inf" if bound == float("inf") else repr(bound), float(total)))
    return out


def _gauge(
    name: str, text: str, labels: Sequence[str], samples: Iterable[tuple[tuple[str, ...], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counter(
    name: str, text: str, labels: Sequence[str], samples: Iterable[tuple[tuple[str, ...], float]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
