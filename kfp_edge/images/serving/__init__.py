"""Builds the image of the server; not part of the image itself."""

from kfp_edge.errors import ImageError
from kfp_edge.images.serving.builder import FAST, SMALLEST, TAG, build, digest
from kfp_edge.images.serving.cache import ensure, input_key

__all__ = ["FAST", "SMALLEST", "TAG", "ImageError", "build", "digest", "ensure", "input_key"]
