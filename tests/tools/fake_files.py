"""What a scripted worker plays: lists of files that move only when a test says so."""

from __future__ import annotations

from roomtone.engine import messages as ms

FILE_COMMANDS = (
    ms.QueueFile,
    ms.EndList,
    ms.SeekFile,
    ms.PauseFile,
    ms.ResumeFile,
    ms.SetFileGain,
    ms.AskFile,
)
DURATION_MS = 1000  # of every file, unless a test says otherwise


class FakeFile:
    """One endpoint's list.  more: another file was announced; gain_db None: silence."""

    def __init__(self, body: ms.CreateFile, duration_ms: int | None) -> None:
        self.duration_ms = duration_ms
        self.session = body.session
        self.endpoint = body.endpoint
        self.paths = [body.path]
        self.more = body.more
        self.gain_db: float | None = body.gain_db
        self.position_ms = body.start_ms
        self.item = 0
        self.paused = body.paused
        self.started = self.ended = False
        self.underruns = 0
        self.starving = False  # nothing more is decoded: whenever it is asked it has missed more

    def answer(self, body: ms.CommandBody) -> ms.ReplyBody:
        if self.ended and not isinstance(body, ms.EndList):
            return ms.Failed(code="ENDPOINT_ERROR", message="it has ended")
        match body:
            case ms.QueueFile():
                if not self.more:
                    return ms.Failed(code="ENDPOINT_ERROR", message="it announced no more")
                self.paths.append(body.path)
                self.more = body.more
                return ms.FileCreated(duration_ms=self.duration_ms)
            case ms.EndList():
                self.more = False
            case ms.SeekFile():
                if self.duration_ms is not None and body.position_ms > self.duration_ms:
                    return ms.Failed(code="INVALID_PARAMS", message=f"the file is {self.duration_ms} ms long")
                self.position_ms = body.position_ms
            case ms.PauseFile():
                self.paused = True
            case ms.ResumeFile():
                self.paused = False
            case ms.SetFileGain():
                self.gain_db = body.gain_db
            case ms.AskFile():
                self.underruns += 100 * self.starving
                return ms.FilePosition(
                    item=self.item,
                    position_ms=self.position_ms,
                    decoded_ms=self.duration_ms or self.position_ms,
                    duration_ms=self.duration_ms,
                    paused=self.paused,
                    underruns=self.underruns,
                )
        return ms.Done()
