"""The Python face of callers.pyx."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARRIVAL: np.dtype[Any]

class Callers:
    def __init__(self, count: int, ips: Sequence[str] = ("127.0.0.1",)) -> None: ...
    def addresses(self) -> list[tuple[str, int]]: ...
    def connect(self, addresses: Sequence[Sequence[Any]]) -> None: ...
    def speak(
        self,
        phases_ns: NDArray[np.int64],
        table: NDArray[np.uint8],
        which: NDArray[np.int64],
        payload_types: Sequence[int],
        samples: int,
        stamp: bool,
        sends: Sequence[bool] | None = None,
        read: Sequence[int] | None = None,
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
