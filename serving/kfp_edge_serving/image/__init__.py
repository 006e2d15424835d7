"""Builds the image of the server; not part of the image itself."""

from kfp_edge_serving.image.builder import FAST, SMALLEST, TAG, build, digest
from kfp_edge_serving.image.cache import ensure, input_key
from kfp_edge_serving.image.errors import ImageError

__all__ = ["FAST", "SMALLEST", "TAG", "ImageError", "build", "digest", "ensure", "input_key"]
