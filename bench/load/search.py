"""The highest load that holds, by doubling and bisection.  Decides; somebody else makes the probes."""

RESOLUTION = 0.03  # the load that holds and the one that does not are at most so far apart


class Search:
    """`load()` says what to probe next, `told(holds)` takes the answer; load() is None: found.

    Loads are whole numbers from 1 (rooms, calls) up to `most`.  `held` is the highest load that held so far,
    0: none did; `failed` the lowest that did not, None: none did.
    """

    def __init__(self, first: int, most: int, resolution: float = RESOLUTION) -> None:
        if not 1 <= first <= most:
            raise ValueError(f"a search from {first} to {most}")
        self.first = first
        self.most = most
        self.resolution = resolution
        self.held = 0
        self.failed: int | None = None

    def load(self) -> int | None:
        if self.failed is None:
            if self.held >= self.most:
                return None
            return min(2 * self.held, self.most) if self.held else self.first
        if self.failed - self.held <= max(1, int(self.resolution * self.held)):
            return None
        return (self.held + self.failed) // 2

    def told(self, holds: bool) -> None:
        asked = self.load()
        if asked is None:
            raise ValueError("the search is over")
        if holds:
            self.held = asked
        else:
            self.failed = asked
