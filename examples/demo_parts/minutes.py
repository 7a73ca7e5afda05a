"""What has to hold after a meeting in a room: what was heard, and what the webhooks told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo_parts.announcement import Piece, pieces, spells
from demo_parts.hearing import Utterance, find
from demo_parts.meeting import NAME, Meeting
from demo_parts.receiver import Receiver, lanes
from demo_parts.script import Line
from demo_parts.sound import RATE_HZ
from demo_parts.verdict import HEARD_AT_LEAST, SELF_AT_MOST, Checks

LEVEL_WITHIN_DB = 0.3
SHOWN = 30  # characters of a sentence
TALKING = (
    "conference.member.talking_started",
    "conference.member.talking_stopped",
    "conference.active_speaker",
)


def check_lines(
    checks: Checks,
    console: Console,
    lines: Sequence[Line],
    said: Sequence[Utterance],
    heard: Mapping[str, np.ndarray],
) -> None:
    """Every sentence was heard by those it was for, and by nobody else."""
    table = Table(title="Share of each sentence that arrived", title_justify="left")
    for heading in ("said by", "sentence", *heard):
        table.add_column(heading, no_wrap=True)
    right = total = 0
    for line, utterance in zip(lines, said, strict=True):
        row = [Text(line.speaker), Text(line.text[:SHOWN])]
        for name, pcm in heard.items():
            meant = name != line.speaker and (line.to is None or name in line.to)
            share = find(utterance, pcm).share
            held = share >= HEARD_AT_LEAST if meant else abs(share) <= SELF_AT_MOST
            right, total = right + held, total + 1
            row.append(Text(f"{share:.2f}", style=("green" if meant else "dim") if held else "bold red"))
        table.add_row(*row)
    console.print(table)
    checks.add(right == total, f"sentences: {right} of {total} heard, or not heard, as they should be")


def check_announcements(
    checks: Checks, announced: Sequence[np.ndarray], heard: Mapping[str, np.ndarray], lowered_db: float
) -> None:
    """Heard as one piece with one pause in it, the first at full level, the second lowered."""
    original = np.concatenate(list(announced))
    second = len(announced[0])
    for name, pcm in heard.items():
        found = spells(pieces(original, pcm))
        pauses_ms = [(b[0].shift - a[0].shift) * 1000 / RATE_HZ for a, b in pairwise(found)]
        held = len(pauses_ms) == 1 and pauses_ms[0] > 0 and found[1][0].start < second <= found[1][-1].start
        told = ", ".join(f"{ms:.0f} ms" for ms in pauses_ms) or "none"
        checks.add(held, f"announcements: {name} heard both without a gap; pauses: {told}")
        if held:
            full_db = level_db(found[0][:-1])  # the last one may have been cut by the pause
            low_db = level_db([piece for piece in found[1] if piece.start >= second])
            checks.add(
                abs(full_db) <= LEVEL_WITHIN_DB and abs(low_db - lowered_db) <= LEVEL_WITHIN_DB,
                f"announcements: {name} heard the first at {full_db:+.1f} dB, the second at {low_db:+.1f} dB",
            )


def level_db(found: Sequence[Piece]) -> float:
    return 20 * float(np.log10(np.mean([piece.share for piece in found])))


def check_events(checks: Checks, meeting: Meeting, receiver: Receiver, pressed: str) -> None:
    """What the webhooks told is what happened, all of it, in order."""
    ours = [delivery.event for delivery in receiver.log if delivery.path == "/acme"]
    checks.add(
        not receiver.refused and all(delivery.accepted for delivery in receiver.log),
        f"webhooks: {len(receiver.log)} came, {len(receiver.refused)} without a good signature",
    )
    gaps = [lane for lane, numbers in lanes(receiver.log).items() if numbers != [*range(1, len(numbers) + 1)]]
    checks.add(
        not gaps, f"webhooks: {len(lanes(receiver.log))} lanes, {len(gaps)} with a gap or out of order"
    )
    room = [e for e in ours if e.get("room_id") == meeting.room_id and e["event"] not in TALKING]
    story = [_sentence(event) for event in room]
    expected = expected_story(meeting)
    wrong = next((pair for pair in zip_longest(expected, story) if pair[0] != pair[1]), None)
    seen = "as it happened" if wrong is None else f"expected {wrong[0]}, told {wrong[1]}"
    checks.add(wrong is None, f"room: {len(story)} events, {seen}")
    for name, session_uuid in meeting.sessions.items():
        names = [
            e["event"] for e in ours if e.get("session_uuid") == session_uuid and e["event"] not in TALKING
        ]
        whole = bool(names) and (names[0], names[-1]) == ("call.new", "call.hangup")
        checks.add(
            whole and names.count("call.hangup") == 1,
            f"calls: {name}, {len(names)} events from new to hangup",
        )
    failed = [e for e in ours if e["event"] == "command.result" and not e["success"]]
    checks.add(not failed, f"commands: {len(failed)} failed")
    keys = "".join(e["digit"] for e in ours if e["event"] == "dtmf")
    checks.add(keys == pressed, f"keys: {pressed} pressed, {keys or 'none'} told")


def _sentence(event: dict[str, Any]) -> str:
    keys = ("caller_id", "reason", "volume")
    return " ".join(
        [event["event"].removeprefix("conference."), *(str(event[k]) for k in keys if k in event)]
    )


def expected_story(meeting: Meeting) -> list[str]:
    numbers = meeting.numbers
    left = [name for name in numbers if name != "Cleo"]
    return [
        "created",
        *(f"member.joined {number}" for number in numbers.values()),
        "play.started",
        "play.paused",
        "play.resumed",
        "play.volume_changed -6",
        "play.finished",
        f"member.muted {numbers['Ben']}",
        f"member.unmuted {numbers['Ben']}",
        f"member.left {numbers['Cleo']} removed",
        *(f"member.left {numbers[name]} removed" for name in left),
        "destroyed",
    ]


def check_refusals(checks: Checks, meeting: Meeting, receiver: Receiver) -> None:
    """Another application can do nothing there, and hears of nothing."""
    for what, refused in meeting.refused.items():
        told = f"{refused.status} {refused.code}" if refused else "done!"
        checks.add(refused is not None and refused.status == 403, f"another application, to {what}: {told}")
    overheard = [delivery for delivery in receiver.log if delivery.path != "/acme"]
    checks.add(not overheard, f"another application was told {len(overheard)} events")
    everybody = [*meeting.numbers.values()]
    checks.add(meeting.members == everybody, f"{NAME}: {len(meeting.members)} of {len(everybody)} were there")
