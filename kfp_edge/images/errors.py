"""Why an image could not be built."""


class ImageError(Exception):
    """A refusal told in one clear sentence: what is wrong and what to do."""
