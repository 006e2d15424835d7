"""The two kinds of refusal."""


class StartError(Exception):
    """Why the server does not start, in one sentence: most often a bundle that must not be served."""


class RequestError(Exception):
    """A client's mistake, told in one sentence that names the input and what was wrong with it."""
