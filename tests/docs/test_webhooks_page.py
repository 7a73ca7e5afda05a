"""docs/protocol/webhooks.md: its code is the code that is tested, its times are those that are kept."""

from __future__ import annotations

import re

from running import first_python
from tables import ROOT

from roomtone.control.dispatcher import schedule

PAGE = (ROOT / "docs" / "protocol" / "webhooks.md").read_text()


def test_the_verification_it_shows_is_the_one_the_receiver_uses() -> None:
    assert first_python(PAGE) == (ROOT / "examples" / "demo_parts" / "signature.py").read_text()


def test_the_times_of_attempts_are_those_of_the_schedule() -> None:
    text = " ".join(PAGE.split())
    first, later = re.findall(r"after ((?:\d+, )+\d+) s", text)
    assert (0, *map(int, first.split(", "))) == schedule.ORDERED_S
    assert tuple(map(int, later.split(", "))) == schedule.LATE_S
    (probes,) = re.findall(r"a probe every ((?:\d+, )+then \d+) s", text)
    assert tuple(map(int, probes.replace("then ", "").split(", "))) == schedule.PROBE_S
