"""The callers' own process.  JSON lines on standard input, one JSON line back for each.

{"open": {"count", "ips"}}          -> {"addresses": [[ip, port], ...]}
{"connect": [[ip, port], ...]}      -> {"ok": true}
{"speak": {a Scenario's fields}}    -> {"ok": true}
{"run": {"start_ns", "end_ns", "until_ns", "capture_frames", "first"}}
                                    -> {"figures": {...}}, when it is over

Times are of the wall clock; sending begins at once.  first: run before ordinary threads, where allowed.
"""

import gc
import json
import sys
from typing import Any

from roomtone.bench.load import proc
from roomtone.bench.load.callers import Callers
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.verdict import judge


class CallerProcess:
    """Answers one request after another."""

    def __init__(self) -> None:
        self.callers: Callers | None = None
        self.ready_for: Scenario | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "open" in request:
            proc.raise_descriptors()
            self.callers = Callers(request["open"]["count"], request["open"]["ips"])
            return {"addresses": self.callers.addresses()}
        if self.callers is None:
            raise ValueError("open first")
        if "connect" in request:
            self.callers.connect(request["connect"])
            return {"ok": True}
        if "speak" in request:
            self.ready_for = scenario = Scenario(**request["speak"])
            table, which = scenario.payloads()
            everybody = range(scenario.count)
            self.callers.speak(
                scenario.phases_ns(),
                table,
                which,
                [scenario.format_of(i).payload_type for i in everybody],
                scenario.format.samples,
                scenario.stamped,
                [scenario.sends(i) for i in everybody],
                scenario.sampled(),
            )
            return {"ok": True}
        return {"figures": self.run(**request["run"])}

    def run(
        self, start_ns: int, end_ns: int, until_ns: int, capture_frames: int, first: bool
    ) -> dict[str, Any]:
        scenario = self.ready_for
        if self.callers is None or scenario is None:
            raise ValueError("speak first")
        gc.disable()
        with proc.first_in_line(first) as allowed:
            totals = self.callers.run(start_ns, end_ns, until_ns, scenario.listeners(), capture_frames)
        figures = judge(scenario, self.callers, totals, start_ns, end_ns)
        figures |= {"total_sent": sum(totals["sent"]), "total_received": sum(totals["received"])}
        return figures | {"callers_scheduling": "fifo" if allowed else "normal"}


def main() -> int:
    proc.end_with_parent()
    process = CallerProcess()
    for line in sys.stdin:
        print(json.dumps(process.answer(json.loads(line))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
