"""The one error of the worker: a command that cannot be done."""


class CommandError(Exception):
    """It changed nothing.

    code: one of websocket.md's error codes; message: for the caller's eyes; detail: as in `Failed`.
    """

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail
