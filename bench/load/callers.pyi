"""The Python face of callers.pyx."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARRIVAL: np.dtype[Any]

class Callers:
    def __init__(self, count: int, ip: str = "127.0.0.1") -> None: ...
    def ports(self) -> list[int]: ...
    def connect(self, addresses: Sequence[Sequence[Any]]) -> None: ...
    def speak(
        self,
        phases_ns: NDArray[np.int64],
        table: NDArray[np.uint8],
        which: NDArray[np.int64],
        payload_type: int,
        samples: int,
        stamp: bool,
    ) -> None: ...
    def run(
        self,
        start_ns: int,
        end_ns: int,
        until_ns: int,
        listen: Sequence[int] = (),
        capture_frames: int = 0,
    ) -> dict[str, Any]: ...
    def arrivals(self, number: int) -> NDArray[Any]: ...
    def captured(self, row: int) -> tuple[NDArray[Any], NDArray[np.uint8]]: ...
    def close(self) -> None: ...
