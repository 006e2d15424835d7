"""The two kinds of error: the server or a bundle cannot start, and a request is refused."""


class StartError(Exception):
    """The server cannot start, or a bundle cannot be served; the message is one sentence that says why."""


class RequestError(Exception):
    """A refused or failed request; the message is one sentence that names the field and what is wrong with it.

    `status` is the HTTP status code, which says whether the client or the server is at fault.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
