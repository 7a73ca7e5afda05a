"""What one sees: a table with moving bars on a terminal, one line a second anywhere else."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo_parts.caller import Caller
from demo_parts.hearing import Match
from demo_parts.sound import FLOOR_DBOV, FRAMES_A_SECOND

BAR_CELLS = 18
NEWS_SHOWN = 9
REFRESH_HZ = 10
EVERY = 5  # frames


class Screen:
    """rooms: heading -> callers.  Order of use: as a context manager; say and frame while it runs."""

    def __init__(self, console: Console, rooms: dict[str, list[Caller]], frames: int) -> None:
        self._console = console
        self._rooms = rooms
        self._frames = frames
        self._number = 0
        self._news: deque[tuple[float, str]] = deque(maxlen=NEWS_SHOWN)
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(
                console=console, get_renderable=self._picture, refresh_per_second=REFRESH_HZ, transient=True
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, text: str) -> None:
        """Something happened."""
        at_s = self._number / FRAMES_A_SECOND
        self._news.append((at_s, text))
        if self._live is None:
            print(f"{at_s:5.1f} s  {text}", flush=True)

    async def follow(self, begun_s: float) -> None:
        """Time goes on by the loop's clock, from frame 0 at begun_s to the last one."""
        loop = asyncio.get_running_loop()
        for number in range(0, self._frames, EVERY):
            await asyncio.sleep(max(0.0, begun_s + number / FRAMES_A_SECOND - loop.time()))
            self.frame(number)

    def frame(self, number: int) -> None:
        """Time goes on."""
        self._number = number
        if self._live is None and number % FRAMES_A_SECOND == 0:
            doing = [
                f"{c.name} {c.state}"
                for callers in self._rooms.values()
                for c in callers
                if c.state != "quiet"
            ]
            total = [c.totals for callers in self._rooms.values() for c in callers]
            packets = f"{sum(t.sent for t in total):5d} packets out {sum(t.received for t in total):5d} in"
            print(f"{number / FRAMES_A_SECOND:5.1f} s  {packets}  {', '.join(doing)}", flush=True)

    def _picture(self) -> Group:
        parts = [_table(heading, callers) for heading, callers in self._rooms.items()]
        news = Text("\n").join(Text(f"{at_s:5.1f} s  {text}") for at_s, text in self._news)
        left_s = max(0, self._frames - self._number) / FRAMES_A_SECOND
        return Group(
            *parts, Panel(news, title="events", height=NEWS_SHOWN + 2), Text(f"{left_s:.0f} s to go")
        )


def _table(heading: str, callers: list[Caller]) -> Table:
    table = Table(title=heading, title_justify="left", expand=True)
    for column in ("caller", "codec", "does", "says", "hears"):
        table.add_column(column, no_wrap=True)
    for column in ("sent", "lost", "received"):
        table.add_column(column, justify="right", no_wrap=True)
    for c in callers:
        total = c.totals
        bars = (_bar(c.said_dbov, "green"), _bar(c.heard_dbov, "cyan"))
        numbers = (str(total.sent), str(total.withheld or ""), str(total.received))
        table.add_row(c.name, c.codec, c.state, *bars, *numbers)
    return table


def _bar(level_dbov: float, colour: str) -> Text:
    cells = round((1 - level_dbov / FLOOR_DBOV) * BAR_CELLS)
    return Text("█" * cells, style=colour) + Text("·" * (BAR_CELLS - cells), style="dim")


def matrix_table(names: list[str], shares: dict[tuple[str, str], Match], held: set[tuple[str, str]]) -> Table:
    """held: pairs whose share is as it has to be; the others are marked."""
    table = Table()
    table.add_column("heard by \\ said by")
    for name in names:
        table.add_column(name, justify="right")
    for listener in [name for name in names if any(name == pair[0] for pair in shares)]:
        row = []
        for speaker in names:
            pair = (listener, speaker)
            style = ("dim" if listener == speaker else "green") if pair in held else "bold red"
            row.append(Text(f"{shares[pair].share:.2f}", style=style) if pair in shares else Text(""))
        table.add_row(listener, *row)
    return table
