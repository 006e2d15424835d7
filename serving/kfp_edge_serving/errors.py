"""The two kinds of refusal."""


class StartError(Exception):
    """Why a bundle is not served, or the server does not start, in one sentence."""


class RequestError(Exception):
    """A refused request, told in one sentence that names the field and what was wrong with it.

    `status` is the HTTP status that says whose mistake it was.
    """

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status
