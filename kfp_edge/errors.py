"""The one error that a user is meant to read."""


class KfpEdgeError(Exception):
    """A mistake or a refusal told in one clear sentence: what is wrong, where, what to do.

    Everything that is shown to a user without a traceback is of this type. Never put a secret in it.
    """
