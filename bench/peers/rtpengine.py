"""rtpengine in user space, steered over ng: one call for each two callers, by offer and answer."""

from pathlib import Path
from typing import Any

from roomtone.bench.load.payload import Format
from roomtone.bench.load.scenario import Scenario
from roomtone.bench.load.server import IP, RTP_PORTS, Placement, free_port
from roomtone.bench.load.steer import answered_address, offer
from roomtone.bench.peers.ng import Ng, NgError
from roomtone.bench.peers.peer import Peer

NO_KERNEL_TABLE = -1
LOG_ERRORS = 3  # syslog(3) LOG_ERR


class Rtpengine(Peer):
    """threads: its packet workers; 0: its own choice, one more than there are CPUs."""

    name = "rtpengine"
    program = "rtpengine"

    def __init__(self, placement: Placement, *, fifo: bool = False, threads: int = 0) -> None:
        super().__init__(placement, fifo=fifo)
        self.threads = threads
        self.port = free_port()
        self.ng = Ng(IP, self.port)

    def arguments(self, folder: Path) -> list[str]:
        """Options as in every published comparison; the system's configuration file is not read."""
        (folder / "rtpengine.conf").write_text("[rtpengine]\n")
        out = [
            f"--config-file={folder}/rtpengine.conf",
            "--foreground",
            "--log-stderr",
            f"--log-level={LOG_ERRORS}",
            f"--table={NO_KERNEL_TABLE}",
            "--endpoint-learning=immediate",
            f"--interface={IP}",
            f"--listen-ng={IP}:{self.port}",
            f"--port-min={RTP_PORTS[0]}",
            f"--port-max={RTP_PORTS[1]}",
        ]
        return out + ([f"--num-threads={self.threads}"] if self.threads else [])

    async def answers(self) -> bool:
        try:
            await self.ng.call("ping")
        except NgError:
            return False
        return True

    async def open(self, scenario: Scenario, callers: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """NgError: a call was refused."""
        if scenario.size != 2:
            raise ValueError("rtpengine is measured with calls of two")
        out: list[tuple[str, int]] = []
        for call in range(scenario.rooms):
            caller, callee = 2 * call, 2 * call + 1
            formats = scenario.format_of(caller), scenario.format_of(callee)
            to_callee = await self.ng.call("offer", **offer_of(call, *callers[caller], *formats))
            to_caller = await self.ng.call("answer", **answer_of(call, *callers[callee], formats[1]))
            out += [answered_address(to_caller["sdp"]), answered_address(to_callee["sdp"])]
        return out

    async def stop(self) -> None:
        self.ng.close()
        await super().stop()


def offer_of(call: int, ip: str, port: int, own: Format, other: Format) -> dict[str, Any]:
    """Parameters of the offer of `own`; to the callee only `other` is offered, when that is another codec."""
    out = common(call) | {"sdp": offer(ip, port, own)}
    if own.name != other.name:
        out["codec"] = {"mask": [own.encoding], "transcode": [other.encoding]}
    return out


def answer_of(call: int, ip: str, port: int, own: Format) -> dict[str, Any]:
    return common(call) | {"sdp": offer(ip, port, own), "to-tag": f"callee{call}"}


def common(call: int) -> dict[str, Any]:
    return {
        "call-id": f"call{call}",
        "from-tag": f"caller{call}",
        "ICE": "remove",
        "transport-protocol": "RTP/AVP",
    }
